#include <algorithm>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/modality_encoder.h"
#include "cavmae/models/parts.h"

namespace cavmae {
namespace {

// Of these clips the tokens of all layers, and the attention of all heads, are in memory at once.
constexpr int64_t kEncodedAtOnce = 64;
constexpr int64_t kAttendedAtOnce = 8;

// tokens: float [B, 1 + L, D], the global token first -> float [B, L]
torch::Tensor scores_of(BlockStack& layers, const torch::Tensor& tokens, NormSet norms, const Compute& how) {
  const int64_t clips = tokens.size(0), length = tokens.size(1) - 1;
  std::vector<torch::Tensor> scores;
  for (int64_t begin = 0; begin < clips; begin += kAttendedAtOnce) {
    const auto some = tokens.narrow(0, begin, std::min(kAttendedAtOnce, clips - begin));
    const auto weights = layers->attention_weights(some, norms, how);  // [b, H, 1 + L, 1 + L]
    scores.push_back(weights.select(3, 0).narrow(2, 1, length).mean(1));
  }
  return at::cat(scores);
}

// What some clips after another give of one modality.
struct OfModality {
  std::vector<torch::Tensor> scores, tokens;

  static torch::Tensor all(const std::vector<torch::Tensor>& parts) {
    return parts.empty() ? torch::Tensor() : at::cat(parts);
  }
};

}  // namespace

GlobalAttention CavMaeImpl::attend_to_global(const Inputs& inputs, const GlobalParts& wanted) {
  const torch::NoGradGuard no_grad;
  CAVMAE_CHECK_AS(ConfigError, config_.global_tokens,
                  "this network has no global tokens whose attention could be asked for");
  CAVMAE_CHECK_AS(
      ConfigError,
      config_.has_audio() && config_.has_video() && inputs.audio.defined() && inputs.video.defined(),
      "the attention to global tokens is asked for of audio and video together");
  auto& p = *parts_;
  OfModality audio, video;
  const auto add = [&](OfModality& to, const torch::Tensor& of, NormSet norms, LayerNorm& norm) {
    if (wanted.scores) to.scores.push_back(scores_of(p.blocks_u, of, norms, compute_));
    if (wanted.tokens) to.tokens.push_back(norm(p.blocks_u(of, norms, compute_)).select(1, 0));
  };
  const int64_t clips = inputs.audio.size(0);
  for (int64_t begin = 0; begin < clips; begin += kEncodedAtOnce) {
    const auto some = [&](const torch::Tensor& of) {
      return of.narrow(0, begin, std::min(kEncodedAtOnce, clips - begin));
    };
    const Tokens tokens =
        encode_modalities(embed_patches({.audio = some(inputs.audio), .video = some(inputs.video)}));
    add(audio, tokens.audio, NormSet::audio, p.norm_a);
    add(video, tokens.video, NormSet::video, p.norm_v);
  }
  return {.audio_scores = OfModality::all(audio.scores),
          .video_scores = OfModality::all(video.scores),
          .audio_token = OfModality::all(audio.tokens),
          .video_token = OfModality::all(video.tokens)};
}

}  // namespace cavmae
