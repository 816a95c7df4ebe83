// What a file says of the model in it, before a network is made of it. Free functions; safe from any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/class_label.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/models/model_file.h"

namespace cavmae {

struct ModelDescription {
  std::filesystem::path path;       // of the file
  CavMaeConfig config;              // as stated, or inferred from the tensors
  InputSpec spec;                   // as stated; else the authors', which `unstated` tells whether to believe
  bool states_spec = false;         // whether the file, or the description beside it, states it
  bool states_exif = false;         // see model_file.h
  std::optional<HeadOptions> head;  // of a classifier
  std::vector<ClassLabel> labels;   // [C]; empty when the file states none
  // Note [What a .pth cannot say]: of the network and its inputs, and of the head. What the tensors cannot
  // show is the authors' value where they are those of an authors' model: of heads see Note [Inferred
  // configuration]; mean, deviation and window at width 768 with 128 mel bins and 1024 frames (and pictures
  // of 224 pixels); a head of both modalities with 527 classes (AudioSet, sigmoid) or 309 (VGGSound,
  // softmax).
  std::vector<UnstatedOption> unstated, unstated_of_head;
};

// `hints`: of what the file does not state. Throws CheckpointError for what is no CAV-MAE network, an image
// MAE (He et al., CVPR 2022) among it, and ConfigError where a hint contradicts the file.
ModelDescription describe_model(const ModelFile& contents, const std::filesystem::path& file,
                                const InferenceHints& hints);

// "width 128, 3 + 1 layers, 100 audio positions, pictures of 96 px".
std::string shown_by_tensors(const CavMaeConfig& config);

// The parameters of which a classifier's file has one and no other file any: of a linear head, and of a
// self-attention head.
inline constexpr const char* kHeadWeight = "mlp_head.1.weight";
inline constexpr const char* kFrameHeadWeight = "classifier_head.weight";

}  // namespace cavmae
