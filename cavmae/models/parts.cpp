#include "cavmae/models/parts.h"

#include "cavmae/nn/position_embedding.h"
#include "cavmae/nn/unset_parameters.h"

namespace cavmae {
namespace {

// The layer norms of the blocks outside the joint layers. With all streams every block has all three sets,
// though two of them never run: so it is in the authors' checkpoints.
std::vector<NormSet> plain_norms(const CavMaeConfig& config) {
  if (config.joint_streams == JointStreams::separate_and_concat)
    return {NormSet::joint, NormSet::audio, NormSet::video};
  return {NormSet::joint};
}

std::vector<NormSet> joint_norms(const CavMaeConfig& config) {
  if (config.joint_streams == JointStreams::separate) return {NormSet::audio, NormSet::video};
  return plain_norms(config);
}

}  // namespace

PatchGrid audio_grid(const CavMaeConfig& config) {
  return {.rows = config.audio_rows(), .columns = config.audio_columns()};
}

PatchGrid video_grid(const CavMaeConfig& config) {
  const int64_t side = config.image_size / config.patch_size;
  return {.rows = side, .columns = side};
}

CavMaeImpl::Parts::Parts(CavMaeImpl& owner, const CavMaeConfig& config) {
  register_embeddings(owner, config);
  register_encoders(owner, config);
  if (config.decoder_depth > 0) register_decoder(owner, config);
}

// A module lists its own tensors before those of its parts, so the decoder's come here, as in the
// checkpoints.
void CavMaeImpl::Parts::register_embeddings(CavMaeImpl& owner, const CavMaeConfig& config) {
  const auto vector = [&](const char* name, int64_t width) {
    return owner.register_parameter(name, torch::zeros({1, 1, width}));
  };
  const auto positions = [&](const char* name, int64_t width, const PatchGrid& grid) {
    const torch::Tensor table =
        parameters_stay_unset() ? new_weight({1, grid.size(), width}) : sincos_positions(width, grid);
    return owner.register_parameter(name, table, config.train_positions);
  };
  const bool audio = config.has_audio(), video = config.has_video();
  const int64_t width = config.embed_dim, decoder_width = config.decoder_embed_dim;
  if (audio) modality_a = vector("modality_a", width);
  if (video) modality_v = vector("modality_v", width);
  if (audio) pos_embed_a = positions("pos_embed_a", width, audio_grid(config));
  if (video) pos_embed_v = positions("pos_embed_v", width, video_grid(config));
  if (config.registers > 0)
    register_tokens = owner.register_parameter(
        "register_tokens", torch::zeros({config.registers * (audio && video ? 2 : 1), width}));
  if (config.decoder_depth > 0) {
    mask_token = vector("mask_token", decoder_width);
    if (audio) decoder_modality_a = vector("decoder_modality_a", decoder_width);
    if (video) decoder_modality_v = vector("decoder_modality_v", decoder_width);
    if (audio) decoder_pos_embed_a = positions("decoder_pos_embed_a", decoder_width, audio_grid(config));
    if (video) decoder_pos_embed_v = positions("decoder_pos_embed_v", decoder_width, video_grid(config));
  }
  if (!config.global_tokens) return;
  cls_token_a = vector("cls_token_a", width);
  cls_token_v = vector("cls_token_v", width);
}

void CavMaeImpl::Parts::register_encoders(CavMaeImpl& owner, const CavMaeConfig& config) {
  const int64_t width = config.embed_dim;
  const auto stack = [&](const char* name, int64_t depth, std::vector<NormSet> norms) {
    const BlockOptions options{
        .width = width, .heads = config.num_heads, .mlp_ratio = config.mlp_ratio, .norms = std::move(norms)};
    return owner.register_module(name, BlockStack(depth, options));
  };
  const auto embedding = [&](const char* name, int64_t channels) {
    return owner.register_module(name, PatchEmbedding(channels, config.patch_size, width));
  };
  const auto final_norm = [&](const char* name) { return owner.register_module(name, LayerNorm(width)); };
  if (config.has_audio()) patch_embed_a = embedding("patch_embed_a", 1);
  if (config.has_video()) patch_embed_v = embedding("patch_embed_v", 3);
  if (config.has_audio()) blocks_a = stack("blocks_a", config.modality_depth, plain_norms(config));
  if (config.has_video()) blocks_v = stack("blocks_v", config.modality_depth, plain_norms(config));
  if (config.joint_streams != JointStreams::none)
    blocks_u = stack("blocks_u", config.joint_depth, joint_norms(config));
  if (config.has_single_streams()) {
    norm_a = final_norm("norm_a");
    norm_v = final_norm("norm_v");
  }
  if (config.joint_streams != JointStreams::separate) norm = final_norm("norm");
}

void CavMaeImpl::Parts::register_decoder(CavMaeImpl& owner, const CavMaeConfig& config) {
  const int64_t width = config.decoder_embed_dim;
  const BlockOptions options{.width = width,
                             .heads = config.decoder_num_heads,
                             .mlp_ratio = config.mlp_ratio,
                             .norms = plain_norms(config)};
  decoder_embed = owner.register_module("decoder_embed", Linear(config.embed_dim, width));
  decoder_blocks = owner.register_module("decoder_blocks", BlockStack(config.decoder_depth, options));
  decoder_norm = owner.register_module("decoder_norm", LayerNorm(width));
  if (config.has_audio())
    decoder_pred_a = owner.register_module("decoder_pred_a", Linear(width, config.audio_patch_values()));
  if (config.has_video())
    decoder_pred_v = owner.register_module("decoder_pred_v", Linear(width, config.video_patch_values()));
}

}  // namespace cavmae
