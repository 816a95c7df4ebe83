#include "cavmae/models/checkpoint.h"

#include <map>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/pth.h"
#include "cavmae/core/safetensors.h"
#include "cavmae/models/infer_config.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kFormat = "cavmae";

TensorFile read_tensors(const fs::path& path) {
  TensorFile file;
  if (path.extension() == ".safetensors")
    file = read_safetensors(path);
  else
    file.tensors = read_pth(path);
  file.tensors = strip_prefix(std::move(file.tensors), "module.");
  return file;
}

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

NamedTensors parameters_of(CavMae& model) {
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value().detach());
  return tensors;
}

void check_size(const std::string& name, const torch::Tensor& from, const torch::Tensor& to,
                const fs::path& path) {
  CAVMAE_CHECK_AS(CheckpointError, from.sizes() == to.sizes(), path.string(), ": tensor '", name,
                  "' has the size ", from.sizes(), ", but the model's is ", to.sizes(),
                  "; use the configuration that the checkpoint was made with");
  CAVMAE_CHECK_AS(CheckpointError, at::isFloatingType(from.scalar_type()), path.string(), ": tensor '", name,
                  "' holds ", from.scalar_type(), ", not floating-point numbers");
}

// All sizes are checked before anything is copied, in the model's order.
LoadReport copy_parameters(CavMae& model, const NamedTensors& tensors, const fs::path& path) {
  std::map<std::string_view, const torch::Tensor*> found;
  for (const auto& [name, tensor] : tensors) found[name] = &tensor;
  const torch::NoGradGuard no_grad;
  LoadReport report;
  auto parameters = parameters_of(model);
  for (const auto& [name, parameter] : parameters) {
    const auto it = found.find(name);
    if (it == found.end())
      report.missing.push_back(name);
    else
      check_size(name, *it->second, parameter, path);
  }
  CAVMAE_CHECK_AS(CheckpointError, report.missing.size() < parameters.size(), path.string(), ": none of its ",
                  tensors.size(), " tensors is a parameter of the model (the first of those is '",
                  parameters.front().first, "')");
  for (auto& [name, parameter] : parameters)
    if (const auto it = found.find(name); it != found.end()) {
      parameter.copy_(*it->second);
      found.erase(it);
    }
  for (const auto& [name, tensor] : tensors)
    if (found.contains(name)) report.unexpected.push_back(name);
  return report;
}

// Metadata `key` as JSON; null when the file has none.
Json metadata_json(const TensorFile& file, const std::string& key, const fs::path& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) return {};
  return parse_json(it->second, path.string() + ": metadata '" + key + "'");
}

CavMaeConfig config_of(const TensorFile& file, const InferenceHints& hints, const fs::path& path) {
  const Json stated = metadata_json(file, "model", path);
  if (stated.is_null()) return infer_config(file.tensors, hints, path.string());
  CavMaeConfig config;
  option_from_json(stated, config, path.string() + ": metadata 'model'");
  config.validate();
  return config;
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

LoadedModel load_model(const fs::path& path) {
  return load_model(path, InferenceHints{});
}

LoadedModel load_model(const fs::path& path, const InferenceHints& hints) {
  LoadedModel loaded;
  loaded.path = find_model_file(path);
  const TensorFile file = read_tensors(loaded.path);
  loaded.model = CavMae(config_of(file, hints, loaded.path));
  loaded.features = metadata_json(file, "features", loaded.path);
  auto report = copy_parameters(loaded.model, file.tensors, loaded.path);
  if (!report.missing.empty()) {
    constexpr uint64_t kSeed = 0;
    initialize(loaded.model, kSeed);
    copy_parameters(loaded.model, file.tensors, loaded.path);
  }
  loaded.missing = std::move(report.missing);
  loaded.unexpected = std::move(report.unexpected);
  return loaded;
}

LoadReport load_parameters(CavMae& model, const fs::path& path) {
  const fs::path file = find_model_file(path);
  return copy_parameters(model, read_tensors(file).tensors, file);
}

void save_model(const fs::path& path, CavMae& model, const Json& features) {
  std::map<std::string, std::string> metadata = {{"format", kFormat},
                                                 {"model", option_to_json(model->config()).dump()},
                                                 {"precision", enum_name(model->precision())}};
  if (!features.is_null()) metadata["features"] = features.dump();
  write_safetensors(path, parameters_of(model), metadata);
}

void export_pth(const fs::path& path, CavMae& model) {
  NamedTensors tensors = parameters_of(model);
  for (auto& [name, tensor] : tensors) name.insert(0, "module.");
  write_pth(path, tensors);
}

}  // namespace cavmae
