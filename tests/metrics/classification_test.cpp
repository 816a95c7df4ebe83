#include "cavmae/metrics/classification.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/cpu_time.h"
#include "tests/support/golden.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;
using testing_support::thread_cpu_seconds;

// By the definitions, threshold by threshold and pair by pair.
ClassMetrics measure_one_by_one(const torch::Tensor& scores, const torch::Tensor& targets) {
  const auto s = scores.to(torch::kFloat64).contiguous();
  const auto t = targets.to(torch::kFloat64).contiguous();
  const double *score = s.data_ptr<double>(), *target = t.data_ptr<double>();
  const int64_t n = s.size(0);
  double precisions = 0, in_order = 0;
  int64_t positives = 0, pairs = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (target[i] == 0) continue;
    ++positives;
    double at_or_above = 0, hits = 0;
    for (int64_t j = 0; j < n; ++j) {
      at_or_above += score[j] >= score[i];
      hits += score[j] >= score[i] && target[j] == 1;
      if (target[j] == 1) continue;
      ++pairs;
      in_order += score[i] > score[j] ? 1.0 : score[i] == score[j] ? 0.5 : 0.0;
    }
    precisions += hits / at_or_above;
  }
  return {.average_precision = precisions / static_cast<double>(positives),
          .auc = in_order / static_cast<double>(pairs),
          .positives = positives};
}

TEST(Classification, EqualsScikitLearnOnTheGoldenFile) {
  const TensorFile file = testing_support::golden("metrics");
  const auto result = evaluate_classification(file.at("scores"), file.at("multilabel"));
  const auto precision = file.at("average_precision"), auc = file.at("auc");
  for (int64_t c = 0; c < precision.size(0); ++c) {
    EXPECT_NEAR(result.classes[c].average_precision, precision[c].item<double>(), 1e-9) << c;
    EXPECT_NEAR(result.classes[c].auc, auc[c].item<double>(), 1e-9) << c;
  }
  const auto summary = file.at("summary");
  EXPECT_NEAR(result.values.at("map"), summary[0].item<double>(), 1e-9);
  EXPECT_NEAR(result.values.at("mauc"), summary[1].item<double>(), 1e-9);
  EXPECT_NEAR(result.values.at("d_prime"), summary[2].item<double>(), 1e-9);
  const auto labels = file.at("singlelabel");
  const auto one_hot = at::one_hot(labels, file.at("scores").size(1));
  EXPECT_NEAR(evaluate_classification(file.at("scores"), one_hot).values.at("top1"),
              summary[3].item<double>(), 1e-9);
}

TEST(Classification, EqualsBruteForceWithAndWithoutTies) {
  torch::manual_seed(1);
  for (const int64_t n : {2, 3, 17, 150}) {
    for (const bool ties : {false, true}) {
      auto scores = torch::randn({n, 5});
      if (ties) scores = (scores * 2).round();
      auto targets = torch::rand({n, 5}).lt(0.3).to(torch::kFloat32);
      targets[0] = torch::ones({5});
      targets[1] = torch::zeros({5});
      const auto result = evaluate_classification(scores, targets);
      for (int64_t c = 0; c < 5; ++c) {
        const auto expected = measure_one_by_one(scores.select(1, c), targets.select(1, c));
        EXPECT_NEAR(result.classes[c].average_precision, expected.average_precision, 1e-12);
        EXPECT_NEAR(result.classes[c].auc, expected.auc, 1e-12);
        EXPECT_EQ(result.classes[c].positives, expected.positives);
      }
    }
  }
}

TEST(Classification, ClassWithoutAPositiveIsLeftOutAndNamed) {
  const auto scores = torch::tensor({{0.9, 0.1, 0.3}, {0.2, 0.8, 0.4}, {0.6, 0.7, 0.5}});
  const auto targets = torch::tensor({{1, 0, 1}, {0, 0, 1}, {0, 0, 1}});
  const auto result = evaluate_classification(scores, targets);
  EXPECT_THAT(result.without_positive, ElementsAre(1));
  EXPECT_THAT(result.without_negative, ElementsAre(2));
  EXPECT_TRUE(std::isnan(result.classes[1].average_precision));
  EXPECT_TRUE(std::isnan(result.classes[2].auc));
  EXPECT_DOUBLE_EQ(result.values.at("map"), 1.0) << "over classes 0 and 2";
  EXPECT_DOUBLE_EQ(result.values.at("mauc"), 1.0) << "over class 0 alone";
  const Json json = to_json(result, {"rain", "wind", "sea"});
  EXPECT_EQ(json["without_positive"], Json::array({"wind"}));
  EXPECT_TRUE(Json::parse(json.dump())["classes"][1]["auc"].is_null());
}

TEST(Classification, NoPositiveAtAllHasNoMean) {
  const auto result = evaluate_classification(torch::rand({4, 2}), torch::zeros({4, 2}));
  EXPECT_TRUE(std::isnan(result.values.at("map")) && std::isnan(result.values.at("d_prime")) &&
              std::isnan(result.values.at("top1")));
  EXPECT_THAT(result.without_positive, ElementsAre(0, 1));
  EXPECT_THAT(result.confusions, IsEmpty());
}

TEST(Classification, AccuracyAndConfusionsCountTheFirstLabelAndTheLowerOfEqualScores) {
  const auto scores = torch::tensor({{3.0, 3.0, 1.0, 0.0, -1.0, -2.0},  // a tie: class 0 stands first
                                     {3.0, 3.0, 1.0, 0.0, -1.0, -2.0},  // so its partner is second
                                     {0.0, 1.0, 2.0, 3.0, 4.0, 5.0},    // the label is last
                                     {0.0, 9.0, 2.0, 3.0, 4.0, 5.0},    // two labels, the first counts
                                     {1.0, 0.0, 0.0, 0.0, 0.0, 0.0}});  // no label
  const auto targets = torch::tensor(
      {{1, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0}});
  const auto result = evaluate_classification(scores, targets);
  EXPECT_DOUBLE_EQ(result.values.at("top1"), 0.5);
  EXPECT_DOUBLE_EQ(result.values.at("top5"), 0.75);
  EXPECT_EQ(result.clips, 5);
  ASSERT_EQ(result.confusions.size(), 2u);
  EXPECT_EQ(result.confusions[0].label, 0);
  EXPECT_EQ(result.confusions[0].predicted, 5);
  EXPECT_EQ(result.confusions[1].predicted, 0);
  EXPECT_DOUBLE_EQ(result.confusions[1].share, 0.5);
}

TEST(Classification, DPrimeOfKnownAreas) {
  EXPECT_DOUBLE_EQ(d_prime(0.5), 0.0);
  // The standard normal distribution at 1 is 0.841344746068542948...
  EXPECT_NEAR(d_prime(0.841344746068542948), std::sqrt(2.0), 1e-13);
  EXPECT_NEAR(d_prime(1 - 0.841344746068542948), -std::sqrt(2.0), 1e-13);
  EXPECT_TRUE(std::isinf(d_prime(1.0)));
}

TEST(Classification, WrongInputsAreNamed) {
  auto scores = torch::zeros({3, 2});
  const auto targets = torch::zeros({3, 2});
  EXPECT_THAT(
      [&] {
        evaluate_classification(scores, torch::zeros({3, 3}));
      },
      ThrowsMessage<Error>(HasSubstr("[clips, classes]")));
  EXPECT_THAT(
      [&] {
        evaluate_classification(torch::zeros({0, 2}), torch::zeros({0, 2}));
      },
      ThrowsMessage<Error>(HasSubstr("at least one clip")));
  EXPECT_THAT([&] { evaluate_classification(scores, targets + 0.1); },
              ThrowsMessage<Error>(HasSubstr("0 or 1")));
  scores[2][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT([&] { evaluate_classification(scores, targets); },
              ThrowsMessage<Error>(HasSubstr("clip 2 for class 1 is not finite")));
}

TEST(Classification, ThousandsOfClipsTakeSeconds) {
  torch::manual_seed(4);
  const auto scores = torch::randn({6000, 527});
  const auto targets = torch::rand({6000, 527}).lt(0.01);
  const double before = thread_cpu_seconds();
  evaluate_classification(scores, targets);
  // Brute force over 3.6e7 pairs a class would take minutes.
  EXPECT_LT(thread_cpu_seconds() - before, 30.0);
}

}  // namespace
}  // namespace cavmae
