#include "cavmae/core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string nested(size_t depth, const std::string& inside) {
  return std::string(depth, '[') + inside + std::string(depth, ']');
}

TEST(Json, NestingHasALimit) {
  EXPECT_EQ(parse_json(nested(200, "1"), "x.json").size(), 1u);
  for (const size_t depth : {201, 1'000'000})
    EXPECT_THAT(message_from<ConfigError>([&] { parse_json(nested(depth, ""), "x.json"); }),
                AllOf(HasSubstr("x.json"), HasSubstr("nested more than 200 deep at byte 201")));
  std::string objects;
  for (int i = 0; i < 300; ++i) objects += R"({"a":)";
  EXPECT_THAT(message_from<ConfigError>([&] { parse_json(objects, "x.json"); }),
              HasSubstr("nested more than"));
}

TEST(Json, BracketsInTextsAreNoNesting) {
  const Json text = std::string(1000, '[') + "\"\\" + std::string(1000, '{');
  EXPECT_EQ(parse_json(text.dump(), "x.json"), text);
  EXPECT_THAT(message_from<ConfigError>([&] { parse_json("\"" + std::string(1000, '['), "x.json"); }),
              HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace cavmae
