#include "cavmae/models/infer_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <vector>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

class Shapes {
 public:
  Shapes(const NamedTensors& tensors, const std::string& where) : where_(where) {
    for (const auto& [name, tensor] : tensors) shapes_[name] = tensor.sizes().vec();
  }

  bool has(const std::string& name) const { return shapes_.contains(name); }

  // The size of a dimension of a tensor that must be there, with so many dimensions.
  int64_t size(const std::string& name, size_t dimensions, size_t dimension) const {
    const auto found = shapes_.find(name);
    CAVMAE_CHECK_AS(CheckpointError, found != shapes_.end(), where_, ": holds no tensor '", name,
                    "', so it is no CAV-MAE checkpoint (or one that is incomplete)");
    CAVMAE_CHECK_AS(CheckpointError,
                    found->second.size() == dimensions && std::ranges::min(found->second) > 0, where_,
                    ": tensor '", name, "' has the shape ", torch::IntArrayRef(found->second),
                    "; it should have ", dimensions, " dimensions, none of them 0");
    return found->second[dimension];
  }

  // 1 + the highest i of "STEM.i.REST"; 0 without any.
  int64_t depth(const std::string& stem) const {
    int64_t depth = 0;
    for (auto it = shapes_.lower_bound(stem + "."); it != shapes_.end() && it->first.starts_with(stem + ".");
         ++it) {
      int64_t i = 0;
      const char* begin = it->first.data() + stem.size() + 1;
      const auto parsed = std::from_chars(begin, it->first.data() + it->first.size(), i);
      if (parsed.ec == std::errc() && i >= 0 && i < kMaxBlocks) depth = std::max(depth, i + 1);
    }
    return depth;
  }

 private:
  static constexpr int64_t kMaxBlocks = 1000;  // more is a damaged name
  const std::string& where_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

int64_t largest_divisor(int64_t value, int64_t at_most) {
  int64_t divisor = std::max<int64_t>(1, at_most);
  while (value % divisor != 0) --divisor;
  return divisor;
}

void infer_inputs(const Shapes& shapes, const InferenceHints& hints, CavMaeConfig& config) {
  const bool audio = shapes.has("patch_embed_a.proj.weight"), video = shapes.has("patch_embed_v.proj.weight");
  config.modalities = audio && video ? Modalities::both : audio ? Modalities::audio : Modalities::video;
  const std::string embedding = audio ? "patch_embed_a.proj.weight" : "patch_embed_v.proj.weight";
  config.embed_dim = shapes.size(embedding, 4, 0);
  config.patch_size = shapes.size(embedding, 4, 2);
  config.num_heads = hints.num_heads.value_or(
      largest_divisor(config.embed_dim, std::max<int64_t>(1, config.embed_dim / 64)));
  if (audio) {
    config.num_mel_bins = hints.num_mel_bins;
    const int64_t rows = std::max<int64_t>(1, hints.num_mel_bins / config.patch_size);
    config.num_fbank_frames = shapes.size("pos_embed_a", 3, 1) / rows * config.patch_size;
  }
  if (video) {
    const auto patches = static_cast<double>(shapes.size("pos_embed_v", 3, 1));
    config.image_size = static_cast<int64_t>(std::lround(std::sqrt(patches))) * config.patch_size;
  }
}

JointStreams infer_streams(const Shapes& shapes) {
  if (!shapes.has("blocks_u.0.attn.qkv.weight")) return JointStreams::none;
  const bool joint = shapes.has("norm.weight"), single = shapes.has("norm_a.weight");
  return joint && single ? JointStreams::separate_and_concat
         : single        ? JointStreams::separate
                         : JointStreams::concat;
}

void infer_layers(const Shapes& shapes, const InferenceHints& hints, CavMaeConfig& config) {
  config.joint_streams = infer_streams(shapes);
  config.modality_depth = shapes.depth(config.has_audio() ? "blocks_a" : "blocks_v");
  config.joint_depth = shapes.depth("blocks_u");
  const std::string stem = config.joint_depth > 0 ? "blocks_u" : config.has_audio() ? "blocks_a" : "blocks_v";
  config.mlp_ratio = static_cast<double>(shapes.size(stem + ".0.mlp.fc1.weight", 2, 0)) /
                     static_cast<double>(config.embed_dim);
  config.decoder_depth = shapes.has("mask_token") ? shapes.depth("decoder_blocks") : 0;
  if (config.decoder_depth == 0) return;
  config.decoder_embed_dim = shapes.size("mask_token", 3, 2);
  config.decoder_num_heads = hints.decoder_num_heads.value_or(largest_divisor(config.decoder_embed_dim, 16));
}

}  // namespace

CavMaeConfig infer_config(const NamedTensors& tensors, const InferenceHints& hints,
                          const std::string& where) {
  const Shapes shapes(tensors, where);
  CavMaeConfig config;
  infer_inputs(shapes, hints, config);
  infer_layers(shapes, hints, config);
  try {
    config.validate();
  } catch (const ConfigError& error) {
    throw CheckpointError(
        concat(where, ": the sizes of its tensors are not those of a CAV-MAE network (", error.what(), ")"));
  }
  return config;
}

}  // namespace cavmae
