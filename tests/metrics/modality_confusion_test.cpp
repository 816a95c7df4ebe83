#include "cavmae/metrics/modality_confusion.h"

#include <cmath>

#include <gtest/gtest.h>

namespace cavmae {
namespace {

TEST(ModalityConfusion, CountsClipsThatBothModalitiesLeadAstray) {
  const std::vector<ClipHits> hits = {
      {.both = true, .audio = true, .video = false},    // no confusion
      {.both = false, .audio = true, .video = false},   // by sound
      {.both = false, .audio = true, .video = true},    // by either
      {.both = false, .audio = false, .video = false},  // wrong anyhow
      {.both = false, .audio = true, .video = {}},      // lacks pictures
  };
  const ModalityConfusion confusion = modality_confusion(hits);
  EXPECT_EQ(confusion.clips, 4);
  EXPECT_DOUBLE_EQ(confusion.audio, 0.5);
  EXPECT_DOUBLE_EQ(confusion.video, 0.25);
  EXPECT_DOUBLE_EQ(confusion.either, 0.5);
  EXPECT_DOUBLE_EQ(confusion.audio_top1, 0.75);
  EXPECT_DOUBLE_EQ(confusion.both_top1, 0.25);
  EXPECT_TRUE(std::isnan(modality_confusion({}).either));
}

TEST(ModalityConfusion, AHitIsTheHighestScoreAtOneOfTheClasses) {
  const auto scores = torch::tensor({0.1, 0.7, 0.2});
  EXPECT_EQ(is_hit(scores, torch::tensor({1.0, 1.0, 0.0})), true);
  EXPECT_EQ(is_hit(scores, torch::tensor({1.0, 0.0, 0.0})), false);
  EXPECT_EQ(is_hit(scores, torch::tensor({0.0, 0.0, 0.0})), std::nullopt);
}

}  // namespace
}  // namespace cavmae
