// Small networks for the tests of models.
#pragma once

#include <string>

#include "cavmae/losses/contrastive.h"
#include "cavmae/losses/pretraining.h"
#include "cavmae/losses/reconstruction.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/pretrained.h"

#include "tests/support/golden.h"

namespace cavmae::testing_support {

// The network of the golden files.
inline CavMaeConfig golden_config() {
  return {.num_fbank_frames = 128,
          .image_size = 64,
          .embed_dim = 32,
          .num_heads = 4,
          .decoder_depth = 2,
          .decoder_embed_dim = 24,
          .decoder_num_heads = 4};
}

// A smaller one, so that every path is quick.
inline CavMaeConfig small_config() {
  return {.num_fbank_frames = 96,
          .num_mel_bins = 32,
          .image_size = 48,
          .embed_dim = 24,
          .num_heads = 2,
          .modality_depth = 2,
          .joint_depth = 1,
          .decoder_depth = 2,
          .decoder_embed_dim = 16,
          .decoder_num_heads = 2};
}

// What a .pth cannot say of such networks, but for heads, as the golden files were made.
inline LoadOptions stated(InferenceHints hints = {.num_heads = 4, .decoder_num_heads = 4}) {
  return {.hints = hints,
          .head_hints = {.mode = Modalities::both, .representation = {}, .scores = ScoreKind::sigmoid},
          .shape = {.window_seconds = 10.0, .fbank_mean = -5.081, .fbank_std = 4.4849}};
}

inline void copy_parameters(CavMae& model, const NamedTensors& values) {
  const torch::NoGradGuard no_grad;
  auto parameters = model->named_parameters();
  for (const auto& [name, value] : values) parameters[name].copy_(value);
}

// A network with layer norms away from (1, 0) and biases away from 0.
inline CavMae random_model(const CavMaeConfig& config, uint64_t seed) {
  CavMae model(config);
  initialize(model, seed);
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(seed + 1);
  for (auto& parameter : model->parameters())
    if (parameter.requires_grad()) parameter.add_(torch::empty_like(parameter).normal_(0, 0.1, generator));
  return model;
}

inline Inputs random_inputs(const CavMaeConfig& config, int64_t batch, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  Inputs inputs;
  if (config.has_audio()) inputs.audio = normal({batch, config.num_fbank_frames, config.num_mel_bins});
  if (config.has_video()) inputs.video = normal({batch, 3, config.image_size, config.image_size});
  return inputs;
}

struct Objective {
  torch::Tensor loss, audio, video, contrastive, accuracy;
};

// The whole pretraining objective, as a task puts it together.
inline Objective objective(CavMae& model, const Inputs& inputs, const Masks& masks,
                           const ObjectiveOptions& options, PredictionScope scope = PredictionScope::masked) {
  const Latents latents = model->encode(inputs, masks);
  const Predictions predictions = model->decode(latents.joint, masks, scope);
  const auto reconstruction = [&](torch::Tensor prediction, const torch::Tensor& patches,
                                  const StreamMask& mask) {
    if (scope == PredictionScope::all)
      prediction = prediction.gather(1, mask.masked.unsqueeze(2).expand({-1, -1, prediction.size(2)}));
    return reconstruction_loss(prediction, masked_targets(patches, mask.masked, options));
  };
  const int64_t patch = model->config().patch_size;
  const auto contrast =
      contrastive_loss(latents.audio.mean(1), latents.video.mean(1), options.contrastive, World::alone());
  Objective out;
  out.audio = reconstruction(predictions.audio, patchify_audio(inputs.audio, patch), masks.audio);
  out.video = reconstruction(predictions.video, patchify_video(inputs.video, patch), masks.video);
  out.contrastive = contrast.loss;
  out.accuracy = contrast.accuracy;
  out.loss =
      options.reconstruction_weight * (out.audio + out.video) + options.contrastive_weight * contrast.loss;
  return out;
}

}  // namespace cavmae::testing_support
