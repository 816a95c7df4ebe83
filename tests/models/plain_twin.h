// CavMae by its definition, in plain operators on named parameters: everything is computed for all patches
// and streams, then what is asked for is picked.
#pragma once

#include <map>
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

// Each modality's own encoder, by stages: "encoder_in_audio" [B, 1 + N + R, D], "encoder_out_audio", and
// without registers "joint_in_audio". pictures: as plain_embed takes them
inline void plain_encoder(CavMae& model, const torch::Tensor& pictures, const StreamMask& mask,
                          const std::string& modality, std::map<std::string, torch::Tensor>& stages) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  auto tokens = plain_embed(p, config, pictures, modality);
  if (mask.keep.defined()) tokens = plain_pick(tokens, mask.keep);
  const int64_t clips = tokens.size(0);
  if (config.global_tokens)
    tokens = torch::cat({p["cls_token" + modality].expand({clips, 1, config.embed_dim}), tokens}, 1);
  const int64_t length = tokens.size(1);
  if (config.registers > 0) {
    const auto all = p["register_tokens"];
    const auto own = modality == "_a" ? all.narrow(0, 0, config.registers)
                                      : all.narrow(0, all.size(0) - config.registers, config.registers);
    tokens = torch::cat({tokens, own.unsqueeze(0).expand({clips, config.registers, config.embed_dim})}, 1);
  }
  const std::string end = modality == "_a" ? "_audio" : "_video";
  stages["encoder_in" + end] = tokens;
  stages["encoder_out" + end] = plain_stack(p, "blocks" + modality, tokens, {.heads = config.num_heads});
  stages["joint_in" + end] = stages["encoder_out" + end].narrow(1, 0, length);
}

// The encoders and the joint layers before their last norms: besides the above "joint_in", "joint_out",
// "joint_audio" and "joint_video", as far as the configuration has them.
inline std::map<std::string, torch::Tensor> plain_stages(CavMae& model, const Inputs& inputs,
                                                         const Masks& masks) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  std::map<std::string, torch::Tensor> stages;
  if (config.has_audio())
    plain_encoder(model, inputs.audio.transpose(1, 2).unsqueeze(1), masks.audio, "_a", stages);
  if (config.has_video()) plain_encoder(model, inputs.video, masks.video, "_v", stages);
  const auto joint_layers = [&](const torch::Tensor& x, const std::string& norms) {
    return plain_stack(p, "blocks_u", x, {.heads = config.num_heads, .norms = norms});
  };
  const auto patches = [&](const std::string& name) {
    const auto& tokens = stages.at(name);
    const int64_t first = config.global_tokens ? 1 : 0;
    return tokens.narrow(1, first, tokens.size(1) - first);
  };
  const JointStreams streams = config.joint_streams;
  if (streams == JointStreams::concat || streams == JointStreams::separate_and_concat) {
    stages["joint_in"] = torch::cat({patches("joint_in_audio"), patches("joint_in_video")}, 1);
    stages["joint_out"] = joint_layers(stages["joint_in"], "");
  }
  if (config.has_single_streams()) {
    stages["joint_audio"] = joint_layers(stages["joint_in_audio"], "_a");
    stages["joint_video"] = joint_layers(stages["joint_in_video"], "_v");
  }
  return stages;
}

inline Latents plain_encode(CavMae& model, const Inputs& inputs, const Masks& masks) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  const auto stages = plain_stages(model, inputs, masks);
  Latents out;
  if (config.joint_streams == JointStreams::none) {
    out.joint = plain_norm(p, "norm", stages.at(config.has_audio() ? "joint_in_audio" : "joint_in_video"));
    (config.has_audio() ? out.audio : out.video) = out.joint;
    return out;
  }
  if (stages.contains("joint_out")) out.joint = plain_norm(p, "norm", stages.at("joint_out"));
  if (!config.has_single_streams()) return out;
  const auto take = [&](const torch::Tensor& tokens, torch::Tensor& patches, torch::Tensor& token) {
    const int64_t first = config.global_tokens ? 1 : 0;
    patches = tokens.narrow(1, first, tokens.size(1) - first);
    if (config.global_tokens) token = tokens.select(1, 0);
  };
  take(plain_norm(p, "norm_a", stages.at("joint_audio")), out.audio, out.audio_token);
  take(plain_norm(p, "norm_v", stages.at("joint_video")), out.video, out.video_token);
  return out;
}

// "decoder_in", with the mask token where patches are hidden, and "decoder_out", after decoder_norm.
inline std::map<std::string, torch::Tensor> plain_decoder_stages(CavMae& model, const torch::Tensor& joint,
                                                                 const Masks& masks) {
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
  std::map<std::string, torch::Tensor> stages;
  stages["decoder_in"] = torch::cat(streams, 1);
  stages["decoder_out"] =
      plain_norm(p, "decoder_norm",
                 plain_stack(p, "decoder_blocks", stages["decoder_in"], {.heads = config.decoder_num_heads}));
  return stages;
}

// All patches.
inline Predictions plain_decode(CavMae& model, const torch::Tensor& joint, const Masks& masks) {
  const auto p = model->named_parameters();
  const CavMaeConfig& config = model->config();
  const auto decoded = plain_decoder_stages(model, joint, masks).at("decoder_out");
  const int64_t all_audio = config.has_audio() ? config.num_audio_patches() : 0;
  Predictions out;
  if (config.has_audio()) out.audio = plain_linear(p, "decoder_pred_a", decoded.narrow(1, 0, all_audio));
  if (config.has_video())
    out.video = plain_linear(p, "decoder_pred_v", decoded.narrow(1, all_audio, decoded.size(1) - all_audio));
  return out;
}

}  // namespace cavmae::testing_support
