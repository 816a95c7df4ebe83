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

Json rows_of(const torch::Tensor& map) {  // float [rows, columns]
  Json rows = Json::array();
  for (const torch::Tensor& row : map.contiguous().unbind(0)) {
    const float* values = row.data_ptr<float>();
    rows.push_back(std::vector<float>(values, values + row.numel()));
  }
  return rows;
}

}  // namespace

Localization localize(CavMae& model, const torch::Tensor& audio, const torch::Tensor& video) {
  const CavMaeConfig& config = model->config();
  CAVMAE_CHECK_AS(
      ConfigError, config.has_single_streams(),
      "this network has no outputs of audio and video alone that could be compared; localization needs "
      "one with a contrastive loss, such as cav-mae or cav");
  CAVMAE_CHECK_AS(
      ConfigError, audio.dim() == 2,
      "this network compares a picture with the sound around it, not with that of a whole clip; give "
      "--frames middle");
  torch::NoGradGuard no_grad;
  const Inputs inputs = inputs_on({.audio = audio.unsqueeze(0), .video = video}, model->device());
  const auto on_cpu = [](const torch::Tensor& x) { return x.to(torch::kCPU, torch::kFloat32); };
  const Latents of_sound = model->encode({.audio = inputs.audio, .video = {}});
  const Latents of_pictures = model->encode({.audio = {}, .video = inputs.video});
  const torch::Tensor sound = on_cpu(of_sound.patch_tokens(Stream::audio))[0];     // [Na, D]
  const torch::Tensor pictures = on_cpu(of_pictures.patch_tokens(Stream::video));  // [K, Nv, D]
  const torch::Tensor whole_sound = on_cpu(of_sound.global(Stream::audio))[0];     // [D]
  const torch::Tensor whole_pictures = on_cpu(of_pictures.global(Stream::video));  // [K, D]
  const int64_t side = config.image_size / config.patch_size;
  return {
      .in_pictures = cosine(pictures, whole_sound).view({-1, side, side}),
      .in_sound = cosine(sound, whole_pictures.mean(0)).view({config.audio_rows(), config.audio_columns()}),
      .of_pictures = cosine(whole_pictures, whole_sound)};
}

Json to_json(const Localization& found) {
  Json pictures = Json::array();
  for (int64_t k = 0; k < found.in_pictures.size(0); ++k)
    pictures.push_back(
        {{"cosine", found.of_pictures[k].item<float>()}, {"patches", rows_of(found.in_pictures[k])}});
  return {{"video", pictures}, {"audio", {{"patches", rows_of(found.in_sound)}}}};
}

}  // namespace cavmae
