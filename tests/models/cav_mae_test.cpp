// Sizes, initial values, configuration errors and the scope of predictions.
#include "cavmae/models/cav_mae.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

#include "tests/models/toy_model.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsNear;
using testing_support::objective;
using testing_support::random_inputs;
using testing_support::random_model;
using testing_support::small_config;

TEST(CavMae, TheDefaultHas191036Million) {
  CavMae model(CavMaeConfig{});
  int64_t all = 0, training = 0;
  for (const auto& parameter : model->parameters()) {
    all += parameter.numel();
    if (parameter.requires_grad()) training += parameter.numel();
  }
  EXPECT_EQ((all + 500) / 1000, 191'036);
  EXPECT_EQ((training + 500) / 1000, 190'130);
}

TEST(CavMae, HiddenScopeEqualsAllScopeInLossAndGradients) {
  const auto run = [](PredictionScope scope) {
    auto model = random_model(small_config(), 1);
    const Masks masks = model->draw_masks(2, {.audio_mask_mode = AudioMaskMode::time_frequency},
                                          at::detail::createCPUGenerator(2));
    const auto result = objective(model, random_inputs(small_config(), 2, 3), masks, {}, scope);
    result.loss.backward();
    return std::pair(result.loss.detach(), model);
  };
  const auto [masked_loss, masked] = run(PredictionScope::masked);
  const auto [all_loss, all] = run(PredictionScope::all);
  EXPECT_THAT(masked_loss, IsNear(all_loss, 1e-6));
  const auto expected = all->named_parameters();
  for (const auto& item : masked->named_parameters()) {
    const auto& gradient = expected[item.key()].grad();
    ASSERT_EQ(item.value().grad().defined(), gradient.defined()) << item.key();
    if (!gradient.defined()) continue;
    EXPECT_THAT(item.value().grad(), IsNear(gradient, 1e-5)) << item.key();
  }
}

TEST(CavMae, TrainsInBf16CloseToFp32) {
  const auto run = [](Precision precision) {
    auto model = random_model(small_config(), 4);
    model->set_precision(precision);
    const Masks masks = model->draw_masks(4, {}, at::detail::createCPUGenerator(5));
    const auto result = objective(model, random_inputs(small_config(), 4, 6), masks, {});
    result.loss.backward();
    return std::pair(result.loss.detach(), model);
  };
  const auto [loss, model] = run(Precision::bf16);
  const auto [exact_loss, exact] = run(Precision::fp32);
  EXPECT_THAT(loss, IsNear(exact_loss, 1e-2));
  const auto expected = exact->named_parameters();
  for (const auto& item : model->named_parameters()) {
    const auto& gradient = expected[item.key()].grad();
    if (!gradient.defined()) continue;
    EXPECT_EQ(item.value().scalar_type(), torch::kFloat32);
    const auto ours = item.value().grad().flatten(), theirs = gradient.flatten();
    EXPECT_GT(at::cosine_similarity(ours, theirs, 0).item<float>(), 0.98F) << item.key();
  }
}

TEST(CavMae, PatchesComeBackTogether) {
  const Inputs inputs = random_inputs(small_config(), 2, 7);
  EXPECT_TRUE(unpatchify_audio(patchify_audio(inputs.audio, 16), 16, 96).equal(inputs.audio));
  EXPECT_TRUE(unpatchify_video(patchify_video(inputs.video, 16), 16).equal(inputs.video));
  // Token = frequency row * columns + time column; within a patch frequency, then time.
  EXPECT_EQ(patchify_audio(inputs.audio, 16)[1][1 * 6 + 4][3 * 16 + 5].item<float>(),
            inputs.audio[1][4 * 16 + 5][16 + 3].item<float>());
}

TEST(CavMae, MasksDependOnTheSeedAlone) {
  CavMae model(small_config());
  const auto draw = [&](uint64_t seed) {
    return model->draw_masks(3, {}, at::detail::createCPUGenerator(seed));
  };
  EXPECT_TRUE(draw(1).video.restore.equal(draw(1).video.restore));
  EXPECT_FALSE(draw(1).audio.restore.equal(draw(2).audio.restore));
}

TEST(Initialize, FollowsTheAuthorsDistributions) {
  CavMae model(
      CavMaeConfig{.num_fbank_frames = 128, .image_size = 64, .modality_depth = 1, .decoder_depth = 1});
  initialize(model, 1);
  const auto p = model->named_parameters();
  const auto expect_uniform = [&](const char* name, double inputs, double outputs) {
    const double bound = std::sqrt(6.0 / (inputs + outputs));
    EXPECT_LE(p[name].abs().max().item<double>(), bound) << name;
    EXPECT_NEAR(p[name].std().item<double>(), bound / std::sqrt(3.0), 0.01 * bound) << name;
  };
  expect_uniform("blocks_a.0.attn.qkv.weight", 768, 3 * 768);
  expect_uniform("patch_embed_v.proj.weight", 768, 768);
  expect_uniform("patch_embed_a.proj.weight", 256, 768);
  expect_uniform("decoder_pred_v.weight", 512, 768);
  for (const char* name : {"modality_a", "modality_v", "mask_token", "decoder_modality_a"})
    EXPECT_NEAR(p[name].std().item<double>(), 0.02, 0.003) << name;
  for (const char* name : {"blocks_u.0.mlp.fc1.bias", "norm_a.bias", "patch_embed_a.proj.bias"})
    EXPECT_TRUE(p[name].eq(0).all().item<bool>()) << name;
  EXPECT_TRUE(p["blocks_v.0.norm2_v.weight"].eq(1).all().item<bool>());
}

TEST(Initialize, OneSeedOneNetwork) {
  CavMae one(small_config()), same(small_config()), other(small_config());
  initialize(one, 1), initialize(same, 1), initialize(other, 2);
  EXPECT_TRUE(one->parameters()[0].equal(same->parameters()[0]));
  EXPECT_FALSE(one->parameters()[0].equal(other->parameters()[0]));
}

TEST(Initialize, PutsTrainedPositionsBack) {
  CavMaeConfig config = small_config();
  config.train_positions = true;
  CavMae model(config);
  const auto positions = model->named_parameters()["decoder_pos_embed_v"];
  EXPECT_TRUE(positions.requires_grad());
  const auto before = positions.detach().clone();
  torch::NoGradGuard no_grad;
  positions.detach().fill_(7);
  initialize(model, 1);
  EXPECT_TRUE(positions.equal(before));
}

std::string problems(const CavMaeConfig& config) {
  try {
    config.validate();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(CavMaeConfig, TheDefaultAndTheSmallOneAreGood) {
  EXPECT_EQ(problems({}), "");
  EXPECT_EQ(problems(small_config()), "");
}

TEST(CavMaeConfig, EveryBadFieldIsToldAtOnce) {
  const CavMaeConfig bad{.num_fbank_frames = 1000,
                         .num_mel_bins = 0,
                         .image_size = 225,
                         .embed_dim = 770,
                         .num_heads = 12,
                         .mlp_ratio = 0,
                         .modality_depth = -1,
                         .decoder_embed_dim = 512,
                         .decoder_num_heads = 0};
  EXPECT_THAT(problems(bad),
              AllOf(HasSubstr("num_fbank_frames is 1000"), HasSubstr("num_mel_bins is 0"),
                    HasSubstr("image_size is 225"), HasSubstr("patch_size (16)"), HasSubstr("num_heads (12)"),
                    HasSubstr("embed_dim is 770"), HasSubstr("mlp_ratio is 0")));
  EXPECT_THAT(problems(bad), AllOf(HasSubstr("modality_depth is -1"), HasSubstr("decoder_num_heads is 0")));
  EXPECT_THROW(CavMae{bad}, ConfigError);
}

TEST(CavMaeConfig, StreamsMustFitTheModalities) {
  EXPECT_THAT(problems({.joint_streams = JointStreams::none}), HasSubstr("joint_streams is none"));
  EXPECT_THAT(problems({.modalities = Modalities::audio}), HasSubstr("joint_streams is all"));
  EXPECT_THAT(problems({.modalities = Modalities::video, .joint_streams = JointStreams::none}),
              HasSubstr("joint_depth is 1"));
  EXPECT_THAT(problems({.joint_depth = 0}), HasSubstr("joint_depth is 0"));
  EXPECT_THAT(problems({.joint_streams = JointStreams::separate}), HasSubstr("decoder_depth is 8"));
  // What a network does not have is not looked at.
  EXPECT_EQ(problems({.modalities = Modalities::audio,
                      .joint_streams = JointStreams::none,
                      .image_size = 3,
                      .joint_depth = 0}),
            "");
  EXPECT_EQ(problems({.decoder_depth = 0, .decoder_embed_dim = 3}), "");
}

}  // namespace
}  // namespace cavmae
