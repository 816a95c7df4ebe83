#include "cavmae/models/model_file.h"

#include <string_view>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/tensorfile/pth.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kWrapperPrefix = "module.";  // of torch.nn.DataParallel, in the authors' files

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

TensorFile read_model_file(const fs::path& file) {
  TensorFile contents;
  if (file.extension() == ".safetensors")
    contents = read_safetensors(file);
  else
    contents.tensors = read_pth(file);
  contents.tensors = strip_prefix(std::move(contents.tensors), kWrapperPrefix);
  return contents;
}

TensorFile inspect_model_file(const fs::path& file) {
  TensorFileInfo info;
  if (file.extension() == ".safetensors")
    info = inspect_safetensors(file);
  else
    info.tensors = inspect_pth(file);
  TensorFile outline{.tensors = {}, .metadata = std::move(info.metadata)};
  for (const TensorInfo& tensor : info.tensors)
    outline.tensors.emplace_back(
        tensor.name, torch::empty(tensor.shape, torch::TensorOptions(tensor.type).device(torch::kMeta)));
  outline.tensors = strip_prefix(std::move(outline.tensors), kWrapperPrefix);
  return outline;
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
