#include <algorithm>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/modality_encoder.h"
#include "cavmae/models/parts.h"

namespace cavmae {
namespace {

// Of these clips the attention of all heads is in memory at once.
constexpr int64_t kClipsAtOnce = 8;

// tokens: float [B, 1 + L, D], the global token first -> float [B, L]
torch::Tensor scores_of(BlockStack& layers, const torch::Tensor& tokens, NormSet norms, const Compute& how) {
  const int64_t clips = tokens.size(0), length = tokens.size(1) - 1;
  std::vector<torch::Tensor> scores;
  for (int64_t begin = 0; begin < clips; begin += kClipsAtOnce) {
    const auto some = tokens.narrow(0, begin, std::min(kClipsAtOnce, clips - begin));
    const auto weights = layers->attention_weights(some, norms, how);  // [b, H, 1 + L, 1 + L]
    scores.push_back(weights.select(3, 0).narrow(2, 1, length).mean(1));
  }
  return at::cat(scores);
}

}  // namespace

GlobalAttention CavMaeImpl::attend_to_global(const Inputs& inputs) {
  const torch::NoGradGuard no_grad;
  CAVMAE_CHECK_AS(ConfigError, config_.global_tokens,
                  "this network has no global tokens whose attention could be asked for");
  const Tokens tokens = encode_modalities(embed_patches(inputs));
  CAVMAE_CHECK_AS(ConfigError, tokens.audio.defined() && tokens.video.defined(),
                  "the attention to global tokens is asked for of audio and video together");
  auto& p = *parts_;
  const auto token = [&](const torch::Tensor& of, NormSet norms, LayerNorm& norm) {
    return norm(p.blocks_u(of, norms, compute_)).select(1, 0);
  };
  return {.audio_scores = scores_of(p.blocks_u, tokens.audio, NormSet::audio, compute_),
          .video_scores = scores_of(p.blocks_u, tokens.video, NormSet::video, compute_),
          .audio_token = token(tokens.audio, NormSet::audio, p.norm_a),
          .video_token = token(tokens.video, NormSet::video, p.norm_v)};
}

}  // namespace cavmae
