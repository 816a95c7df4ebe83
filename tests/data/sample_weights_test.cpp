#include "cavmae/data/sample_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

TEST(SampleWeights, AreTheSumsOfTheClassesInverseCounts) {
  const auto weights = balancing_weights({{0}, {0, 2}, {0}, {}}, 3);
  // 1000 / 3.01 and 1000 / 1.01
  ASSERT_EQ(weights.size(), 4u);
  EXPECT_NEAR(weights[0], 332.225913621262, 1e-9);
  EXPECT_NEAR(weights[1], 332.225913621262 + 990.099009900990, 1e-9);
  EXPECT_EQ(weights[2], weights[0]);
  EXPECT_EQ(weights[3], 0);
}

TEST(SampleWeights, WhatIsWrittenIsReadAgainToTheLastBit) {
  TemporaryFolder folder;
  const std::vector<double> weights = {1.0 / 3, 990.0990099, 0, 1e-300};
  write_sample_weights(folder / "w.csv", weights);
  EXPECT_EQ(read_sample_weights(folder / "w.csv", 4), weights);
}

TEST(SampleWeights, FileThatDoesNotFitIsNamed) {
  TemporaryFolder folder;
  const auto error_of = [&](const std::string& text, int64_t clips) {
    write_text(folder / "w.csv", text);
    return message_from<DataError>([&] { read_sample_weights(folder / "w.csv", clips); });
  };
  EXPECT_THAT(error_of("1\n2\n", 3), HasSubstr("w.csv: holds 2 weights for 3 clips"));
  EXPECT_THAT(error_of("1\n\nmany\n", 2), HasSubstr("w.csv:3: a weight must be a number"));
  EXPECT_THAT(error_of("1\n-2\n", 2), HasSubstr("w.csv:2"));
  EXPECT_THAT(error_of("1\nnan\n", 2), HasSubstr("w.csv:2"));
  EXPECT_THAT(error_of("1\n0x2\n", 2), HasSubstr("w.csv:2"));
  EXPECT_THAT(error_of("1e308\n1e308\n", 2), HasSubstr("the sum of the weights is too large"));
  EXPECT_THAT(error_of("0\n0\n", 2), HasSubstr("every weight is 0"));
  EXPECT_THAT(message_from<DataError>([&] { read_sample_weights(folder / "none.csv", 2); }),
              HasSubstr("none.csv"));
}

}  // namespace
}  // namespace cavmae
