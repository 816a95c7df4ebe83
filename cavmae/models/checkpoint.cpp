#include "cavmae/models/checkpoint.h"

#include <map>
#include <string>

#include "cavmae/core/options.h"
#include "cavmae/models/model_file.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

using Metadata = std::map<std::string, std::string>;

// Without the sample rate where it is the one of every file from before the rate was an option.
std::string stated_as_metadata(const InputSpec& spec) {
  Json json = option_to_json(spec);
  if (spec.sample_rate_hz == InputSpec{}.sample_rate_hz) json.erase("sample_rate_hz");
  return json.dump();
}

void write_model(const fs::path& path, const CavMae& model, const std::optional<InputSpec>& spec,
                 Metadata metadata) {
  metadata["format"] = kModelFormat;
  metadata["model"] = option_to_json(model->config()).dump();
  metadata["precision"] = enum_name(model->precision());
  if (spec) metadata["features"] = stated_as_metadata(*spec);
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value().detach());
  write_safetensors(path, tensors, metadata);
}

}  // namespace

void save_model(const fs::path& path, CavMae& model, const std::optional<InputSpec>& spec) {
  write_model(path, model, spec, {});
}

void save_classifier(const fs::path& path, Classifier& classifier, const std::optional<InputSpec>& spec,
                     const std::vector<ClassLabel>& labels) {
  Metadata metadata = {{"classifier", option_to_json(classifier->head_options()).dump()}};
  if (!labels.empty()) metadata["labels"] = class_labels_to_json(labels).dump();
  write_model(path, as_network(classifier), spec, std::move(metadata));
}

LoadReport load_parameters(CavMae& model, const fs::path& path) {
  const fs::path file = find_model_file(path);
  const TensorFile tensors = read_model_file(file);
  return copy_parameters(*model, model->config(),
                         {.tensors = tensors.tensors, .where = file.string(), .config = {}});
}

}  // namespace cavmae
