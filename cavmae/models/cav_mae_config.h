// The shape of a network, for every system of the paper: data, not classes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cavmae {

// Which streams go through the joint layers (Gong et al., ICLR 2023, section 3 and Table 1).
//   none:      audio-mae, visual-mae
//   concat:    vanilla av-mae, av-mae: the tokens of both modalities concatenated
//   separate:  cav: audio, then video
//   separate_and_concat:  cav-mae: audio, video, and the two concatenated
// Configurations and checkpoints call them none, both, audio_video and all.
enum class JointStreams { none, concat, separate, separate_and_concat };
inline std::vector<std::pair<JointStreams, std::string>> option_names(JointStreams) {
  return {{JointStreams::none, "none"},
          {JointStreams::concat, "both"},
          {JointStreams::separate, "audio_video"},
          {JointStreams::separate_and_concat, "all"}};
}

enum class Modalities { both, audio, video };
inline std::vector<std::pair<Modalities, std::string>> option_names(Modalities) {
  return {{Modalities::both, "both"}, {Modalities::audio, "audio"}, {Modalities::video, "video"}};
}

// What of a modality's outputs the contrastive loss compares, and what speaks for a clip.
//   global: the global token; in a network without global tokens the mean of the patches
//   mean:   the mean of the patches
//   both:   the mean of the two losses; the global token speaks for a clip
enum class ContrastivePooling { global, mean, both };
inline std::vector<std::pair<ContrastivePooling, std::string>> option_names(ContrastivePooling) {
  return {{ContrastivePooling::global, "global"},
          {ContrastivePooling::mean, "mean"},
          {ContrastivePooling::both, "both"}};
}

struct CavMaeConfig {
  Modalities modalities = Modalities::both;
  JointStreams joint_streams = JointStreams::separate_and_concat;
  int64_t num_fbank_frames = 1024;  // T
  int64_t num_mel_bins = 128;       // F
  int64_t image_size = 224;         // S
  int64_t patch_size = 16;          // P
  int64_t embed_dim = 768;          // D
  int64_t num_heads = 12;
  double mlp_ratio = 4.0;
  int64_t modality_depth = 11;  // layers of each modality's own encoder
  int64_t joint_depth = 1;
  int64_t decoder_depth = 8;        // 0: no decoder (cav)
  int64_t decoder_embed_dim = 512;  // E
  int64_t decoder_num_heads = 16;
  bool train_positions = false;  // else fixed 2-D sin-cos
  // CAV-MAE Sync (Araujo et al., CVPR 2025):
  int64_t audio_window_frames = 0;  // of the filterbank, what the network takes at a time; 0: all of it
  bool global_tokens = false;       // one learned token a modality, beside the patches that are kept
  int64_t registers = 0;            // R learned tokens a modality, through its own encoder alone
  ContrastivePooling contrastive_pooling = ContrastivePooling::global;

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"audio_window_frames", "global_tokens", "registers",
                                                     "contrastive_pooling"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("modalities", o.modalities, "which modalities the network has");
    v("joint_streams", o.joint_streams, "which streams go through the joint layers");
    v("num_fbank_frames", o.num_fbank_frames, "filterbank frames of a clip (10 ms each)");
    v("num_mel_bins", o.num_mel_bins, "mel bins of the filterbank");
    v("image_size", o.image_size, "side of the picture in pixels");
    v("patch_size", o.patch_size, "side of a patch");
    v("embed_dim", o.embed_dim, "width of the encoders");
    v("num_heads", o.num_heads, "attention heads of the encoders");
    v("mlp_ratio", o.mlp_ratio, "width of an MLP's hidden layer over the block's width");
    v("modality_depth", o.modality_depth, "layers of each modality's own encoder");
    v("joint_depth", o.joint_depth, "joint layers");
    v("decoder_depth", o.decoder_depth, "layers of the decoder (0: none)");
    v("decoder_embed_dim", o.decoder_embed_dim, "width of the decoder");
    v("decoder_num_heads", o.decoder_num_heads, "attention heads of the decoder");
    v("train_positions", o.train_positions, "train the position embeddings instead of fixed sin-cos ones");
    v("audio_window_frames", o.audio_window_frames,
      "filterbank frames of the segment that the network takes, cut from those of the clip (0: all of them)");
    v("global_tokens", o.global_tokens,
      "one learned token a modality that the contrastive loss compares and reconstruction never sees");
    v("registers", o.registers, "learned tokens a modality that go through its own encoder alone");
    v("contrastive_pooling", o.contrastive_pooling, "what the contrastive loss compares");
  }
  // One ConfigError listing every bad field (not divisible by the patch size or the heads, not positive,
  // ...).
  void validate() const;

  // The encoders alone.
  CavMaeConfig without_decoder() const;

  bool has_audio() const { return modalities != Modalities::video; }
  bool has_video() const { return modalities != Modalities::audio; }
  // Whether a modality alone goes through the joint layers, with outputs of its own.
  bool has_single_streams() const {
    return joint_streams == JointStreams::separate || joint_streams == JointStreams::separate_and_concat;
  }
  // T of what the network takes.
  int64_t input_frames() const { return audio_window_frames > 0 ? audio_window_frames : num_fbank_frames; }
  // Tokens of a modality that are no patches and stand before them.
  int64_t num_global_tokens() const { return global_tokens ? 1 : 0; }
  int64_t audio_rows() const { return num_mel_bins / patch_size; }       // frequency
  int64_t audio_columns() const { return input_frames() / patch_size; }  // time
  int64_t num_audio_patches() const { return audio_rows() * audio_columns(); }
  int64_t num_video_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  int64_t audio_patch_values() const { return patch_size * patch_size; }
  int64_t video_patch_values() const { return patch_size * patch_size * 3; }
};

}  // namespace cavmae
