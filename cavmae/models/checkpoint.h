// A model on disk: model.safetensors with the authors' parameter names and, as metadata, the configuration
// ("model" and "features" JSON), of a classifier also its head ("classifier") and its classes ("labels").
// load_pretrained() (pretrained.h) reads it. Free functions.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "cavmae/core/class_label.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {

void save_model(const std::filesystem::path& path, CavMae& model, const std::optional<InputSpec>& spec);
// `labels`: [C], or empty where they are not known.
void save_classifier(const std::filesystem::path& path, Classifier& classifier,
                     const std::optional<InputSpec>& spec, const std::vector<ClassLabel>& labels);

// Copies the tensors of a file into a network that is there already; throws CheckpointError naming the
// tensors whose size disagrees, with both sizes. Prefixes "module." are ignored.
LoadReport load_parameters(CavMae& model, const std::filesystem::path& path);

}  // namespace cavmae
