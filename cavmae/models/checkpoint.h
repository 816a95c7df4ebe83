// A model on disk: model.safetensors with the authors' parameter names and, as metadata, the configuration
// ("model" and "features" JSON); or the authors' .pth. Free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/features/input_spec.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {

struct LoadedModel {
  CavMae model{nullptr};
  std::optional<InputSpec> spec;        // nothing when the file states none (.pth)
  std::filesystem::path path;           // the file that was read
  std::vector<std::string> missing;     // parameters that kept their initial value
  std::vector<std::string> unexpected;  // tensors of the file that the model has no use for
};

// Reads a model. The configuration comes from the metadata, or from the tensors' shapes where there is none.
LoadedModel load_model(const std::filesystem::path& path);
// The same with what sizes do not tell, for files without metadata.
LoadedModel load_model(const std::filesystem::path& path, const InferenceHints& hints);

// What a network is to be fed instead of what its checkpoint says.
struct InputShape {
  std::optional<int64_t> num_fbank_frames, image_size;
};
// The same network for inputs of another shape: `features` says so too, and position embeddings are fitted to
// the new grids, or refused with a CheckpointError that names them.
LoadedModel load_model(const std::filesystem::path& path, const InputShape& shape, PositionFit positions);

// Copies the tensors into `model`; throws CheckpointError naming the tensors whose size disagrees, with both
// sizes. Prefixes "module." are ignored.
LoadReport load_parameters(CavMae& model, const std::filesystem::path& path);

void save_model(const std::filesystem::path& path, CavMae& model, const std::optional<InputSpec>& spec);

}  // namespace cavmae
