#include "cavmae/models/flops.h"

#include <algorithm>

#include "cavmae/features/segments.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

// A product of [rows, in] and [in, out], both needed by the result.
struct Product {
  int64_t rows = 0, in = 0, out = 0;
  double flops() const {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out);
  }
};

struct Layers {
  const char* part = "";
  int64_t depth = 0;
  int64_t width = 0;
  double mlp_ratio = 0;
};

enum class Gradients { none, weights, weights_and_inputs };

// Sums up the arithmetic of parts in the order in which they were first named.
class Count {
 public:
  explicit Count(Gradients gradients) : gradients_(gradients) {}

  // What is added from now on has these.
  void set_gradients(Gradients gradients) { gradients_ = gradients; }

  // What is added from now on is done this often.
  void set_times(int64_t times) { times_ = static_cast<double>(times); }

  void add(const std::string& part, const Product& product) { add(part, product, gradients_); }

  // Of input that takes no gradient.
  void add_first(const std::string& part, const Product& product) {
    add(part, product, gradients_ == Gradients::none ? Gradients::none : Gradients::weights);
  }

  // One layer; `picked` of the `tokens` are what it is computed for, and all are attended to.
  void add_layer(const Layers& layers, int64_t tokens, int64_t picked) {
    const int64_t width = layers.width;
    const auto hidden = static_cast<int64_t>(static_cast<double>(width) * layers.mlp_ratio);
    const std::string part = layers.part;
    const std::string attention = part + "/" + ranges::kAttention;
    const std::string products = attention + "/" + ranges::kAttentionMatmul;
    add(attention, {tokens, width, 2 * width});  // keys and values
    add(attention, {picked, width, 2 * width});  // queries, and the projection of the result
    add(products, {picked, width, tokens});      // queries and keys
    add(products, {picked, tokens, width});      // weights and values
    add(part + "/" + ranges::kMlp, {picked, width, 2 * hidden});
  }

  void add_layers(const Layers& layers, int64_t tokens) {
    for (int64_t i = 0; i < layers.depth; ++i) add_layer(layers, tokens, tokens);
  }

  std::vector<PartFlops> parts() && { return std::move(parts_); }

 private:
  void add(const std::string& part, const Product& product, Gradients gradients) {
    auto found = std::ranges::find(parts_, part, &PartFlops::part);
    if (found == parts_.end()) found = parts_.insert(parts_.end(), {.part = part});
    found->forward += times_ * product.flops();
    found->backward += times_ * static_cast<double>(gradients) * product.flops();
  }

  Gradients gradients_;
  double times_ = 1.0;
  std::vector<PartFlops> parts_;
};

// Patches of both modalities that a pass sees; 0 of one that the network lacks.
struct Lengths {
  int64_t audio = 0, video = 0;
  int64_t both() const { return audio + video; }
};

Lengths all_patches(const CavMaeConfig& c) {
  return {.audio = c.has_audio() ? c.num_audio_patches() : 0,
          .video = c.has_video() ? c.num_video_patches() : 0};
}

void add_embedding(Count& count, const CavMaeConfig& c, const Lengths& patches) {
  count.add_first(ranges::kEmbedding, {patches.audio, c.audio_patch_values(), c.embed_dim});
  count.add_first(ranges::kEmbedding, {patches.video, c.video_patch_values(), c.embed_dim});
}

// Global tokens and registers go through the modality's own layers beside the patches.
void add_modality_layers(Count& count, const CavMaeConfig& c, const Lengths& visible) {
  const int64_t learned = c.num_global_tokens() + c.registers;
  const auto layers = [&](const char* part) {
    return Layers{.part = part, .depth = c.modality_depth, .width = c.embed_dim, .mlp_ratio = c.mlp_ratio};
  };
  if (visible.audio > 0) count.add_layers(layers(ranges::kAudioEncoder), visible.audio + learned);
  if (visible.video > 0) count.add_layers(layers(ranges::kVideoEncoder), visible.video + learned);
}

void add_encoders(Count& count, const CavMaeConfig& c, const Lengths& visible) {
  add_embedding(count, c, visible);
  add_modality_layers(count, c, visible);
}

Layers joint_layers(const CavMaeConfig& c) {
  return {
      .part = ranges::kJointLayers, .depth = c.joint_depth, .width = c.embed_dim, .mlp_ratio = c.mlp_ratio};
}

void add_single_streams(Count& count, const CavMaeConfig& c, const Lengths& visible) {
  if (!c.has_single_streams()) return;
  if (visible.audio > 0) count.add_layers(joint_layers(c), visible.audio + c.num_global_tokens());
  if (visible.video > 0) count.add_layers(joint_layers(c), visible.video + c.num_global_tokens());
}

void add_joint_stream(Count& count, const CavMaeConfig& c, const Lengths& visible) {
  if (c.joint_streams == JointStreams::concat || c.joint_streams == JointStreams::separate_and_concat)
    count.add_layers(joint_layers(c), visible.both());
}

// The last joint layer of a modality's single stream of `tokens`, as far as a teacher needs it: what all
// attend to for the scores, and the layer's output for the global token alone.
void add_last_layer_of_teacher(Count& count, const CavMaeConfig& c, int64_t tokens, const TeacherUse& use) {
  const int64_t width = c.embed_dim, queries = use.ranks ? tokens : 1;
  const auto hidden = static_cast<int64_t>(static_cast<double>(width) * c.mlp_ratio);
  const std::string part = ranges::kJointLayers, attention = part + "/" + ranges::kAttention,
                    products = attention + "/" + ranges::kAttentionMatmul;
  count.add(attention, {tokens, width, width});   // keys
  count.add(attention, {queries, width, width});  // queries
  count.add(products, {queries, width, tokens});  // queries and keys
  if (!use.distills) return;
  count.add(attention, {tokens, width, width});  // values
  count.add(attention, {1, width, width});       // the projection of the result
  count.add(products, {1, tokens, width});       // weights and values
  count.add(part + "/" + ranges::kMlp, {1, width, 2 * hidden});
}

// A pass without masks and without gradients, of a network with both modalities and global tokens.
void add_teacher(Count& count, const CavMaeConfig& c, const TeacherUse& use) {
  if (!use.ranks && !use.distills) return;
  const Lengths all = all_patches(c);
  count.set_gradients(Gradients::none);
  add_encoders(count, c, all);
  Layers before_last = joint_layers(c);
  --before_last.depth;
  for (const int64_t patches : {all.audio, all.video}) {
    const int64_t tokens = patches + c.num_global_tokens();
    count.add_layers(before_last, tokens);
    add_last_layer_of_teacher(count, c, tokens, use);
  }
}

void add_decoder(Count& count, const CavMaeConfig& c, const Lengths& visible) {
  const Lengths all = all_patches(c);
  const Lengths masked{.audio = all.audio - visible.audio, .video = all.video - visible.video};
  const Layers layers{.part = ranges::kDecoder,
                      .depth = c.decoder_depth - 1,
                      .width = c.decoder_embed_dim,
                      .mlp_ratio = c.mlp_ratio};
  count.add(ranges::kDecoderInputs, {visible.both(), c.embed_dim, c.decoder_embed_dim});
  count.add_layers(layers, all.both());
  count.add_layer(layers, all.both(), masked.both());
  count.add(ranges::kHeads, {masked.audio, c.decoder_embed_dim, c.audio_patch_values()});
  count.add(ranges::kHeads, {masked.video, c.decoder_embed_dim, c.video_patch_values()});
}

// Segments of sound that differ, of so many pictures; 1 where the network takes the whole clip.
int64_t num_sounds(const CavMaeConfig& config, int64_t num_pictures) {
  if (config.audio_window_frames == 0) return 1;
  const SegmentPlan plan{.num_pictures = num_pictures,
                         .clip_frames = config.num_fbank_frames,
                         .segment_frames = config.audio_window_frames};
  int64_t distinct = 1;
  for (int64_t i = 1; i < num_pictures; ++i)
    if (aligned_segment(plan, i) != aligned_segment(plan, i - 1)) ++distinct;
  return distinct;
}

}  // namespace

std::vector<PartFlops> pretraining_flops(const CavMaeConfig& config, const MaskOptions& masks,
                                         std::optional<double> contrastive_mask_ratio,
                                         const TeacherUse& teacher) {
  const Lengths all = all_patches(config);
  const Lengths visible{.audio = num_kept(all.audio, masks.mask_ratio_audio),
                        .video = num_kept(all.video, masks.mask_ratio_video)};
  Count count(Gradients::weights_and_inputs);
  if (contrastive_mask_ratio) {
    const Lengths contrasted{.audio = num_kept(all.audio, *contrastive_mask_ratio),
                             .video = num_kept(all.video, *contrastive_mask_ratio)};
    add_embedding(count, config, all);  // once for both passes
    add_modality_layers(count, config, visible);
    add_modality_layers(count, config, contrasted);
    add_joint_stream(count, config, visible);
    add_single_streams(count, config, contrasted);
  } else {
    add_encoders(count, config, visible);
    add_joint_stream(count, config, visible);
    add_single_streams(count, config, visible);
  }
  if (config.decoder_depth > 0) add_decoder(count, config, visible);
  add_teacher(count, config, teacher);
  return std::move(count).parts();
}

std::vector<PartFlops> embedding_flops(const CavMaeConfig& config, int64_t num_pictures) {
  const Lengths all = all_patches(config);
  Count count(Gradients::none);
  if (config.joint_streams == JointStreams::concat) {
    count.set_times(num_pictures);
    add_encoders(count, config, all);
    add_joint_stream(count, config, all);
    return std::move(count).parts();
  }
  for (const Lengths& one : {Lengths{.audio = all.audio}, Lengths{.video = all.video}}) {
    count.set_times(one.video > 0 ? num_pictures : num_sounds(config, num_pictures));
    add_encoders(count, config, one);
    add_single_streams(count, config, one);
  }
  return std::move(count).parts();
}

std::vector<PartFlops> fine_tuning_flops(const CavMaeConfig& config, int64_t num_classes) {
  const Lengths all = all_patches(config);
  Count count(Gradients::weights_and_inputs);
  add_encoders(count, config, all);
  if (config.joint_streams == JointStreams::separate) {
    add_single_streams(count, config, all);
  } else {
    add_joint_stream(count, config, all);
  }
  count.add(ranges::kHeads, {1, config.embed_dim, num_classes});
  return std::move(count).parts();
}

double total_flops(const std::vector<PartFlops>& parts) {
  double total = 0;
  for (const PartFlops& part : parts) total += part.forward + part.backward;
  return total;
}

}  // namespace cavmae
