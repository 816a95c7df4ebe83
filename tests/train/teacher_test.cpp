// The teacher: its moving average, what it ranks, and that a run with one resumes bit for bit.
#include "cavmae/train/teacher.h"

#include <cmath>
#include <csignal>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/options.h"
#include "cavmae/train/setup.h"

#include "tests/support/golden.h"
#include "tests/train/same_end.h"
#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

using testing_support::IsNear;

CavMaeConfig teacher_config() {
  CavMaeConfig config = toy_config();
  config.global_tokens = true;
  config.registers = 2;
  return config;
}

CavMae network_of(uint64_t seed) {
  CavMae model(teacher_config());
  initialize(model, seed);
  return model;
}

Inputs inputs_of(int64_t clips) {
  torch::manual_seed(9);
  const CavMaeConfig config = teacher_config();
  return {.audio = torch::randn({clips, config.num_fbank_frames, config.num_mel_bins}),
          .video = torch::randn({clips, 3, config.image_size, config.image_size})};
}

torch::Tensor parameter_of(const NamedTensors& state, const std::string& name) {
  for (const auto& [key, value] : state)
    if (key == name) return value;
  return {};
}

TEST(Teacher, FollowsTheNetworkByAMovingAverage) {
  CavMae network = network_of(1);
  Teacher teacher({.ema_decay = 0.9}, 0);
  teacher.look(network, inputs_of(2));
  const std::string name = "blocks_a.0.attn.qkv.weight";
  torch::Tensor expected = network->named_parameters()[name].detach().clone();
  EXPECT_TRUE(parameter_of(teacher.state(), name).equal(expected));
  for (int64_t step = 1; step <= 4; ++step) {
    {
      const torch::NoGradGuard no_grad;
      for (auto& parameter : network->parameters()) parameter.add_(0.01 * static_cast<double>(step));
    }
    teacher.follow(network, {.done = step, .total = 4});
    const double decay = 1 - 0.1 * (1 + std::cos(std::numbers::pi * static_cast<double>(step) / 4)) / 2;
    expected = decay * expected + (1 - decay) * network->named_parameters()[name].detach();
    EXPECT_THAT(parameter_of(teacher.state(), name), IsNear(expected, 1e-6)) << step;
  }
}

TEST(Teacher, KeepsThePatchesThatAttendMostToTheGlobalToken) {
  CavMae network = network_of(2);
  const Inputs inputs = inputs_of(3);
  Teacher teacher({.ema_decay = 0.9, .ranking = Ranking::top}, 0);
  teacher.look(network, inputs);
  const Masks masks = teacher.masks(0.5, at::detail::createCPUGenerator(1));
  const GlobalAttention seen = network->attend_to_global(inputs);
  const auto lowest_kept = seen.audio_scores.gather(1, masks.audio.keep).amin(1);
  const auto highest_masked = seen.audio_scores.gather(1, masks.audio.masked).amax(1);
  EXPECT_TRUE(lowest_kept.ge(highest_masked).all().item<bool>());
  EXPECT_EQ(masks.audio.keep.size(1), num_kept(seen.audio_scores.size(1), 0.5));
  EXPECT_TRUE(std::get<0>(masks.video.restore.sort(1))
                  .equal(torch::arange(masks.video.restore.size(1)).expand_as(masks.video.restore)));
}

// A patch that scores a deviation above another is drawn before it more often.
TEST(Teacher, SampledRanksPreferHighScores) {
  const auto scores = torch::tensor({{0.010F, 0.012F, 0.030F, 0.011F}}).expand({2000, 4});
  const auto order = rank_patches(scores, Ranking::sampled, 1.0, at::detail::createCPUGenerator(5));
  const auto first = order.select(1, 0);
  const double share = first.eq(2).to(torch::kFloat64).mean().item<double>();
  const auto scaled = (scores[0] - scores[0].mean()) / scores[0].std(/*unbiased=*/false);
  EXPECT_NEAR(share, scaled.softmax(0)[2].item<double>(), 0.04);
  for (int64_t patch = 0; patch < 4; ++patch)
    EXPECT_EQ(order.eq(patch).sum(1).eq(1).sum().item<int64_t>(), 2000);
}

TEST(Teacher, DistillationIsTheCosineDistance) {
  CavMae network = network_of(3);
  const Inputs inputs = inputs_of(2);
  Teacher teacher({.ema_decay = 0.9, .distillation_weight = 0.25}, 0);
  teacher.look(network, inputs);
  StepResult same;
  teacher.add_distillation(same, network->encode(inputs));
  EXPECT_EQ(same.terms.at(0).name, "distillation");
  EXPECT_EQ(same.terms.at(0).weight, 0.25);
  EXPECT_NEAR(same.terms.at(0).value.item<double>(), 0.0, 1e-5);
}

// Before it ranks, and without a distillation, a step needs nothing of it; but it begins.
TEST(Teacher, ComputesWhatAStepNeeds) {
  CavMae network = network_of(3);
  const Inputs unfit{.audio = torch::zeros({2, 1, 1}), .video = torch::zeros({2, 3, 1, 1})};
  Teacher idle({.ema_decay = 0.9, .distillation_weight = 0.0}, 5);
  EXPECT_NO_THROW(idle.look(network, unfit));
  EXPECT_FALSE(idle.state().empty());
  Teacher distilling({.ema_decay = 0.9, .distillation_weight = 0.25}, 5);
  EXPECT_THROW(distilling.look(network, unfit), ConfigError);
  Teacher ranking({.ema_decay = 0.9, .distillation_weight = 0.0}, 0);
  EXPECT_THROW(ranking.look(network, unfit), ConfigError);
  const Inputs inputs = inputs_of(3);
  ranking.look(network, inputs);
  EXPECT_NO_THROW(ranking.masks(0.5, at::detail::createCPUGenerator(1)));

  const GlobalAttention all = network->attend_to_global(inputs);
  const GlobalAttention scores = network->attend_to_global(inputs, {.scores = true, .tokens = false});
  const GlobalAttention tokens = network->attend_to_global(inputs, {.scores = false, .tokens = true});
  EXPECT_TRUE(scores.audio_scores.equal(all.audio_scores) && scores.video_scores.equal(all.video_scores));
  EXPECT_TRUE(tokens.audio_token.equal(all.audio_token) && tokens.video_token.equal(all.video_token));
  EXPECT_FALSE(scores.audio_token.defined() || tokens.audio_scores.defined());
}

// Which is more clips than are encoded at once.
TEST(Teacher, SeesEachClipOfALargeBatchAsItIsAlone) {
  CavMae network = network_of(3);
  const Inputs inputs = inputs_of(150);
  const GlobalAttention all = network->attend_to_global(inputs);
  ASSERT_EQ(all.audio_scores.size(0), 150);
  ASSERT_EQ(all.video_token.size(0), 150);
  for (const int64_t clip : {0, 63, 64, 100, 128, 149}) {
    const GlobalAttention one = network->attend_to_global(
        {.audio = inputs.audio.narrow(0, clip, 1), .video = inputs.video.narrow(0, clip, 1)});
    EXPECT_THAT(all.audio_scores[clip], IsNear(one.audio_scores[0], 1e-5)) << clip;
    EXPECT_THAT(all.video_scores[clip], IsNear(one.video_scores[0], 1e-5)) << clip;
    EXPECT_THAT(all.audio_token[clip], IsNear(one.audio_token[0], 1e-5)) << clip;
    EXPECT_THAT(all.video_token[clip], IsNear(one.video_token[0], 1e-5)) << clip;
  }
}

TEST(Teacher, RanksFromTheStepThatIsNamed) {
  CavMae network = network_of(4);
  Teacher teacher({.ema_decay = 0.9}, 2);
  EXPECT_FALSE(teacher.ranks());
  teacher.follow(network, {.done = 2, .total = 10});
  EXPECT_TRUE(teacher.ranks());
}

TEST(TeacherOptions, ThatARunDidNotHaveAreNotResumedWith) {
  const PretrainOptions before = toy_options();
  PretrainOptions now = before;
  now.objective.contrastive_mask_ratio = 0.5;
  const auto resume = [](const PretrainOptions& saved, const PretrainOptions& with) {
    return check_resumable(option_to_json(saved), with);
  };
  EXPECT_THAT([&] { resume(before, now); }, ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr(
                                                "contrastive_mask_ratio: the run has the "
                                                "default, this call 0.5")));
  EXPECT_THAT([&] { resume(now, before); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("this call the default")));
  EXPECT_NO_THROW(resume(now, now));
  // Its EMA rises over all epochs.
  now.model.global_tokens = true;
  now.teacher.ema_decay = 0.9;
  PretrainOptions longer = now;
  longer.epochs = now.epochs + 1;
  EXPECT_THAT([&] { resume(now, longer); }, ::testing::ThrowsMessage<ConfigError>(
                                                ::testing::HasSubstr("over which its teacher's EMA rises")));
}

TEST(TeacherOptions, AskForWhatTheyNeed) {
  PretrainOptions options = toy_options();
  options.teacher.ema_decay = 0.99;
  EXPECT_THAT([&] { options.validate(); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("contrastive_mask_ratio")));
  options.model.global_tokens = true;
  options.objective.contrastive_mask_ratio = 0.5;
  EXPECT_NO_THROW(options.validate());
  options.objective.contrastive_weight = 0;
  EXPECT_THAT([&] { options.validate(); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("contrastive_weight is 0;")));
  EXPECT_FALSE(option_to_json(PretrainOptions()).contains("teacher"));
}

// As cav-mae-tgdp: segments, registers, a pass of the contrastive loss's own.
PretrainOptions taught_options() {
  PretrainOptions options = toy_options();
  options.model.audio_window_frames = 32;
  options.data.alignment = Alignment::picture;
  options.data.num_frames = 4;
  options.view.noise = options.view.roll = false;
  options.model.global_tokens = true;
  options.model.registers = 1;
  options.objective.contrastive_mask_ratio = 0.5;
  options.teacher.ema_decay = 0.9;
  options.teacher.ranking_from_step = 4;
  return options;
}

// Stopped after each of `stops`, with the teacher's state.
void expect_resumes(const PretrainOptions& options, const std::vector<int64_t>& stops, int64_t steps) {
  ASSERT_NO_THROW(options.validate());
  const ToyRun toy;
  EXPECT_EQ(run_toy(options, toy.paths("whole")).steps, steps);
  const auto state_in = [&](const std::string& run) {
    return toy / (run + "/checkpoints/last/task.safetensors");
  };
  EXPECT_EQ(read_safetensors(state_in("whole")).at("steps").item<int64_t>(), steps);
  for (const int64_t stop : stops) {
    run_toy(options, toy.paths("run"), [&](int64_t step) {
      if (step == stop) std::raise(SIGTERM);
    });
    EXPECT_EQ(run_toy(options, toy.paths("run", RunStart::resume)).steps, steps);
    expect_same_end(toy / "run", toy / "whole");
    expect_same_tensors(state_in("run"), state_in("whole"));
    std::filesystem::remove_all(toy / "run");
  }
}

// Before and after the teacher ranks, which is from step 4 on.
TEST(Teacher, AStoppedRunResumesBitForBit) {
  for (const Ranking ranking : {Ranking::sampled, Ranking::top}) {
    PretrainOptions options = taught_options();
    options.teacher.ranking = ranking;
    expect_resumes(options, {3, 7}, 10);
  }
}

// Five batches of an epoch are three steps, after each of which it follows once.
TEST(Teacher, FollowsAStepOfSeveralBatchesOnce) {
  PretrainOptions options = taught_options();
  options.gradient_accumulation = 2;
  expect_resumes(options, {2, 5}, 6);
}

}  // namespace
}  // namespace cavmae
