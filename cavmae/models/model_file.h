// The file of a model before it becomes a network: where it is, its tensors, and what its metadata states.
// Free functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/cav_mae_config.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// "format" in the metadata of our files.
inline constexpr const char* kModelFormat = "cavmae";

// `path`: a .safetensors file or a .pth (.pt, .ckpt, .bin), a checkpoint folder (holding model.safetensors),
// or a run's folder (its best checkpoint, else its last). Throws CheckpointError naming what was looked for.
std::filesystem::path find_model_file(const std::filesystem::path& path);

// NAME.pth.json of NAME.pth: what a .pth cannot say, as 'cavmae convert' writes it beside (docs/formats.md).
std::filesystem::path description_path(const std::filesystem::path& pth);

struct ModelFile : TensorFile {  // the network's tensors under the network's own names, and the metadata
  std::filesystem::path described_in;  // the file beside that the metadata come from; empty: there is none
  std::string network;                 // see NetworkTensors
  std::vector<std::string> copies;     // likewise
};

// `network`: which one of a file that holds several, as NetworkTensors::network names it; empty: the
// likeliest. Throws CheckpointError as read_safetensors() and PthFile do, and as find_network() does.
ModelFile read_model_file(const std::filesystem::path& file, const std::string& network = {});

// The same; of a .safetensors file without reading tensors that are not touched (map_safetensors()).
ModelFile map_model_file(const std::filesystem::path& file, const std::string& network = {});

// The same, of the tensors their names, types and shapes alone ("meta" tensors, which have no memory), but
// for the position embeddings of a file that does not state its configuration. Of a file of any size it reads
// the header, or the pickle.
ModelFile inspect_model_file(const std::filesystem::path& file, const std::string& network = {});

// Metadata `key` as JSON; null when the file has none.
Json metadata_json(const TensorFile& contents, const std::string& key, const std::filesystem::path& file);

// The configuration that the metadata states. Throws ConfigError when it is none.
std::optional<CavMaeConfig> stated_config(const TensorFile& contents, const std::filesystem::path& file);
// What the metadata says that the network is fed, likewise.
std::optional<InputSpec> stated_input(const TensorFile& contents, const std::filesystem::path& file);
// Whether it says if photos are turned as their EXIF orientation asks. What does not was trained without.
bool states_exif(const TensorFile& contents, const std::filesystem::path& file);

}  // namespace cavmae
