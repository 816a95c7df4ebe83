#include "cavmae/train/step_result.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/train/step_record.h"

namespace cavmae {
namespace {

using ::testing::HasSubstr;

StepResult step_of(float audio, float contrastive) {
  StepResult result;
  result.terms = {{.name = "audio", .value = torch::tensor(audio), .weight = 2.0},
                  {.name = "contrastive", .value = torch::tensor(contrastive), .weight = 0.5}};
  result.loss = weighted_sum(result.terms);
  result.values = {{"accuracy", torch::tensor(0.25F)}};
  return result;
}

TEST(StepResult, LossIsTheWeightedSumOfItsTerms) {
  const MetricValues values = values_of(step_of(3, 4));
  EXPECT_EQ(to_json(values).dump(),
            R"({"loss":8.0,"loss_audio":3.0,"loss_contrastive":4.0,"accuracy":0.25})");
  EXPECT_THROW(weighted_sum({}), Error);
}

TEST(StepResult, NeighboursOfOneWeightAreAddedFirst) {
  const torch::Tensor a = torch::tensor(0.1F), b = torch::tensor(0.7F), c = torch::tensor(3.3F);
  const torch::Tensor sum = weighted_sum({{"a", a, 0.3}, {"b", b, 0.3}, {"c", c, 0.01}});
  EXPECT_TRUE(sum.equal((a + b) * 0.3 + c * 0.01));
}

TEST(StepMeans, WeighBatchesByTheirClips) {
  StepMeans sums;
  sums.add(step_of(3, 4), 1);
  sums.add(step_of(5, 8), 3);
  StepMeans both;
  both.add(sums);
  EXPECT_EQ(both.mean().values.at("loss_audio"), 4.5);
  EXPECT_EQ(both.mean().values.at("loss_contrastive"), 7.0);
  EXPECT_EQ(both.mean().clips, 4);
  EXPECT_TRUE(StepMeans().mean().values.empty());
}

StepMeans read(const std::string& json) {
  StepMeans means;
  option_from_json(parse_json(json, "state"), means, "state.json");
  return means;
}

TEST(StepMeans, AreReadBackFromJson) {
  StepMeans sums;
  sums.add(step_of(1.0F / 3, 0.7F), 3);
  sums.values.set("loss_uniformity", std::nan(""));
  const Json json = option_to_json(sums);
  const StepMeans again = read(json.dump());
  EXPECT_EQ(again.to_json().dump(), json.dump());
  EXPECT_EQ(again.clips, 3);
  EXPECT_EQ(read(option_to_json(StepMeans()).dump()).clips, 0);
  EXPECT_THAT(message_from<ConfigError>([] { read(R"({"clips": 1, "loss": "high"})"); }),
              HasSubstr("state.json: loss"));
}

// Before terms had names every checkpoint held six numbers, 0 for the parts that a task had not.
TEST(StepMeans, OfOldCheckpointsHaveOnlyTheirOwnParts) {
  const auto keys = [](const std::string& json) { return to_json(read(json).values).dump(); };
  EXPECT_EQ(
      keys(
          R"({"clips":4,"loss":2.5,"loss_audio":1.0,"loss_video":1.5,"loss_contrastive":0.5,"accuracy":0.0})"),
      R"({"loss":2.5,"loss_audio":1.0,"loss_video":1.5,"loss_contrastive":0.5,"accuracy":0.0})")
      << "both losses; no clip found its partner";
  EXPECT_EQ(
      keys(
          R"({"clips":4,"loss":2.5,"loss_audio":1.0,"loss_video":1.5,"loss_contrastive":0.0,"accuracy":0.0})"),
      R"({"loss":2.5,"loss_audio":1.0,"loss_video":1.5})")
      << "reconstruction alone";
  EXPECT_EQ(
      keys(
          R"({"clips":4,"loss":2.5,"loss_audio":0.0,"loss_video":0.0,"loss_contrastive":2.5,"accuracy":1.0})"),
      R"({"loss":2.5,"loss_contrastive":2.5,"accuracy":1.0})")
      << "the contrastive loss alone";
  EXPECT_EQ(
      keys(
          R"({"clips":4,"loss":2.5,"loss_audio":0.0,"loss_video":0.0,"loss_contrastive":0.0,"accuracy":0.0})"),
      R"({"loss":2.5,"accuracy":0.0})")
      << "fine-tuning";
  EXPECT_EQ(
      keys(
          R"({"clips":0,"loss":0.0,"loss_audio":0.0,"loss_video":0.0,"loss_contrastive":0.0,"accuracy":0.0})"),
      "{}")
      << "just recorded";
}

TEST(StepRecord, HasEveryTermByItsName) {
  RunState state;
  state.step = 7;
  StepMeans sums;
  StepResult step = step_of(3, 4);
  step.terms.push_back({.name = "uniformity", .value = torch::tensor(-1.5F)});
  sums.add(step, 2);
  state.interval.add(sums, 1.0, 0.5);
  const Json record = train_record(state, 1e-4);
  EXPECT_EQ(record.at("loss_uniformity"), -1.5);
  EXPECT_THAT(train_line(record),
              HasSubstr("loss 8 (audio 3, contrastive 4, uniformity -1.5), accuracy 25.0 %, lr 0.0001"));
}

TEST(StepRecord, OfAValidationHasEveryMetric) {
  ValidationResult result;
  result.losses.add({{"loss", 0.5}}, 4);
  result.losses = result.losses.mean();
  result.retrieval =
      summarize_ranks(RetrievalRanks{.audio_to_video = {1, 2, 3, 4}, .video_to_audio = {1, 1, 1, 2}});
  const Json record = validation_record({}, result);
  EXPECT_EQ(record.at("audio_to_video_r1"), 0.25);
  EXPECT_EQ(record.at("clips"), 4);
  EXPECT_EQ(validation_line(record),
            "loss 0.5, R@1 audio to video 25.0 %, R@1 video to audio 75.0 %, chance 25.0 %");
}

}  // namespace
}  // namespace cavmae
