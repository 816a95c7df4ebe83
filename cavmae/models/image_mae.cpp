#include "cavmae/models/image_mae.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

bool has(const NamedTensors& tensors, const std::string& name) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
}

// "blocks.7.attn.qkv.weight" -> 7 and "attn.qkv.weight".
struct LayerName {
  int64_t layer = 0;
  std::string rest;
};
std::optional<LayerName> parse_layer(const std::string& name) {
  constexpr std::string_view kStem = "blocks.";
  if (!name.starts_with(kStem)) return std::nullopt;
  LayerName out;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kStem.size(), end, out.layer);
  if (error != std::errc() || rest == end || *rest != '.') return std::nullopt;
  out.rest.assign(rest + 1, end);
  return out;
}

class Mapping {
 public:
  Mapping(const CavMaeConfig& config, const std::string& where) : config_(config), where_(where) {}

  // What one tensor becomes; nothing for what we have no use for.
  NamedTensors map(const std::string& name, const torch::Tensor& tensor) const {
    if (name == "pos_embed" || name == "decoder_pos_embed")
      return {{name + "_v", without_class_token(name, tensor)}};
    if (name == "patch_embed.proj.weight")
      return {{"patch_embed_v.proj.weight", tensor}, {"patch_embed_a.proj.weight", over_rgb(name, tensor)}};
    if (name == "patch_embed.proj.bias")
      return {{"patch_embed_v.proj.bias", tensor}, {"patch_embed_a.proj.bias", tensor}};
    if (const auto layer = parse_layer(name)) return map_layer(*layer, tensor);
    if (name.starts_with("norm.")) return to_streams("norm", name.substr(4), tensor);
    if (name.starts_with("decoder_pred.")) return map_prediction(name.substr(12), tensor);
    if (name == "mask_token" || name.starts_with("decoder_")) return {{name, tensor}};
    return {};
  }

 private:
  NamedTensors map_layer(const LayerName& name, const torch::Tensor& tensor) const {
    const int64_t joint = name.layer - config_.modality_depth;
    if (joint < 0) {
      const std::string rest = concat(".", name.layer, ".", name.rest);
      return {{"blocks_a" + rest, tensor}, {"blocks_v" + rest, tensor}};
    }
    const std::string stem = concat("blocks_u.", joint, ".");
    if (name.rest.starts_with("norm1.") || name.rest.starts_with("norm2."))
      return to_streams(stem + name.rest.substr(0, 5), name.rest.substr(5), tensor);
    return {{stem + name.rest, tensor}};
  }

  // A layer norm for the joint, the audio and the video stream.
  static NamedTensors to_streams(const std::string& stem, const std::string& rest,
                                 const torch::Tensor& tensor) {
    return {{stem + rest, tensor}, {stem + "_a" + rest, tensor}, {stem + "_v" + rest, tensor}};
  }

  // rest: ".weight" or ".bias"
  NamedTensors map_prediction(const std::string& rest, const torch::Tensor& tensor) const {
    const int64_t rows = config_.audio_patch_values();
    CAVMAE_CHECK_AS(CheckpointError, tensor.dim() > 0 && tensor.size(0) >= rows, where_, ": 'decoder_pred",
                    rest, "' has the size ", tensor.sizes(), "; the ", rows,
                    " values of a patch of sound come from its first rows");
    return {{"decoder_pred_v" + rest, tensor}, {"decoder_pred_a" + rest, tensor.narrow(0, 0, rows)}};
  }

  torch::Tensor without_class_token(const std::string& name, const torch::Tensor& table) const {
    CAVMAE_CHECK_AS(CheckpointError, table.dim() == 3 && table.size(1) > 1, where_, ": '", name,
                    "' has the size ", table.sizes(), ", which are no positions with a class token's");
    return table.narrow(1, 1, table.size(1) - 1);
  }

  torch::Tensor over_rgb(const std::string& name, const torch::Tensor& weight) const {
    CAVMAE_CHECK_AS(CheckpointError, weight.dim() == 4 && weight.size(1) == 3, where_, ": '", name,
                    "' has the size ", weight.sizes(), ", which are no weights for pictures in RGB");
    return weight.sum(1, /*keepdim=*/true);
  }

  const CavMaeConfig& config_;
  const std::string& where_;
};

}  // namespace

bool is_image_mae(const NamedTensors& tensors) {
  return has(tensors, "patch_embed.proj.weight") && has(tensors, "blocks.0.attn.qkv.weight");
}

ImageMaeTensors from_image_mae(const NamedTensors& image_mae, const ImageMaeTarget& target,
                               const std::string& where) {
  const torch::NoGradGuard no_grad;
  const Mapping mapping(target.config, where);
  ImageMaeTensors out;
  for (const auto& [name, tensor] : image_mae) {
    bool used = false;
    for (auto& mapped : mapping.map(name, tensor)) {
      if (!target.parameters.contains(mapped.first)) continue;
      out.tensors.push_back(std::move(mapped));
      used = true;
    }
    if (!used) out.unused.push_back(name);
  }
  return out;
}

}  // namespace cavmae
