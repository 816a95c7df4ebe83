// He et al.'s image MAE (CVPR 2022) as the beginning of one of our networks. Free functions.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cavmae/models/cav_mae_config.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// Whether these are the tensors of an image MAE, with its decoder or without.
bool is_image_mae(const NamedTensors& tensors);

// Note [Image MAE]: layer i < modality_depth becomes layer i of both modalities' encoders, the next
// joint_depth ones the joint layers, with their two norms copied to every stream; the last norm likewise. The
// patch embedding is that of pictures, and summed over RGB that of sound. Position embeddings lose the class
// token's and are those of pictures; sound keeps its own. decoder_pred is that of pictures, its first P * P
// rows that of sound. All else by name. What the network has no parameter for is left out.
struct ImageMaeTensors {
  NamedTensors tensors;             // under our names
  std::vector<std::string> unused;  // names in the file that become nothing
};
struct ImageMaeTarget {
  const CavMaeConfig& config;
  std::set<std::string> parameters;  // their names
};
ImageMaeTensors from_image_mae(const NamedTensors& image_mae, const ImageMaeTarget& target,
                               const std::string& where);

}  // namespace cavmae
