#include "cavmae/train/best_metric.h"

#include <cmath>

#include <gtest/gtest.h>

namespace cavmae {
namespace {

ValidationResult pretrained() {
  ValidationResult result;
  result.losses = {.clips = 4, .values = {{"loss", 2.5}, {"accuracy", 0.5}}};
  result.retrieval =
      summarize_ranks(RetrievalRanks{.audio_to_video = {1, 2, 3, 4}, .video_to_audio = {1, 1, 1, 2}});
  return result;
}

ValidationResult classified(double map) {
  ValidationResult result;
  result.losses = {.clips = 4, .values = {{"loss", 0.5}, {"accuracy", 0.125}}};
  result.classification.emplace().values = {{"map", map}, {"top1", 0.75}};
  return result;
}

TEST(BestMetric, RetrievalIsTheMeanOfBothDirections) {
  const BestMetricValue now = best_metric(pretrained(), BestMetric::retrieval);
  EXPECT_EQ(now.value, 0.5);
  EXPECT_TRUE(now.higher_is_better);
}

TEST(BestMetric, IsTheOneThatWasAskedFor) {
  EXPECT_EQ(best_metric(classified(0.25), BestMetric::map).value, 0.25);
  EXPECT_EQ(best_metric(classified(0.25), BestMetric::accuracy).value, 0.75) << "not that of the batches";
  const BestMetricValue loss = best_metric(classified(0.25), BestMetric::loss);
  EXPECT_EQ(loss.value, 0.5);
  EXPECT_FALSE(loss.higher_is_better);
}

TEST(BestMetric, IsTheLossWhereTheValidationLacksIt) {
  for (const BestMetricValue& now : {best_metric(classified(std::nan("")), BestMetric::map),
                                     best_metric(classified(0.25), BestMetric::retrieval)}) {
    EXPECT_EQ(now.value, 0.5);
    EXPECT_FALSE(now.higher_is_better);
  }
}

TEST(IsBest, ComparesInTheMetricsDirection) {
  EXPECT_TRUE(is_best({.value = 0.1, .higher_is_better = true}, std::nullopt));
  EXPECT_TRUE(is_best({.value = 0.3, .higher_is_better = true}, 0.2));
  EXPECT_FALSE(is_best({.value = 0.2, .higher_is_better = true}, 0.2));
  EXPECT_TRUE(is_best({.value = 0.1, .higher_is_better = false}, 0.2));
  EXPECT_FALSE(is_best({.value = 0.2, .higher_is_better = false}, 0.2));
}

}  // namespace
}  // namespace cavmae
