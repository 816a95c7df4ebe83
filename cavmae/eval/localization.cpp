#include "cavmae/eval/localization.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// tokens: float [B, N, D]; wholes: float [B or 1, D] -> float [B, N]
torch::Tensor cosine(const torch::Tensor& tokens, const torch::Tensor& wholes) {
  constexpr double kEpsilon = 1e-8;
  const auto length = [](const torch::Tensor& x) { return x.norm(2, -1).clamp_min(kEpsilon); };
  const torch::Tensor whole = wholes.unsqueeze(1);
  return (tokens * whole).sum(-1) / (length(tokens) * length(whole));
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
  torch::NoGradGuard no_grad;
  const bool one_sound = audio.dim() == 2;
  const Inputs inputs =
      inputs_on({.audio = one_sound ? audio.unsqueeze(0) : audio, .video = video}, model->device());
  CAVMAE_CHECK(one_sound || audio.size(0) == video.size(0), "localize: ", audio.size(0), " sounds of ",
               video.size(0), " pictures");
  const auto on_cpu = [](const torch::Tensor& x) { return x.to(torch::kCPU, torch::kFloat32); };
  const Latents of_sounds = model->encode({.audio = inputs.audio, .video = {}});
  const Latents of_pictures = model->encode({.audio = {}, .video = inputs.video});
  const torch::Tensor sounds = on_cpu(of_sounds.patch_tokens(Stream::audio));      // [L, Na, D]
  const torch::Tensor pictures = on_cpu(of_pictures.patch_tokens(Stream::video));  // [K, Nv, D]
  const torch::Tensor whole_sounds = on_cpu(of_sounds.pooled(Stream::audio));      // [L, D]
  const torch::Tensor whole_pictures = on_cpu(of_pictures.pooled(Stream::video));  // [K, D]
  const int64_t side = config.image_size / config.patch_size;
  const torch::Tensor seen = one_sound ? whole_pictures.mean(0, /*keepdim=*/true) : whole_pictures;  // [L, D]
  return {.in_pictures = cosine(pictures, whole_sounds).view({-1, side, side}),
          .in_sounds = cosine(sounds, seen).view({-1, config.audio_rows(), config.audio_columns()}),
          .of_pictures = cosine(whole_pictures.unsqueeze(1), whole_sounds).squeeze(1)};
}

Json to_json(const Localization& found) {
  Json pictures = Json::array();
  for (int64_t k = 0; k < found.in_pictures.size(0); ++k)
    pictures.push_back(
        {{"cosine", found.of_pictures[k].item<float>()}, {"patches", rows_of(found.in_pictures[k])}});
  Json sounds = Json::array();
  for (const torch::Tensor& sound : found.in_sounds.unbind(0))
    sounds.push_back({{"patches", rows_of(sound)}});
  return {{"video", pictures}, {"audio", sounds.size() == 1 ? sounds[0] : sounds}};
}

}  // namespace cavmae
