// Steps measured part by part.
#include "cavmae/train/step_profile.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/models/flops.h"

namespace cavmae {
namespace {

using testing::IsSupersetOf;

PretrainOptions toy_recipe() {
  PretrainOptions recipe;
  recipe.model = {.num_fbank_frames = 96,
                  .num_mel_bins = 32,
                  .image_size = 48,
                  .embed_dim = 32,
                  .num_heads = 2,
                  .modality_depth = 1,
                  .decoder_depth = 2,
                  .decoder_embed_dim = 32,
                  .decoder_num_heads = 2};
  return recipe;
}

std::vector<std::string> names(const StepProfile& step) {
  std::vector<std::string> names;
  for (const PartProfile& part : step.parts) names.push_back(part.part);
  return names;
}

std::map<std::string, torch::Tensor> copies_of(CavMae& model) {
  std::map<std::string, torch::Tensor> copies;
  for (const auto& item : model->named_parameters()) copies[item.key()] = item.value().detach().clone();
  return copies;
}

double gflop(const StepProfile& step) {
  double sum = 0;
  for (const PartProfile& part : step.parts) sum += part.gflop;
  return sum;
}

TEST(StepProfile, TrainingStepHasEveryPartOnce) {
  StepProfiler profiler(toy_recipe(), {.batch_size = 3});
  profiler.step();
  const StepProfile step = profiler.step();
  auto parts = names(step);
  EXPECT_THAT(parts, testing::UnorderedElementsAre(
                         "embedding", "audio encoder", "audio encoder/attention",
                         "audio encoder/attention/matmul", "audio encoder/mlp", "video encoder",
                         "video encoder/attention", "video encoder/attention/matmul", "video encoder/mlp",
                         "joint layers", "joint layers/attention", "joint layers/attention/matmul",
                         "joint layers/mlp", "decoder inputs", "decoder", "decoder/attention",
                         "decoder/attention/matmul", "decoder/mlp", "heads", "loss", "optimizer", "other"));
  for (const PartProfile& part : step.parts) EXPECT_GT(part.seconds, 0) << part.part;
}

TEST(StepProfile, PartsSumToTheStep) {
  StepProfiler profiler(toy_recipe(), {.batch_size = 3});
  profiler.step();
  // What goes by around the timer is little, but another program may take the processor just then: not in
  // every step.
  bool is_most = false;
  for (int i = 0; i < 100 && !is_most; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const StepProfile step = profiler.step();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    double sum = 0;
    for (const PartProfile& part : step.parts) sum += part.seconds;
    EXPECT_DOUBLE_EQ(sum, step.seconds);
    EXPECT_LE(sum, elapsed.count());
    is_most = sum > 0.5 * elapsed.count();
  }
  EXPECT_TRUE(is_most);
}

TEST(StepProfile, ArithmeticIsThatOfTheBatch) {
  const auto recipe = toy_recipe();
  StepProfiler profiler(recipe, {.batch_size = 3});
  EXPECT_DOUBLE_EQ(profiler.gflop_per_clip(),
                   total_flops(pretraining_flops(recipe.model, recipe.mask)) / 1e9);
  EXPECT_NEAR(gflop(profiler.step()), 3 * profiler.gflop_per_clip(), 1e-12);
}

TEST(StepProfile, FeaturesTakeNoTrainingParts) {
  const auto recipe = toy_recipe();
  StepProfiler profiler(recipe, {.mode = StepKind::embed, .batch_size = 2});
  const StepProfile step = profiler.step();
  const auto parts = names(step);
  EXPECT_THAT(parts, IsSupersetOf({"embedding", "audio encoder/mlp", "joint layers/attention/matmul"}));
  for (const char* part : {"decoder", "heads", "loss", "optimizer"})
    EXPECT_EQ(std::ranges::count(parts, part), 0) << part;
  EXPECT_NEAR(gflop(step), 2 * total_flops(embedding_flops(recipe.model)) / 1e9, 1e-12);
}

TEST(StepProfile, FineTuningHasAHeadAndNoDecoder) {
  const auto recipe = toy_recipe();
  StepProfiler profiler(recipe, {.mode = StepKind::finetune, .batch_size = 2});
  const StepProfile step = profiler.step();
  const auto parts = names(step);
  EXPECT_THAT(parts, IsSupersetOf({"audio encoder/mlp", "joint layers/mlp", "heads", "loss", "optimizer"}));
  EXPECT_EQ(std::ranges::count(parts, "decoder"), 0);
  EXPECT_NEAR(gflop(step), 2 * total_flops(fine_tuning_flops(recipe.model, 527)) / 1e9, 1e-12);
}

// What is measured is the step of a run: losses, learning rates and clipping included.
TEST(StepProfile, FineTuningTakesTheStepOfARun) {
  PretrainOptions recipe = toy_recipe();
  recipe.optimizer.clip_gradient_norm = 0.01;
  const ProfileOptions options{.mode = StepKind::finetune, .batch_size = 2};
  StepProfiler profiler(recipe, options);
  profiler.step();
  ProfiledTraining training = make_profiled_training(recipe, options);
  ASSERT_EQ(training.step.task().parameter_groups().size(), 2u);
  EXPECT_EQ(training.step.task().parameter_groups()[1].lr_scale, FinetuneOptions().head_lr_scale);
  const auto parameters = profiler.model()->named_parameters();
  const auto before = copies_of(training.step.task().model());
  const StepOutcome outcome = training.step.take(training.group, training.lr);
  EXPECT_TRUE(outcome.sums.values.contains("accuracy"));
  int64_t moved = 0;
  for (const auto& item : training.step.task().model()->named_parameters()) {
    EXPECT_TRUE(item.value().equal(parameters[item.key()])) << item.key();
    moved += item.value().equal(before.at(item.key())) ? 0 : 1;
  }
  EXPECT_GT(moved, 10);
}

TEST(StepProfile, MedianStepIsTheOneInTheMiddle) {
  const auto taking = [](double seconds) { return StepProfile{.seconds = seconds, .parts = {}}; };
  EXPECT_EQ(median_step({taking(3), taking(1), taking(2)}).seconds, 2);
  EXPECT_EQ(median_step({taking(5)}).seconds, 5);
  EXPECT_THROW(median_step({}), Error);
}

TEST(StepProfile, SeveralPicturesAreForFeatures) {
  const auto recipe = toy_recipe();
  StepProfiler profiler(recipe, {.mode = StepKind::embed, .batch_size = 2, .num_frames = 3});
  EXPECT_NEAR(gflop(profiler.step()), 2 * total_flops(embedding_flops(recipe.model, 3)) / 1e9, 1e-12);
  EXPECT_THROW(StepProfiler(recipe, {.mode = StepKind::pretrain, .num_frames = 3}), ConfigError);
}

PretrainOptions toy_successor() {
  PretrainOptions recipe = toy_recipe();
  recipe.model.num_fbank_frames = 192;
  recipe.model.audio_window_frames = 96;
  recipe.model.global_tokens = true;
  recipe.model.registers = 1;
  return recipe;
}

// What is computed is what is counted: a segment of sound for each picture, of which some are the same.
TEST(StepProfile, PicturesHaveSegmentsOfOneClip) {
  const PretrainOptions recipe = toy_successor();
  const ProfileOptions options{.mode = StepKind::embed, .batch_size = 2, .num_frames = 8};
  const Batch batch = random_batch(recipe.model, options, at::detail::createCPUGenerator(1));
  ASSERT_EQ(batch.audio.sizes(), torch::IntArrayRef({2, 8, 96, 32}));
  int64_t distinct = 1;
  for (int64_t i = 1; i < 8; ++i)
    distinct += batch.audio.select(1, i).equal(batch.audio.select(1, i - 1)) ? 0 : 1;
  EXPECT_EQ(distinct, 5);
  EXPECT_TRUE(batch.audio[0][3].narrow(0, 24, 72).equal(batch.audio[0][4].narrow(0, 0, 72)));
  const auto sound = [&](int64_t pictures) {
    const auto parts = embedding_flops(recipe.model, pictures);
    return std::ranges::find(parts, "audio encoder/mlp", &PartFlops::part)->forward;
  };
  EXPECT_EQ(sound(8), static_cast<double>(distinct) * sound(1));
  StepProfiler profiler(recipe, options);
  EXPECT_NEAR(gflop(profiler.step()), 2 * total_flops(embedding_flops(recipe.model, 8)) / 1e9, 1e-12);
}

TEST(StepProfile, ATeacherIsCountedAndFollows) {
  PretrainOptions recipe = toy_successor();
  recipe.objective.contrastive_mask_ratio = 0.5;
  recipe.schedule.warmup_steps = 100;
  StepProfiler without(recipe, {.batch_size = 2});
  recipe.teacher.ema_decay = 0.9;
  StepProfiler profiler(recipe, {.batch_size = 2});
  EXPECT_DOUBLE_EQ(
      profiler.gflop_per_clip(),
      total_flops(pretraining_flops(recipe.model, recipe.mask, 0.5, {.ranks = true, .distills = true})) /
          1e9);
  EXPECT_GT(profiler.gflop_per_clip(), without.gflop_per_clip());
  ProfiledTraining training = make_profiled_training(recipe, {.batch_size = 2});
  training.step.take(training.group, training.lr);
  EXPECT_FALSE(training.step.task().state().empty());
  EXPECT_NEAR(gflop(profiler.step()), 2 * profiler.gflop_per_clip(), 1e-12);
}

TEST(StepProfile, BatchOutOfRangeIsRefused) {
  EXPECT_THROW(StepProfiler(toy_recipe(), {.batch_size = 0}), ConfigError);
}

}  // namespace
}  // namespace cavmae
