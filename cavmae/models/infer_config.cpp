#include "cavmae/models/infer_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/models/resize_positions.h"

namespace cavmae {
namespace {

// The authors' models.
constexpr int64_t kEmbedDim = 768, kNumHeads = 12, kDecoderEmbedDim = 512, kDecoderNumHeads = 16;
constexpr int64_t kMelBins = 128, kPatchSize = 16, kAudioPositions = 512;
constexpr int64_t kClipFrames = 1024, kSegmentFrames = 416;  // CAV-MAE Sync's

class Shapes {
 public:
  Shapes(const NamedTensors& tensors, const std::string& where) : where_(where) {
    for (const auto& [name, tensor] : tensors) shapes_[name] = tensor.sizes().vec();
  }

  bool has(const std::string& name) const { return shapes_.contains(name); }
  bool has_prefix(const std::string& prefix) const {
    const auto it = shapes_.lower_bound(prefix);
    return it != shapes_.end() && it->first.starts_with(prefix);
  }
  // Any of the layers "STEM.i.REST".
  bool has_in_layers(const std::string& stem, const std::string& rest) const {
    return !first_of_layers(stem, rest).empty();
  }
  // The first of those; empty when there is none.
  std::string first_of_layers(const std::string& stem, const std::string& rest) const {
    for (int64_t i = 0, end = depth(stem); i < end; ++i)
      if (const std::string name = concat(stem, ".", i, ".", rest); has(name)) return name;
    return "";
  }

  // The size of a dimension of a tensor that is there and must have so many dimensions.
  int64_t size(const std::string& name, size_t dimensions, size_t dimension) const {
    const auto& shape = shapes_.at(name);
    CAVMAE_CHECK_AS(CheckpointError, shape.size() == dimensions && std::ranges::min(shape) > 0, where_,
                    ": tensor '", name, "' has the shape ", torch::IntArrayRef(shape), "; it should have ",
                    dimensions, " dimensions, none of them 0");
    return shape[dimension];
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

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    return names;
  }

 private:
  static constexpr int64_t kMaxBlocks = 1000;  // more is a damaged name
  const std::string& where_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

// A dimension of a tensor that shows a size.
struct Shows {
  std::string name;
  size_t dimensions, dimension;
};
std::optional<int64_t> shown(const Shapes& shapes, const std::vector<Shows>& tensors) {
  for (const Shows& tensor : tensors)
    if (shapes.has(tensor.name)) return shapes.size(tensor.name, tensor.dimensions, tensor.dimension);
  return std::nullopt;
}

int64_t largest_divisor(int64_t value, int64_t at_most) {
  int64_t divisor = std::max<int64_t>(1, at_most);
  while (value % divisor != 0) --divisor;
  return divisor;
}

// Whether the network has the modality "a" or "v".
bool has_modality(const Shapes& shapes, const std::string& letter) {
  for (const char* stem : {"patch_embed_", "pos_embed_", "modality_", "decoder_pos_embed_",
                           "decoder_modality_", "decoder_pred_", "blocks_"})
    if (shapes.has_prefix(stem + letter)) return true;
  return shapes.has_prefix("blocks_u.");  // joint layers join two
}

void infer_modalities(const Shapes& shapes, CavMaeConfig& config, const std::string& where) {
  const bool audio = has_modality(shapes, "a"), video = has_modality(shapes, "v");
  CAVMAE_CHECK_AS(CheckpointError, audio || video, where,
                  ": is no CAV-MAE checkpoint; it holds no layers blocks_a, blocks_v or blocks_u, but ",
                  shapes.names().empty() ? "nothing" : summarize_names(shapes.names()));
  config.modalities = audio && video ? Modalities::both : audio ? Modalities::audio : Modalities::video;
}

void infer_widths(const Shapes& shapes, CavMaeConfig& config, const std::string& where) {
  const auto width = shown(shapes, {{"patch_embed_a.proj.weight", 4, 0},
                                    {"patch_embed_v.proj.weight", 4, 0},
                                    {"modality_a", 3, 2},
                                    {"modality_v", 3, 2},
                                    {"pos_embed_a", 3, 2},
                                    {"pos_embed_v", 3, 2},
                                    {shapes.first_of_layers("blocks_a", "norm1.weight"), 1, 0},
                                    {shapes.first_of_layers("blocks_v", "norm1.weight"), 1, 0},
                                    {shapes.first_of_layers("blocks_u", "norm1.weight"), 1, 0}});
  CAVMAE_CHECK_AS(CheckpointError, width.has_value(), where,
                  ": is no CAV-MAE checkpoint, or one that is incomplete: its width cannot be told from ",
                  summarize_names(shapes.names()));
  config.embed_dim = *width;
  config.patch_size =
      shown(shapes, {{"patch_embed_a.proj.weight", 4, 2}, {"patch_embed_v.proj.weight", 4, 2}})
          .value_or(kPatchSize);
  const auto hidden = shown(shapes, {{shapes.first_of_layers("blocks_u", "mlp.fc1.weight"), 2, 0},
                                     {shapes.first_of_layers("blocks_a", "mlp.fc1.weight"), 2, 0},
                                     {shapes.first_of_layers("blocks_v", "mlp.fc1.weight"), 2, 0}});
  if (hidden) config.mlp_ratio = static_cast<double>(*hidden) / static_cast<double>(config.embed_dim);
}

JointStreams infer_streams(const Shapes& shapes, const CavMaeConfig& config) {
  if (config.modalities != Modalities::both) return JointStreams::none;
  const bool joint = shapes.has("norm.weight") || shapes.has("mask_token") ||
                     shapes.has_in_layers("blocks_u", "norm1.weight"),
             single = shapes.has("norm_a.weight") || shapes.has("norm_v.weight") ||
                      shapes.has_in_layers("blocks_u", "norm1_a.weight");
  return joint == single ? JointStreams::separate_and_concat
         : single        ? JointStreams::separate
                         : JointStreams::concat;
}

// Without the modalities' own layers, layers under other names may be those.
void require_no_other_layers(const Shapes& shapes, const std::string& where) {
  std::vector<std::string> others;
  for (const std::string& name : shapes.names()) {
    const bool ours = name.starts_with("blocks_") || name.starts_with("decoder_blocks.");
    if (!ours && (name.find(".attn.") != std::string::npos || name.find(".mlp.") != std::string::npos))
      others.push_back(name);
  }
  CAVMAE_CHECK_AS(CheckpointError, others.empty(), where,
                  ": holds no layers blocks_a or blocks_v, but layers under names that a CAV-MAE has not: ",
                  summarize_names(others), "; rename them");
}

void infer_layers(const Shapes& shapes, CavMaeConfig& config, const std::string& where) {
  config.joint_streams = infer_streams(shapes, config);
  config.modality_depth = std::max(shapes.depth("blocks_a"), shapes.depth("blocks_v"));
  if (config.modality_depth == 0) require_no_other_layers(shapes, where);
  config.joint_depth = config.joint_streams == JointStreams::none
                           ? 0
                           : std::max<int64_t>(1, shapes.depth("blocks_u"));  // a network has one at least
  const bool decoder = shapes.has("mask_token") || shapes.has_prefix("decoder_");
  config.decoder_depth = decoder ? std::max<int64_t>(1, shapes.depth("decoder_blocks")) : 0;
  if (!decoder) return;
  config.decoder_embed_dim = shown(shapes, {{"mask_token", 3, 2},
                                            {"decoder_embed.weight", 2, 0},
                                            {"decoder_norm.weight", 1, 0},
                                            {"decoder_pos_embed_a", 3, 2},
                                            {"decoder_pos_embed_v", 3, 2}})
                                 .value_or(kDecoderEmbedDim);
}

void infer_heads(const InferenceHints& hints, InferredConfig& out, const std::string& where) {
  CavMaeConfig& config = out.config;
  const auto infer = [&](const std::string& name, int64_t& heads, const std::optional<int64_t>& hint,
                         bool confirmed, int64_t guess) {
    const int64_t width = name == "num_heads" ? config.embed_dim : config.decoder_embed_dim;
    heads = hint.value_or(guess);
    CAVMAE_CHECK_AS(ConfigError, heads > 0 && width % heads == 0, name, " is ", heads,
                    ", which does not divide the width ", width, " of ", where);
    if (!hint) out.unstated.push_back({.name = name, .value = std::to_string(heads), .confirmed = confirmed});
  };
  const bool authors = config.embed_dim == kEmbedDim;
  infer("num_heads", config.num_heads, hints.num_heads, authors,
        authors ? kNumHeads : largest_divisor(config.embed_dim, std::max<int64_t>(1, config.embed_dim / 64)));
  if (config.decoder_depth == 0) return;
  infer("decoder_num_heads", config.decoder_num_heads, hints.decoder_num_heads,
        config.decoder_embed_dim == kDecoderEmbedDim,
        largest_divisor(config.decoder_embed_dim, kDecoderNumHeads));
}

void infer_audio_grid(const torch::Tensor& table, const InferenceHints& hints, InferredConfig& out,
                      const std::string& where) {
  CavMaeConfig& config = out.config;
  const int64_t positions = table.size(1), patch = config.patch_size;
  const auto grid = sincos_grid(table, kMelBins / kPatchSize);
  int64_t rows = grid ? grid->rows : kMelBins / patch;
  if (hints.num_mel_bins) {
    CAVMAE_CHECK_AS(ConfigError, !grid || *hints.num_mel_bins == rows * patch, "--num-mel-bins is ",
                    *hints.num_mel_bins, ", but the position embeddings of ", where, " are those of ",
                    rows * patch, " mel bins and ", grid ? grid->columns * patch : 0, " frames");
    rows = *hints.num_mel_bins / patch;
    CAVMAE_CHECK_AS(ConfigError, rows > 0 && *hints.num_mel_bins % patch == 0 && positions % rows == 0,
                    "--num-mel-bins is ", *hints.num_mel_bins, ", but the ", positions,
                    " audio positions of ", where, " are no grid of as many rows of ", patch, " bins");
  } else if (!grid) {
    const bool authors = config.embed_dim == kEmbedDim && positions == kAudioPositions;
    if (rows == 0 || positions % rows != 0) rows = 1;
    out.unstated.push_back(
        {.name = "num_mel_bins", .value = std::to_string(rows * patch), .confirmed = authors});
  }
  config.num_mel_bins = rows * patch;
  config.num_fbank_frames = positions / rows * patch;
}

void infer_inputs(const NamedTensors& tensors, const Shapes& shapes, const InferenceHints& hints,
                  InferredConfig& out, const std::string& where) {
  for (const auto& [name, tensor] : tensors) {
    if (name == "pos_embed_a" && shapes.size(name, 3, 1) > 0) infer_audio_grid(tensor, hints, out, where);
    if (name == "pos_embed_v") {
      const auto patches = static_cast<double>(shapes.size(name, 3, 1));
      out.config.image_size = static_cast<int64_t>(std::lround(std::sqrt(patches))) * out.config.patch_size;
    }
  }
}

// CAV-MAE Sync: names that no other network has. Registers are counted for two modalities, which those with
// global tokens have.
void infer_tokens(const Shapes& shapes, CavMaeConfig& config) {
  config.global_tokens = shapes.has("cls_token_a") || shapes.has("cls_token_v");
  if (!shapes.has("register_tokens")) return;
  const int64_t modalities = config.modalities == Modalities::both ? 2 : 1;
  config.registers = shapes.size("register_tokens", 2, 0) / modalities;
}

void infer_segments(const InferenceHints& hints, InferredConfig& out, const std::string& where) {
  CavMaeConfig& config = out.config;
  const int64_t frames = config.num_fbank_frames;
  if (!config.has_audio()) return;
  if (hints.audio_window_frames) {
    CAVMAE_CHECK_AS(ConfigError, *hints.audio_window_frames == 0 || *hints.audio_window_frames == frames,
                    "--audio-window-frames is ", *hints.audio_window_frames, ", but the sound that ", where,
                    " takes has ", frames, " frames; give ", frames, " for segments, or 0 for whole clips");
    if (*hints.audio_window_frames == 0) return;
  } else {
    if (!config.global_tokens || frames >= kClipFrames) return;
    const bool authors =
        config.embed_dim == kEmbedDim && config.num_mel_bins == kMelBins && frames == kSegmentFrames;
    out.unstated.push_back(
        {.name = "audio_window_frames", .value = std::to_string(frames), .confirmed = authors});
  }
  config.audio_window_frames = frames;
  config.num_fbank_frames = std::max(frames, kClipFrames);
}

}  // namespace

InferredConfig infer_config(const NamedTensors& tensors, const InferenceHints& hints,
                            const std::string& where) {
  const Shapes shapes(tensors, where);
  InferredConfig out;
  infer_modalities(shapes, out.config, where);
  infer_widths(shapes, out.config, where);
  infer_layers(shapes, out.config, where);
  infer_heads(hints, out, where);
  infer_inputs(tensors, shapes, hints, out, where);
  infer_tokens(shapes, out.config);
  infer_segments(hints, out, where);
  try {
    out.config.validate();
  } catch (const ConfigError& error) {
    throw CheckpointError(
        concat(where, ": the sizes of its tensors are not those of a CAV-MAE network (", error.what(), ")"));
  }
  return out;
}

}  // namespace cavmae
