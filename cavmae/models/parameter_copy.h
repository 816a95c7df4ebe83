// The tensors of a file into the parameters of a network, by name: what fits, what is missing, what is left
// over, and what has another size. Free functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cavmae/models/cav_mae_config.h"
#include "cavmae/models/resize_positions.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

struct LoadReport {
  std::vector<std::string> missing;     // parameters that kept their value
  std::vector<std::string> unexpected;  // tensors of the file that the network has no use for
  // Position embeddings that were fitted to the network's grid, and how: "pos_embed_a (computed for 4 x 4)".
  std::vector<std::string> resized;
};

struct CopySource {
  const NamedTensors& tensors;
  std::string where;                   // names the file in errors
  std::optional<CavMaeConfig> config;  // of the network that they come from, when it is known
  // A parameter of the same type takes the tensor itself, which may lie in a mapped file, and no copy of it.
  bool shares_memory = false;
};

// All sizes are looked at before anything is copied. Throws CheckpointError that names every tensor of
// another size, with both sizes, and CheckpointError when no tensor is a parameter. `config` is that of
// `network`, which may have parameters besides (a classifier's head).
LoadReport copy_parameters(torch::nn::Module& network, const CavMaeConfig& config, const CopySource& source,
                           PositionFit positions = PositionFit::refuse);

// "blocks_a.*.norm1_a.weight (11), mask_token": names that differ in a number alone are one.
std::string summarize_names(const std::vector<std::string>& names);

}  // namespace cavmae
