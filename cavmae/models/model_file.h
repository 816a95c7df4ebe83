// The file of a model before it becomes a network: where it is, its tensors, and what its metadata states.
// Free functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cavmae/core/json.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/cav_mae_config.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// "format" in the metadata of our files.
inline constexpr const char* kModelFormat = "cavmae";

// `path`: a .safetensors or .pth file, a checkpoint folder (holding model.safetensors), or a run's folder
// (its best checkpoint, else its last). Throws CheckpointError naming what was looked for.
std::filesystem::path find_model_file(const std::filesystem::path& path);

// Tensors without the prefix "module.", and the metadata of a .safetensors.
TensorFile read_model_file(const std::filesystem::path& file);

// The same, of the tensors their names, types and shapes alone ("meta" tensors, which have no memory). Of a
// file of any size it reads the header, or the pickle.
TensorFile inspect_model_file(const std::filesystem::path& file);

// Metadata `key` as JSON; null when the file has none.
Json metadata_json(const TensorFile& contents, const std::string& key, const std::filesystem::path& file);

// The configuration that the metadata states. Throws ConfigError when it is none.
std::optional<CavMaeConfig> stated_config(const TensorFile& contents, const std::filesystem::path& file);
// What the metadata says that the network is fed, likewise.
std::optional<InputSpec> stated_input(const TensorFile& contents, const std::filesystem::path& file);
// Whether it says if photos are turned as their EXIF orientation asks. What does not was trained without.
bool states_exif(const TensorFile& contents, const std::filesystem::path& file);

}  // namespace cavmae
