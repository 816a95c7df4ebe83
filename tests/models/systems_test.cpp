// Every system of the paper against its definition, in both passes.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/models/plain_twin.h"
#include "tests/models/toy_model.h"

namespace cavmae {
namespace {

using ::testing::HasSubstr;
using testing_support::IsNear;
using testing_support::plain_decode;
using testing_support::plain_encode;
using testing_support::plain_pick;
using testing_support::random_inputs;
using testing_support::random_model;
using testing_support::small_config;

struct System {
  const char* name;
  CavMaeConfig config;
  size_t num_streams;  // of Latents that are defined
};

std::ostream& operator<<(std::ostream& out, const System& system) {
  return out << system.name;
}

CavMaeConfig changed(void (*change)(CavMaeConfig&)) {
  CavMaeConfig config = small_config();
  change(config);
  return config;
}

std::vector<System> systems() {
  return {{"cav_mae", small_config(), 3},
          {"deep_joint_cav_mae", changed([](auto& c) { c.joint_depth = 3; }), 3},
          {"trained_positions", changed([](auto& c) { c.train_positions = true; }), 3},
          {"one_decoder_layer", changed([](auto& c) { c.decoder_depth = 1; }), 3},
          {"cav", changed([](auto& c) {
             c.joint_streams = JointStreams::separate;
             c.joint_depth = 2;
             c.decoder_depth = 0;
           }),
           2},
          {"av_mae", changed([](auto& c) { c.joint_streams = JointStreams::concat; }), 1},
          {"av_mae_vanilla", changed([](auto& c) {
             c.joint_streams = JointStreams::concat;
             c.modality_depth = 0;
             c.joint_depth = 3;
           }),
           1},
          {"audio_mae", changed([](auto& c) {
             c.modalities = Modalities::audio;
             c.joint_streams = JointStreams::none;
             c.joint_depth = 0;
           }),
           2},
          {"visual_mae", changed([](auto& c) {
             c.modalities = Modalities::video;
             c.joint_streams = JointStreams::none;
             c.joint_depth = 0;
           }),
           2}};
}

// A number that depends on every value of what is defined, each with another weight.
class Probe {
 public:
  void add(const torch::Tensor& x) {
    if (!x.defined()) return;
    const auto weights = torch::empty(x.sizes()).normal_(0, 1, generator_);
    const auto term = (x * weights).sum();
    sum = sum.defined() ? sum + term : term;
    ++count;
  }
  torch::Tensor sum;
  size_t count = 0;

 private:
  torch::Generator generator_ = at::detail::createCPUGenerator(99);
};

class EverySystem : public ::testing::TestWithParam<System> {};

TEST_P(EverySystem, EqualsThePlainTwinInBothPasses) {
  const CavMaeConfig& config = GetParam().config;
  auto model = random_model(config, 1), twin = random_model(config, 1);
  const Inputs inputs = random_inputs(config, 3, 2);
  const Masks masks = model->draw_masks(3, {.mask_ratio_audio = 0.6, .mask_ratio_video = 0.5},
                                        at::detail::createCPUGenerator(3));
  Probe ours, plain;
  const auto encode = [&](const Latents& latents, Probe& probe) {
    for (const auto& stream : {latents.joint, latents.audio, latents.video}) probe.add(stream);
    return latents;
  };
  const Latents latents = encode(model->encode(inputs, masks), ours);
  const Latents expected = encode(plain_encode(twin, inputs, masks), plain);
  EXPECT_EQ(ours.count, GetParam().num_streams);
  if (config.decoder_depth > 0) {
    const Predictions predictions = model->decode(latents.joint, masks, PredictionScope::masked);
    const Predictions all = plain_decode(twin, expected.joint, masks);
    EXPECT_EQ(predictions.audio.defined(), config.has_audio());
    EXPECT_EQ(predictions.video.defined(), config.has_video());
    ours.add(predictions.audio), ours.add(predictions.video);
    if (config.has_audio()) plain.add(plain_pick(all.audio, masks.audio.masked));
    if (config.has_video()) plain.add(plain_pick(all.video, masks.video.masked));
    const Predictions whole = model->decode(latents.joint, masks, PredictionScope::all);
    if (config.has_audio()) {
      EXPECT_THAT(whole.audio, IsNear(all.audio, 1e-5));
    }
    if (config.has_video()) {
      EXPECT_THAT(whole.video, IsNear(all.video, 1e-5));
    }
  }
  EXPECT_EQ(ours.count, plain.count);
  EXPECT_THAT(ours.sum, IsNear(plain.sum, 1e-4));
  ours.sum.backward();
  plain.sum.backward();
  const auto twins = twin->named_parameters();
  for (const auto& item : model->named_parameters()) {
    const auto& expected_gradient = twins[item.key()].grad();
    ASSERT_EQ(item.value().grad().defined(), expected_gradient.defined()) << item.key();
    if (!expected_gradient.defined()) continue;
    EXPECT_THAT(item.value().grad(), IsNear(expected_gradient, 2e-5)) << item.key();
  }
}

// One stream wholly masked, the other wholly or partly seen: what is rebuilt comes from the other alone.
TEST_P(EverySystem, RebuildsAHiddenStreamFromTheOther) {
  const CavMaeConfig& config = GetParam().config;
  if (config.decoder_depth == 0 || !config.has_audio() || !config.has_video()) return;
  auto model = random_model(config, 12), twin = random_model(config, 12);
  const Inputs inputs = random_inputs(config, 2, 13);
  for (const double seen_ratio : {0.0, 0.5}) {
    for (const bool hide_audio : {true, false}) {
      const MaskOptions options{.mask_ratio_audio = hide_audio ? 1.0 : seen_ratio,
                                .mask_ratio_video = hide_audio ? seen_ratio : 1.0};
      const Masks masks = model->draw_masks(2, options, at::detail::createCPUGenerator(14));
      const Latents latents = model->encode(inputs, masks);
      const Predictions ours = model->decode(latents.joint, masks, PredictionScope::masked);
      const Predictions all = plain_decode(twin, plain_encode(twin, inputs, masks).joint, masks);
      EXPECT_THAT(ours.audio, IsNear(plain_pick(all.audio, masks.audio.masked), 1e-5));
      EXPECT_THAT(ours.video, IsNear(plain_pick(all.video, masks.video.masked), 1e-5));

      Inputs others = inputs;
      (hide_audio ? others.audio : others.video) =
          torch::zeros_like(hide_audio ? inputs.audio : inputs.video);
      EXPECT_TRUE(model->encode(others, masks).joint.equal(latents.joint)) << "nothing leaks";
      model->zero_grad();
      (hide_audio ? ours.audio : ours.video).square().sum().backward();
      for (const auto& item : model->named_parameters())
        if (item.value().grad().defined()) {
          EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
        }
    }
  }
}

TEST_P(EverySystem, FeaturesAreMeansOfUnmaskedStreams) {
  const CavMaeConfig& config = GetParam().config;
  auto model = random_model(config, 4);
  const Inputs inputs = random_inputs(config, 2, 5);
  const torch::NoGradGuard no_grad;
  const Embeddings embeddings = model->embed(inputs);
  const Latents latents = plain_encode(model, inputs, {});
  EXPECT_EQ(embeddings.audio.defined(), config.has_audio());
  EXPECT_EQ(embeddings.video.defined(), config.has_video());
  const int64_t num_audio = config.has_audio() ? config.num_audio_patches() : 0;
  if (config.has_audio()) {
    const auto tokens = latents.audio.defined() ? latents.audio : latents.joint.narrow(1, 0, num_audio);
    EXPECT_THAT(embeddings.audio, IsNear(tokens.mean(1), 1e-5));
  }
  if (config.has_video()) {
    const auto tokens = latents.video.defined()
                            ? latents.video
                            : latents.joint.narrow(1, num_audio, config.num_video_patches());
    EXPECT_THAT(embeddings.video, IsNear(tokens.mean(1), 1e-5));
  }
}

TEST_P(EverySystem, Bf16IsCloseToFp32) {
  const CavMaeConfig& config = GetParam().config;
  auto model = random_model(config, 6);
  const Inputs inputs = random_inputs(config, 2, 7);
  const torch::NoGradGuard no_grad;
  const Embeddings exact = model->embed(inputs);
  model->set_precision(Precision::bf16);
  const Embeddings rounded = model->embed(inputs);
  for (const auto& [ours, expected] :
       {std::pair(rounded.audio, exact.audio), std::pair(rounded.video, exact.video)}) {
    if (!expected.defined()) continue;
    EXPECT_THAT(ours, IsNear(expected, 5e-2));
    EXPECT_FALSE(ours.equal(expected));
  }
}

TEST_P(EverySystem, RegistersWhatItUsesAndNothingElse) {
  const CavMaeConfig& config = GetParam().config;
  auto model = random_model(config, 8);
  for (const auto& item : model->named_parameters()) {
    const std::string& name = item.key();
    const auto is_of = [&](const char* letter) {
      return name.find(std::string(letter) + ".") != std::string::npos || name.ends_with(letter);
    };
    if (!config.has_video()) {
      EXPECT_FALSE(is_of("_v")) << name;
    }
    if (!config.has_audio()) {
      EXPECT_FALSE(is_of("_a")) << name;
    }
    if (config.decoder_depth == 0) {
      EXPECT_FALSE(name.starts_with("decoder") || name == "mask_token") << name;
    }
    if (config.joint_streams == JointStreams::none) {
      EXPECT_FALSE(name.starts_with("blocks_u")) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Systems, EverySystem, ::testing::ValuesIn(systems()),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

TEST(Systems, OneInputIsEnoughWhereAModalityHasAStreamOfItsOwn) {
  for (const auto streams : {JointStreams::separate_and_concat, JointStreams::separate}) {
    CavMaeConfig config = small_config();
    config.joint_streams = streams;
    if (streams == JointStreams::separate) config.decoder_depth = 0;
    auto model = random_model(config, 9);
    const Inputs inputs = random_inputs(config, 2, 10);
    const torch::NoGradGuard no_grad;
    const Embeddings both = model->embed(inputs);
    const Embeddings sound = model->embed({.audio = inputs.audio, .video = {}});
    EXPECT_THAT(sound.audio, IsNear(both.audio, 1e-6));
    EXPECT_FALSE(sound.video.defined());
    const Latents pictures = model->encode({.audio = {}, .video = inputs.video});
    EXPECT_THAT(pictures.video.mean(1), IsNear(both.video, 1e-6));
    EXPECT_FALSE(pictures.joint.defined());
    EXPECT_FALSE(pictures.audio.defined());
  }
}

TEST(Systems, InputsThatANetworkCannotTakeAreNamed) {
  const auto message = [](CavMaeConfig config, const Inputs& inputs) -> std::string {
    CavMae model(config);
    try {
      model->embed(inputs);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  const CavMaeConfig config = small_config();
  const Inputs good = random_inputs(config, 2, 11);
  EXPECT_THAT(message(config, {}), HasSubstr("no input"));
  EXPECT_THAT(message(config, {.audio = torch::zeros({2, 90, 32}), .video = {}}),
              ::testing::AllOf(HasSubstr("[2, 90, 32]"), HasSubstr("[clips, 96, 32]")));
  EXPECT_THAT(message(config, {.audio = {}, .video = torch::zeros({2, 1, 48, 48})}),
              HasSubstr("video input has the shape [2, 1, 48, 48]"));
  EXPECT_THAT(message(config, {.audio = good.audio, .video = torch::zeros({3, 3, 48, 48})}),
              HasSubstr("a batch of 2 audio and 3 video"));
  const CavMaeConfig joint_only = changed([](auto& c) { c.joint_streams = JointStreams::concat; });
  EXPECT_THAT(message(joint_only, {.audio = good.audio, .video = {}}), HasSubstr("give it both"));
  CavMae without_decoder(changed([](auto& c) { c.decoder_depth = 0; }));
  EXPECT_THROW(without_decoder->decode(torch::zeros({1, 2, 24}), {}, PredictionScope::all), ConfigError);
}

}  // namespace
}  // namespace cavmae
