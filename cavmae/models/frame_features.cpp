#include "cavmae/core/error.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/modality_encoder.h"
#include "cavmae/models/parts.h"

namespace cavmae {

torch::Tensor CavMaeImpl::encoder_outputs(const Inputs& inputs) {
  const Tokens tokens = encode_modalities(embed_patches(inputs));
  CAVMAE_CHECK_AS(
      ConfigError, tokens.audio.defined() && tokens.video.defined(),
      "a classifier with a self_attention head of both modalities needs sound and pictures of every clip");
  const auto speaks = [&](const torch::Tensor& of) {
    return config_.global_tokens ? of.select(1, 0) : of.mean(1);
  };
  const torch::Tensor audio = speaks(tokens.audio), video = speaks(tokens.video);
  const int64_t pictures = video.size(0) / audio.size(0);  // of each sound
  return at::cat({pictures == 1 ? audio : audio.repeat_interleave(pictures, /*dim=*/0), video}, 1);
}

torch::Tensor CavMaeImpl::joint_mean(const Inputs& inputs) {
  const Tokens tokens = encode_modalities(embed_patches(inputs));
  const torch::Tensor& one = tokens.audio.defined() ? tokens.audio : tokens.video;
  const torch::Tensor out =
      config_.joint_streams == JointStreams::none ? one : parts_->blocks_u(one, NormSet::joint, compute_);
  return parts_->norm(out).mean(1);
}

}  // namespace cavmae
