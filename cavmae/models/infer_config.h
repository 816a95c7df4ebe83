// The configuration of a checkpoint that does not state it, read from its tensors' names and sizes. Free
// function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cavmae/models/cav_mae_config.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// What sizes do not show. Heads leave no trace in a checkpoint: by default an encoder of width D has
// max(1, D / 64) and a decoder 16 where that divides its width, as the authors' models have.
struct InferenceHints {
  std::optional<int64_t> num_heads = std::nullopt;
  std::optional<int64_t> decoder_num_heads = std::nullopt;
  int64_t num_mel_bins = 128;
};

// `tensors`: without the prefix "module."; `where` names the file in errors. Throws CheckpointError when they
// are not those of such a network.
CavMaeConfig infer_config(const NamedTensors& tensors, const InferenceHints& hints, const std::string& where);

}  // namespace cavmae
