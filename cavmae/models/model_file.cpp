#include "cavmae/models/model_file.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/text.h"
#include "cavmae/models/network_tensors.h"
#include "cavmae/models/resize_positions.h"
#include "cavmae/tensorfile/pth.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFile = "model.safetensors";

// The step-XXXXXXXX folder of the highest step that holds a model; empty when there is none.
fs::path newest_step(const fs::path& checkpoints) {
  fs::path newest;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(checkpoints, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("step-") || !fs::is_regular_file(entry.path() / kModelFile)) continue;
    const auto order = [](const std::string& n) { return std::pair(n.size(), n); };  // by number
    if (newest.empty() || order(name) > order(newest.filename().string())) newest = entry.path();
  }
  return newest;
}

bool is_safetensors(const fs::path& file) {
  return file.extension() == ".safetensors";
}

std::vector<TensorPlace> places_of(const NamedTensors& tensors) {
  std::vector<TensorPlace> places;
  for (const auto& [name, tensor] : tensors) places.push_back({.holder = {}, .name = name});
  return places;
}

std::vector<TensorPlace> places_of(const PthFile& file) {
  std::vector<TensorPlace> places;
  for (const PthTensor& tensor : file.tensors())
    places.push_back({.holder = tensor.holder, .name = tensor.key});
  return places;
}

torch::Tensor without_numbers(torch::ScalarType type, const std::vector<int64_t>& shape) {
  return torch::empty(shape, torch::TensorOptions(type).device(torch::kMeta));
}

using Metadata = std::map<std::string, std::string>;

// What a description says; others of its keys are carried along.
const std::vector<std::string> kDescriptionKeys = {"format",     "model",  "features",
                                                   "classifier", "labels", "precision"};

// Of the description beside a .pth: its values as the metadata of a .safetensors have them. Nothing of a JSON
// file that is not ours.
Metadata read_description(const fs::path& file) {
  const Json json = read_json(file);
  Metadata metadata;
  const bool is_ours = json.is_object() && json.value("format", Json()) == kModelFormat;
  const bool looks_so = json.is_object() &&
                        (json.contains("features") || json.contains("classifier") || json.contains("model"));
  CAVMAE_CHECK_AS(
      CheckpointError, is_ours || !looks_so, file.string(), ": lacks \"format\": \"", kModelFormat,
      "\", by which a description of ours is known; add it, or rename the file if it is another program's");
  if (!is_ours) return metadata;
  for (const auto& [key, value] : json.items()) {
    const std::string meant = nearest_word(key, kDescriptionKeys);
    CAVMAE_CHECK_AS(CheckpointError, meant.empty() || meant == key, file.string(), ": unknown key '", key,
                    "' (did you mean '", meant, "'?)");
    metadata[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return metadata;
}

// `read`: the tensors that were found, in their order.
ModelFile make_model_file(const fs::path& file, const std::vector<TensorPlace>& places,
                          const std::string& network,
                          const std::function<std::vector<torch::Tensor>(const NetworkTensors&)>& read,
                          Metadata metadata) {
  NetworkTensors found = find_network(places, network, file.string());
  const std::vector<torch::Tensor> tensors = read(found);
  ModelFile out;
  for (size_t i = 0; i < tensors.size(); ++i)
    out.tensors.emplace_back(std::move(found.tensors[i].second), tensors[i]);
  out.network = std::move(found.network);
  out.copies = std::move(found.copies);
  out.metadata = std::move(metadata);
  const bool says_all = out.metadata.contains("model") && out.metadata.contains("features");
  const fs::path description = description_path(file);
  if (says_all || !fs::is_regular_file(description)) return out;
  const Metadata described = read_description(description);
  for (const auto& [key, value] : described) out.metadata[key] = value;
  if (!described.empty()) out.described_in = description;
  return out;
}

ModelFile of_tensor_file(const fs::path& file, const std::string& network, TensorFile all) {
  const auto read = [&](const NetworkTensors& found) {
    std::vector<torch::Tensor> tensors;
    for (const auto& item : found.tensors) tensors.push_back(all.tensors[item.first].second);
    return tensors;
  };
  return make_model_file(file, places_of(all.tensors), network, read, std::move(all.metadata));
}

ModelFile read_pth(const fs::path& file, const std::string& network) {
  const PthFile pth(file);
  const auto read = [&](const NetworkTensors& found) {
    std::vector<size_t> places;
    for (const auto& item : found.tensors) places.push_back(item.first);
    return pth.read(places);
  };
  return make_model_file(file, places_of(pth), network, read, {});
}

}  // namespace

fs::path find_model_file(const fs::path& path) {
  CAVMAE_CHECK_AS(
      CheckpointError, fs::exists(path), path.string(),
      ": no such file or folder; give a .safetensors or .pth file, a checkpoint's folder or a run's");
  if (!fs::is_directory(path)) return path;
  const fs::path checkpoints = path / "checkpoints";
  std::vector<fs::path> candidates = {path / kModelFile, checkpoints / "best" / kModelFile,
                                      checkpoints / "last" / kModelFile};
  for (const fs::path& folder : {checkpoints, path})
    if (const fs::path newest = newest_step(folder); !newest.empty())
      candidates.push_back(newest / kModelFile);
  for (const auto& candidate : candidates)
    if (fs::is_regular_file(candidate)) return candidate;
  throw CheckpointError(concat(path.string(), ": holds no model; looked for ", kModelFile,
                               " in it and in checkpoints/best, checkpoints/last and checkpoints/step-*"));
}

fs::path description_path(const fs::path& pth) {
  return pth.string() + ".json";
}

ModelFile read_model_file(const fs::path& file, const std::string& network) {
  return is_safetensors(file) ? of_tensor_file(file, network, read_safetensors(file))
                              : read_pth(file, network);
}

ModelFile map_model_file(const fs::path& file, const std::string& network) {
  return is_safetensors(file)
             ? of_tensor_file(file, network, map_safetensors(file, FileOnceMapped::stays_open))
             : read_pth(file, network);
}

ModelFile inspect_model_file(const fs::path& file, const std::string& network) {
  if (is_safetensors(file)) {
    TensorFileInfo info = inspect_safetensors(file);
    NamedTensors outline;
    for (const TensorInfo& tensor : info.tensors)
      outline.emplace_back(tensor.name, without_numbers(tensor.type, tensor.shape));
    const bool stated = info.metadata.contains("model");
    const auto read = [&](const NetworkTensors& found) {
      std::vector<torch::Tensor> tensors;
      for (const auto& [place, name] : found.tensors) {
        const auto& [stored_name, tensor] = outline[place];
        tensors.push_back(!stated && is_position_table(name) ? map_safetensors(file, stored_name) : tensor);
      }
      return tensors;
    };
    return make_model_file(file, places_of(outline), network, read, std::move(info.metadata));
  }
  const PthFile pth(file);
  const auto read = [&](const NetworkTensors& found) {
    std::vector<torch::Tensor> tensors;
    for (const auto& [place, name] : found.tensors) {
      const PthTensor& tensor = pth.tensors()[place];
      tensors.push_back(is_position_table(name) ? pth.read({place}).front()
                                                : without_numbers(tensor.type, tensor.shape));
    }
    return tensors;
  };
  return make_model_file(file, places_of(pth), network, read, {});
}

Json metadata_json(const TensorFile& contents, const std::string& key, const fs::path& file) {
  const auto it = contents.metadata.find(key);
  if (it == contents.metadata.end()) return {};
  return parse_json(it->second, file.string() + ": metadata '" + key + "'");
}

std::optional<CavMaeConfig> stated_config(const TensorFile& contents, const fs::path& file) {
  const Json stated = metadata_json(contents, "model", file);
  if (stated.is_null()) return std::nullopt;
  CavMaeConfig config;
  option_from_json(stated, config, file.string() + ": metadata 'model'");
  config.validate();
  return config;
}

std::optional<InputSpec> stated_input(const TensorFile& contents, const fs::path& file) {
  const Json stated = metadata_json(contents, "features", file);
  if (stated.is_null()) return std::nullopt;
  InputSpec spec;
  option_from_json(stated, spec, file.string() + ": metadata 'features'");
  return spec;
}

bool states_exif(const TensorFile& contents, const fs::path& file) {
  return metadata_json(contents, "features", file).contains("exif");
}

}  // namespace cavmae
