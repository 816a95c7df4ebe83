// A model on disk: model.safetensors with the authors' parameter names and, as metadata, the configuration
// ("model" and "features" JSON); or the authors' .pth. Free functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/infer_config.h"

namespace cavmae {

struct LoadedModel {
  CavMae model{nullptr};
  Json features;                        // FeatureOptions as JSON; null when the file holds none (.pth)
  std::filesystem::path path;           // the file that was read
  std::vector<std::string> missing;     // parameters that kept their initial value
  std::vector<std::string> unexpected;  // tensors of the file that the model has no use for
};

// `path`: a .safetensors or .pth file, a checkpoint folder (holding model.safetensors), or a run's folder
// (its best checkpoint, else its last). Throws CheckpointError naming what was looked for.
std::filesystem::path find_model_file(const std::filesystem::path& path);

// Reads a model. The configuration comes from the metadata, or from the tensors' shapes where there is none.
LoadedModel load_model(const std::filesystem::path& path);
// The same with what sizes do not tell, for files without metadata.
LoadedModel load_model(const std::filesystem::path& path, const InferenceHints& hints);

// Copies the tensors into `model`; throws CheckpointError naming the first tensor whose size disagrees, with
// both sizes. Prefixes "module." are ignored.
struct LoadReport {
  std::vector<std::string> missing, unexpected;
};
LoadReport load_parameters(CavMae& model, const std::filesystem::path& path);

void save_model(const std::filesystem::path& path, CavMae& model, const Json& features);

// Writes a .pth that the authors' code loads (zip format, OrderedDict, prefix "module.").
void export_pth(const std::filesystem::path& path, CavMae& model);

}  // namespace cavmae
