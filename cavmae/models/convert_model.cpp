#include "cavmae/models/convert_model.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/tensorfile/pth.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// What reading the tensors alone would make of a network that is `config`.
std::vector<std::string> unstated_options(const NamedTensors& tensors, const CavMaeConfig& config,
                                          const std::string& where) {
  const Json truth = option_to_json(config);
  const Json guess = option_to_json(infer_config(tensors, {}, where));
  std::vector<std::string> out;
  for (const auto& [name, value] : truth.items())
    if (guess[name] != value) out.push_back(concat(name, " ", value.dump()));
  return out;
}

// The tensors of a model, in the file's order, once they are known to make up a whole one.
NamedTensors checked_tensors(const TensorFile& contents, const CavMaeConfig& config, Conversion& conversion) {
  CavMae model(config);
  const LoadReport report = copy_parameters(
      *model, config, {.tensors = contents.tensors, .where = conversion.from.string(), .config = {}});
  CAVMAE_CHECK_AS(CheckpointError, report.missing.empty(), conversion.from.string(), ": ",
                  report.missing.size(), " parameters are missing (", summarize_names(report.missing),
                  "); nothing was written");
  NamedTensors tensors;
  const auto parameters = model->named_parameters();
  for (const auto& [name, tensor] : contents.tensors) {
    if (parameters.contains(name) || name.starts_with("mlp_head."))
      tensors.emplace_back(name, tensor);
    else
      conversion.left_out.push_back(name);
  }
  return tensors;
}

}  // namespace

Conversion convert_model(const fs::path& from, const fs::path& to, const InferenceHints& hints) {
  const std::string extension = to.extension().string();
  CAVMAE_CHECK_AS(ConfigError, extension == ".pth" || extension == ".safetensors", to.string(),
                  ": the result is a .pth or a .safetensors file");
  Conversion conversion{.from = find_model_file(from), .left_out = {}, .unstated = {}};
  TensorFile contents = read_model_file(conversion.from);
  const auto stated = stated_config(contents, conversion.from);
  const CavMaeConfig config =
      stated ? *stated : infer_config(contents.tensors, hints, conversion.from.string());
  NamedTensors tensors = checked_tensors(contents, config, conversion);
  if (extension == ".pth") {
    conversion.unstated = unstated_options(tensors, config, conversion.from.string());
    for (auto& [name, tensor] : tensors) name.insert(0, "module.");
    write_pth(to, tensors);
  } else {
    contents.metadata["format"] = kModelFormat;
    contents.metadata["model"] = option_to_json(config).dump();
    write_safetensors(to, tensors, contents.metadata);
  }
  return conversion;
}

}  // namespace cavmae
