#include "cavmae/eval/localization.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// tokens: float [..., D]; whole: float [D] -> float [...]
torch::Tensor cosine(const torch::Tensor& tokens, const torch::Tensor& whole) {
  constexpr double kEpsilon = 1e-8;
  const auto length = [](const torch::Tensor& x) { return x.norm(2, -1).clamp_min(kEpsilon); };
  return tokens.matmul(whole) / (length(tokens) * length(whole));
}

}  // namespace

Localization localize(CavMae& model, const torch::Tensor& audio, const torch::Tensor& video) {
  const CavMaeConfig& config = model->config();
  CAVMAE_CHECK_AS(
      ConfigError, config.has_single_streams(),
      "this network has no outputs of sound and picture alone that could be compared; localization needs "
      "one with a contrastive loss, such as cav-mae or cav");
  torch::NoGradGuard no_grad;
  const Inputs inputs = inputs_on({.audio = audio.unsqueeze(0), .video = video}, model->device());
  const torch::Tensor sound =
      model->encode({.audio = inputs.audio, .video = {}}).audio[0].to(torch::kCPU, torch::kFloat32);
  const torch::Tensor pictures =
      model->encode({.audio = {}, .video = inputs.video}).video.to(torch::kCPU, torch::kFloat32);
  const torch::Tensor pooled_sound = sound.mean(0);        // [D]
  const torch::Tensor pooled_pictures = pictures.mean(1);  // [K, D]
  const int64_t side = config.image_size / config.patch_size;
  return {
      .in_pictures = cosine(pictures, pooled_sound).view({-1, side, side}),
      .in_sound = cosine(sound, pooled_pictures.mean(0)).view({config.audio_rows(), config.audio_columns()}),
      .of_pictures = cosine(pooled_pictures, pooled_sound)};
}

}  // namespace cavmae
