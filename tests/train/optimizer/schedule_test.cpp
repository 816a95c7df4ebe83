#include "cavmae/train/optimizer/schedule.h"

#include <gmock/gmock.h>

namespace cavmae {
namespace {

TEST(Schedule, StepDecayIsTheAuthorsTable) {
  // MultiStepLR with milestones 10, 15, 20, ... and gamma 0.5, stepped at the end of each epoch.
  ScheduleOptions options;
  options.lr = 5e-5;
  const std::pair<int64_t, double> table[] = {{0, 5e-5},      {9, 5e-5},      {10, 2.5e-5},  {14, 2.5e-5},
                                              {15, 1.25e-5},  {19, 1.25e-5},  {20, 6.25e-6}, {24, 6.25e-6},
                                              {25, 3.125e-6}, {30, 1.5625e-6}};
  for (const auto& [epoch, lr] : table)
    EXPECT_DOUBLE_EQ(learning_rate(options, {.epoch = epoch, .step = 1000 * epoch}), lr) << "epoch " << epoch;
}

TEST(Schedule, StepDecayTakesStartStepAndFactor) {
  ScheduleOptions options;
  options.lr = 1.0;
  options.decay_start = 2;
  options.decay_step = 1;
  options.decay_factor = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate(options, {.epoch = 1}), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.epoch = 2}), 0.1);
  EXPECT_NEAR(learning_rate(options, {.epoch = 4}), 1e-3, 1e-12);
}

TEST(Schedule, WarmUpRisesLinearlyToTheLearningRate) {
  ScheduleOptions options;
  options.lr = 1.0;
  options.lr_schedule = LrSchedule::constant;
  options.warmup_steps = 4;
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 0}), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 3}), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 4}), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.epoch = 40, .step = 4000}), 1.0);
}

TEST(Schedule, WarmUpMayBeAShareOfTheRun) {
  ScheduleOptions options;
  options.lr = 1.0;
  options.lr_schedule = LrSchedule::cosine;
  options.warmup_share = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 0, .total_steps = 110}), 1.0 / 11);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 10, .total_steps = 110}), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 11, .total_steps = 110}), 1.0);
  EXPECT_NEAR(learning_rate(options, {.step = 11 + 49, .total_steps = 109}), 0.5, 1e-12)
      << "half of the rest";
  EXPECT_EQ(warmup_of(options, 86'500), 8650);
  options.warmup_share = 0;
  options.warmup_steps = 7;
  EXPECT_EQ(warmup_of(options, 86'500), 7);
}

TEST(Schedule, CosineFallsFromTheLearningRateToItsShare) {
  ScheduleOptions options;
  options.lr = 2.0;
  options.lr_schedule = LrSchedule::cosine;
  options.warmup_steps = 10;
  options.min_lr_ratio = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 10, .total_steps = 110}), 2.0);
  EXPECT_NEAR(learning_rate(options, {.step = 60, .total_steps = 110}), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate(options, {.step = 110, .total_steps = 110}), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate(options, {.step = 500, .total_steps = 110}), 0.2, 1e-12) << "past the end";
  EXPECT_DOUBLE_EQ(learning_rate(options, {.step = 0, .total_steps = 0}), 0.2) << "in the warm-up";
}

}  // namespace
}  // namespace cavmae
