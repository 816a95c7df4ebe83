// What a file says of the model in it, before a network is made of it. Free functions; safe from any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "cavmae/core/class_label.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/models/model_file.h"

namespace cavmae {

struct ModelDescription {
  std::filesystem::path path;       // of the file
  CavMaeConfig config;              // as stated, or inferred from the tensors' sizes
  std::optional<InputSpec> spec;    // nothing when the file states none (.pth)
  bool states_exif = false;         // see model_file.h
  std::optional<HeadOptions> head;  // of a classifier; but for its classes the defaults where none is stated
  std::vector<ClassLabel> labels;   // [C]; empty when the file states none
};

// `hints`: for files without metadata. Throws CheckpointError for what is no CAV-MAE network, an image MAE
// (He et al., CVPR 2022) among it.
ModelDescription describe_model(const TensorFile& contents, const std::filesystem::path& file,
                                const InferenceHints& hints);

// The parameter that a classifier's file has and no other.
inline constexpr const char* kHeadWeight = "mlp_head.1.weight";

}  // namespace cavmae
