// A model's file in the other format, bit for bit: ours (.safetensors) and the authors' (.pth). Free
// functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/models/pretrained.h"

namespace cavmae {

struct Conversion {
  std::filesystem::path from;           // the file that was read
  std::filesystem::path description;    // what was written beside a .pth, see description_path()
  std::vector<std::string> left_out;    // tensors that no part of a model is made of
  std::vector<UnstatedOption> assumed;  // what was written as in the authors' models, whose tensors these are
  // What neither the file nor the options say and who reads the result has to: fbank_mean, scores, ...
  std::vector<std::string> unstated;
};

// `from`: what find_model_file() takes; a fine-tuned model's head (mlp_head.*) comes along. `to` ends in .pth
// (zip format, OrderedDict, prefix "module.", which the authors' code loads; what such a file cannot say goes
// into `to`.json) or .safetensors. The tensors keep their order, type and bits. Of `options` those count that
// say what the file does not, which network of it is meant, and whether tensors without a place are left out.
// Throws ConfigError for another ending and for heads or mel bins that nothing tells, and CheckpointError for
// a file that lacks parameters or is no model; then nothing was written.
Conversion convert_model(const std::filesystem::path& from, const std::filesystem::path& to,
                         const LoadOptions& options = {});

}  // namespace cavmae
