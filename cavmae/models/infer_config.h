// The configuration of a checkpoint that does not state it, read from its tensors' names and sizes. Free
// function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cavmae/models/cav_mae_config.h"
#include "cavmae/models/unstated.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// What names and sizes do not show, as the user knows it.
struct InferenceHints {
  std::optional<int64_t> num_heads = std::nullopt;
  std::optional<int64_t> decoder_num_heads = std::nullopt;
  std::optional<int64_t> num_mel_bins = std::nullopt;
  std::optional<int64_t> audio_window_frames = std::nullopt;  // of a segment; 0: sound is the whole clip's
};

struct InferredConfig {
  CavMaeConfig config;
  std::vector<UnstatedOption> unstated;  // what hints could say and none does
};

// Note [Inferred configuration]: a name that only one kind of network has tells that this is its kind, so
// that a file that lacks tensors, or has them under other names, is known for what it is and can be refused
// with the names of what is missing. Heads leave no trace: those of the authors' models hold at the authors'
// widths (12 at 768, 16 at 512 in the decoder). The grid of audio's positions, and with it mel bins and
// frames, is that whose sin-cos table the position embeddings are, or are near (trained ones stay near); else
// the authors' 8 x 64 holds where there are 512 positions at width 768. Global tokens are CAV-MAE Sync's,
// which is trained with segments cut from 1024 frames, and a segment leaves no trace but its length: at that
// width 416 frames are those of its authors' model, and of fewer than 1024 others has to be said whether they
// are a segment or a clip.
//
// `tensors`: under the network's own names; position embeddings with their numbers, of the others the shapes
// count alone. `where` names the file. Throws CheckpointError when they are not those of such a network, and
// ConfigError when a hint contradicts them.
InferredConfig infer_config(const NamedTensors& tensors, const InferenceHints& hints,
                            const std::string& where);

}  // namespace cavmae
