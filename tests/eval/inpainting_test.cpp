#include "cavmae/eval/inpainting.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/eval/tiny_model.h"

namespace cavmae {
namespace {

struct Scene {
  CavMae model;
  Inputs inputs;
  Masks masks;

  explicit Scene(const CavMaeConfig& config = testing::tiny_config()) : model(testing::tiny_model(config)) {
    torch::manual_seed(5);
    inputs = {.audio = torch::randn({2, 64, 32}), .video = torch::randn({2, 3, 32, 32})};
    masks = model->draw_masks(2, {.mask_ratio_audio = 0.5, .mask_ratio_video = 0.75},
                              at::detail::createCPUGenerator(uint64_t{7}));
  }
};

// Patch by patch: the network's prediction where masked, the original elsewhere. patches, predicted: [B, L,
// n].
torch::Tensor rebuilt_by_hand(const torch::Tensor& patches, const torch::Tensor& predicted,
                              const torch::Tensor& mask, bool normalized) {
  torch::Tensor out = patches.clone();
  for (int64_t b = 0; b < patches.size(0); ++b) {
    for (int64_t l = 0; l < patches.size(1); ++l) {
      if (mask[b][l].item<float>() < 0.5f) continue;
      const torch::Tensor original = patches[b][l];
      const torch::Tensor deviation = (original.var(/*unbiased=*/true) + 1e-6).sqrt();
      out[b][l] = normalized ? predicted[b][l] * deviation + original.mean() : predicted[b][l];
    }
  }
  return out;
}

// Global tokens and registers are no patches: nothing is rebuilt of them.
class InpaintingOf : public ::testing::TestWithParam<bool> {};

TEST_P(InpaintingOf, PutsPredictionsWherePatchesWereHidden) {
  CavMaeConfig config = testing::tiny_config();
  config.global_tokens = GetParam();
  config.registers = GetParam() ? 3 : 0;
  Scene scene(config);
  torch::NoGradGuard no_grad;
  const Predictions all = scene.model->decode(scene.model->encode(scene.inputs, scene.masks).joint,
                                              scene.masks, PredictionScope::all);
  for (const bool normalized : {false, true}) {
    const Inpainting result = inpaint(scene.model, scene.inputs, scene.masks, normalized);
    const torch::Tensor audio = rebuilt_by_hand(patchify_audio(scene.inputs.audio, 16), all.audio,
                                                scene.masks.audio.mask, normalized);
    const torch::Tensor video = rebuilt_by_hand(patchify_video(scene.inputs.video, 16), all.video,
                                                scene.masks.video.mask, normalized);
    EXPECT_TRUE(result.rebuilt_audio.allclose(unpatchify_audio(audio, 16, 64), 1e-4, 1e-5)) << normalized;
    EXPECT_TRUE(result.rebuilt_video.allclose(unpatchify_video(video, 16), 1e-4, 1e-5)) << normalized;
  }
}

INSTANTIATE_TEST_SUITE_P(NetworksWithLearnedTokens, InpaintingOf, ::testing::Bool());

TEST(Inpainting, LeavesVisiblePatchesAlone) {
  Scene scene;
  const Inpainting result = inpaint(scene.model, scene.inputs, scene.masks, true);
  EXPECT_TRUE(result.original_audio.equal(scene.inputs.audio));
  EXPECT_TRUE(result.original_video.equal(scene.inputs.video));
  const torch::Tensor seen = result.mask_audio.logical_not();
  EXPECT_TRUE(result.masked_audio.masked_select(seen).equal(scene.inputs.audio.masked_select(seen)));
  EXPECT_TRUE(result.rebuilt_audio.masked_select(seen).equal(scene.inputs.audio.masked_select(seen)));
  EXPECT_EQ(result.masked_audio.masked_select(result.mask_audio).abs().sum().item<double>(), 0.0);
  EXPECT_DOUBLE_EQ(result.mask_audio.to(torch::kFloat64).mean().item<double>(), 0.5);
  EXPECT_DOUBLE_EQ(result.mask_video.to(torch::kFloat64).mean().item<double>(), 0.75);
  const torch::Tensor masked = result.mask_video.unsqueeze(1).expand({-1, 3, -1, -1});
  EXPECT_EQ(result.masked_video.masked_select(masked).abs().sum().item<double>(), 0.0);
  EXPECT_TRUE(result.masked_video.masked_select(masked.logical_not())
                  .equal(scene.inputs.video.masked_select(masked.logical_not())));
}

TEST(Inpainting, RebuildsWhatTheClipLacksFromTheOtherModality) {
  Scene scene;
  scene.masks = scene.model->draw_masks(2, {.mask_ratio_audio = 0, .mask_ratio_video = 1},
                                        at::detail::createCPUGenerator(uint64_t{7}));
  const Inpainting known = inpaint(scene.model, scene.inputs, scene.masks, false);
  EXPECT_TRUE(known.mask_video.all().item<bool>());
  EXPECT_TRUE(known.rebuilt_audio.equal(scene.inputs.audio)) << "nothing of it was hidden";
  for (const bool normalized : {false, true}) {
    const Inpainting blind =
        inpaint(scene.model, {.audio = scene.inputs.audio, .video = {}}, scene.masks, normalized);
    EXPECT_FALSE(blind.original_video.defined() || blind.masked_video.defined());
    EXPECT_TRUE(blind.rebuilt_video.equal(known.rebuilt_video)) << "as predicted";
  }
  scene.masks = scene.model->draw_masks(2, {}, at::detail::createCPUGenerator(uint64_t{7}));
  EXPECT_THROW(inpaint(scene.model, {.audio = scene.inputs.audio, .video = {}}, scene.masks, false),
               ConfigError);
}

TEST(Inpainting, ErrorIsTakenWherePatchesWereHidden) {
  Scene scene;
  const Inpainting result = inpaint(scene.model, scene.inputs, scene.masks, true);
  const InpaintingError error = inpainting_error(result);
  const auto by_hand = [](const torch::Tensor& original, const torch::Tensor& rebuilt, double masked_share) {
    return (original - rebuilt).square().mean().item<double>() / masked_share;
  };
  EXPECT_NEAR(error.audio, by_hand(result.original_audio, result.rebuilt_audio, 0.5), 1e-5);
  EXPECT_NEAR(error.video, by_hand(result.original_video, result.rebuilt_video, 0.75), 1e-5);
  EXPECT_TRUE(std::isnan(inpainting_error({}).audio));
}

TEST(Inpainting, TakesNoGradient) {
  Scene scene;
  EXPECT_FALSE(inpaint(scene.model, scene.inputs, scene.masks, true).rebuilt_video.requires_grad());
}

TEST(Inpainting, NeedsADecoder) {
  CavMaeConfig config = testing::tiny_config();
  config.decoder_depth = 0;
  config.joint_streams = JointStreams::separate;
  CavMae model = testing::tiny_model(config);
  Scene scene;
  EXPECT_THAT([&] { inpaint(model, scene.inputs, scene.masks, true); },
              ::testing::ThrowsMessage<ConfigError>(::testing::HasSubstr("decoder")));
}

}  // namespace
}  // namespace cavmae
