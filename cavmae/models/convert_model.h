// A model's file in the other format, bit for bit: ours (.safetensors) and the authors' (.pth). Free
// functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/models/infer_config.h"

namespace cavmae {

struct Conversion {
  std::filesystem::path from;         // the file that was read
  std::vector<std::string> left_out;  // tensors that no part of a model is made of
  // Options that a .pth cannot state and a reader would guess otherwise ("num_heads 4"); for a .pth alone.
  std::vector<std::string> unstated;
};

// `from`: what find_model_file() takes; a fine-tuned model's head (mlp_head.*) comes along. `to` ends in .pth
// (zip format, OrderedDict, prefix "module.", which the authors' code loads) or .safetensors. The tensors
// keep their order, type and bits. `hints`: for a file without metadata. Throws ConfigError for another
// ending and CheckpointError for a file that is incomplete or no model; then nothing was written.
Conversion convert_model(const std::filesystem::path& from, const std::filesystem::path& to,
                         const InferenceHints& hints);

}  // namespace cavmae
