// CavMae by its definition, in plain operators on named parameters: everything is computed for all patches
// and streams, then what is asked for is picked.
#pragma once

#include <string>

#include "cavmae/models/cav_mae.h"

#include "tests/support/plain_block.h"

namespace cavmae::testing_support {

inline torch::Tensor plain_pick(const torch::Tensor& x, const torch::Tensor& ids) {
  return x.gather(1, ids.unsqueeze(2).expand({-1, -1, x.size(2)}));
}

inline torch::Tensor plain_stack(const Parameters& p, const std::string& name, torch::Tensor x,
                                 const PlainBlockOptions& options) {
  for (int i = 0; p.contains(name + "." + std::to_string(i) + ".attn.qkv.weight"); ++i)
    x = plain_block(p, name + "." + std::to_string(i) + ".", x, options);
  return x;
}

// The patches of all places, embedded. pictures: [B, C, height, width]; modality: "_a" or "_v"
inline torch::Tensor plain_embed(const Parameters& p, const CavMaeConfig& config,
                                 const torch::Tensor& pictures, const std::string& modality) {
  const auto patches = at::conv2d(pictures, p["patch_embed" + modality + ".proj.weight"],
                                  p["patch_embed" + modality + ".proj.bias"], config.patch_size)
                           .flatten(2)
                           .transpose(1, 2);
  return patches + p["pos_embed" + modality] + p["modality" + modality];
}

inline Latents plain_encode(CavMae& model, const Inputs& inputs, const Masks& masks) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  const auto encoder = [&](const torch::Tensor& pictures, const StreamMask& mask,
                           const std::string& modality) {
    auto tokens = plain_embed(p, config, pictures, modality);
    if (mask.keep.defined()) tokens = plain_pick(tokens, mask.keep);
    return plain_stack(p, "blocks" + modality, tokens, {.heads = config.num_heads});
  };
  torch::Tensor audio, video;
  if (config.has_audio()) audio = encoder(inputs.audio.transpose(1, 2).unsqueeze(1), masks.audio, "_a");
  if (config.has_video()) video = encoder(inputs.video, masks.video, "_v");
  const auto joint_layers = [&](const torch::Tensor& x, const std::string& norms) {
    return plain_norm(p, "norm" + norms,
                      plain_stack(p, "blocks_u", x, {.heads = config.num_heads, .norms = norms}));
  };
  Latents out;
  switch (config.joint_streams) {
    case JointStreams::none:
      out.joint = plain_norm(p, "norm", audio.defined() ? audio : video);
      (audio.defined() ? out.audio : out.video) = out.joint;
      return out;
    case JointStreams::concat:
      out.joint = joint_layers(torch::cat({audio, video}, 1), "");
      return out;
    case JointStreams::separate_and_concat:
      out.joint = joint_layers(torch::cat({audio, video}, 1), "");
      [[fallthrough]];
    case JointStreams::separate:
      out.audio = joint_layers(audio, "_a");
      out.video = joint_layers(video, "_v");
  }
  return out;
}

// All patches.
inline Predictions plain_decode(CavMae& model, const torch::Tensor& joint, const Masks& masks) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  const auto embedded = plain_linear(p, "decoder_embed", joint);
  const auto fill = [&](const torch::Tensor& visible, const StreamMask& mask, const std::string& modality) {
    const int64_t masked = mask.masked.size(1);
    const auto tokens = p["mask_token"].expand({visible.size(0), masked, visible.size(2)});
    return plain_pick(torch::cat({visible, tokens}, 1), mask.restore) + p["decoder_pos_embed" + modality] +
           p["decoder_modality" + modality];
  };
  const int64_t num_audio = config.has_audio() ? masks.audio.keep.size(1) : 0;
  std::vector<torch::Tensor> streams;
  if (config.has_audio()) streams.push_back(fill(embedded.narrow(1, 0, num_audio), masks.audio, "_a"));
  if (config.has_video())
    streams.push_back(fill(embedded.narrow(1, num_audio, embedded.size(1) - num_audio), masks.video, "_v"));
  const auto decoded = plain_norm(
      p, "decoder_norm",
      plain_stack(p, "decoder_blocks", torch::cat(streams, 1), {.heads = config.decoder_num_heads}));
  const int64_t all_audio = config.has_audio() ? config.num_audio_patches() : 0;
  Predictions out;
  if (config.has_audio()) out.audio = plain_linear(p, "decoder_pred_a", decoded.narrow(1, 0, all_audio));
  if (config.has_video())
    out.video = plain_linear(p, "decoder_pred_v", decoded.narrow(1, all_audio, decoded.size(1) - all_audio));
  return out;
}

}  // namespace cavmae::testing_support
