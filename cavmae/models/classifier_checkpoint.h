// A classifier on disk: a model's file (checkpoint.h) whose metadata says besides what its head is
// ("classifier") and what its classes are called ("labels"); or the authors' fine-tuned .pth, which says
// neither. Free functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {

struct ClassifierMetadata {
  std::optional<InputSpec> spec;  // nothing when the file states none (.pth)
  Json labels;                    // list of {"mid", "display_name"}, [C]; null likewise
};

struct LoadedClassifier {
  Classifier classifier{nullptr};
  ClassifierMetadata metadata;
  std::filesystem::path path;           // the file that was read
  std::vector<std::string> unexpected;  // tensors of the file that a classifier has no use for
};

// What a .pth does not tell; goes before what the metadata says.
struct ClassifierHints {
  std::optional<Modalities> mode;  // e.g. a classifier of both as one that hears alone: one uni-modal stream
  std::optional<Representation> representation;
  std::optional<ScoreKind> scores;
  InferenceHints network;
  InputShape shape;  // of its inputs, where not those of its training
  PositionFit positions = PositionFit::refuse;
};

// Whether the file holds a classifier's head; its tensors are not read. `path` as find_model_file() takes it.
bool holds_classifier(const std::filesystem::path& path);

// Throws CheckpointError when it holds none, or lacks a parameter.
LoadedClassifier load_classifier(const std::filesystem::path& path, const ClassifierHints& hints = {});

void save_classifier(const std::filesystem::path& path, Classifier& classifier,
                     const ClassifierMetadata& metadata);

}  // namespace cavmae
