#include "cavmae/models/convert_model.h"

#include <algorithm>
#include <map>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/models/model_description.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/tensorfile/pth.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// The metadata that are JSON; the others are text.
constexpr const char* kJsonKeys[] = {"model", "features", "classifier", "labels"};

bool is_of_network(const std::string& option) {
  return option.ends_with("num_heads") || option == "num_mel_bins" || option == "audio_window_frames";
}

// The tensors of a model, in the file's order, once they are known to make up a whole one.
NamedTensors checked_tensors(const ModelFile& contents, const ModelDescription& described,
                             const LoadOptions& options, Conversion& conversion) {
  const WholeFileReport whole = compare_with_network(contents, described, HeadUse::if_any);
  CAVMAE_CHECK_AS(CheckpointError, whole.missing.empty(), conversion.from.string(), ": ",
                  whole.missing.size(), " parameters are missing (", summarize_names(whole.missing),
                  "); nothing was written");
  require_whole(whole, conversion.from.string(), options.partial);
  CavMae model(described.config);
  copy_parameters(*model, described.config,
                  {.tensors = contents.tensors, .where = conversion.from.string(), .config = {}});
  conversion.left_out = whole.unexpected;
  conversion.left_out.insert(conversion.left_out.end(), whole.left_out.begin(), whole.left_out.end());
  NamedTensors tensors = contents.tensors;
  std::erase_if(tensors, [&](const auto& item) {
    return std::ranges::find(conversion.left_out, item.first) != conversion.left_out.end();
  });
  return tensors;
}

// What the network is fed. Fields that are not stated and that no file has without saying so are left to
// their defaults.
Json features_of(const ModelFile& contents, const ModelDescription& described, const LoadOptions& options) {
  Json features = metadata_json(contents, "features", described.path);
  if (features.is_null()) features = Json::object();
  InputSpec spec = input_spec(described.config, described.spec);
  const InputShape& shape = options.shape;
  spec.fbank_mean = shape.fbank_mean.value_or(spec.fbank_mean);
  spec.fbank_std = shape.fbank_std.value_or(spec.fbank_std);
  spec.window_seconds = shape.window_seconds.value_or(spec.window_seconds);
  spec.validate();
  const Json whole = option_to_json(spec);
  for (const char* field : {"num_fbank_frames", "num_mel_bins", "image_size", "num_frames", "window_seconds",
                            "fbank_mean", "fbank_std", "audio_channels"})
    features[field] = whole.at(field);
  for (const char* field : InputSpec::kAbsentByDefault)
    if (whole.contains(field)) features[field] = whole.at(field);
  return features;
}

// The metadata of the result, complete but for what `conversion` names as unstated.
std::map<std::string, std::string> metadata_of(const ModelFile& contents, const ModelDescription& described,
                                               const LoadOptions& options, Conversion& conversion) {
  auto metadata = contents.metadata;
  metadata["format"] = kModelFormat;
  metadata["model"] = option_to_json(described.config).dump();
  bool inputs_known = true, head_known = true;
  for (const UnstatedOption& option : unstated_with(described, options)) {
    if (option.confirmed) {
      conversion.assumed.push_back(option);
      continue;
    }
    conversion.unstated.push_back(option.name);
    (option.name == "mode" || option.name == "scores" ? head_known : inputs_known) = false;
  }
  if (inputs_known)
    metadata["features"] = features_of(contents, described, options).dump();
  else
    metadata.erase("features");
  if (described.head && head_known)
    metadata["classifier"] = option_to_json(head_with(*described.head, options.head_hints)).dump();
  else
    metadata.erase("classifier");
  return metadata;
}

Json description_of(const std::map<std::string, std::string>& metadata) {
  Json description = {{"format", kModelFormat}};
  for (const auto& [key, value] : metadata) {
    const bool is_json = std::find(std::begin(kJsonKeys), std::end(kJsonKeys), key) != std::end(kJsonKeys);
    description[key] = is_json ? parse_json(value, key) : Json(value);
  }
  return description;
}

// A description of another model that stood there is gone before this one's tensors are there; it comes back
// when they cannot be written.
void write_pth_without_description(const fs::path& to, const NamedTensors& tensors) {
  const fs::path description = description_path(to);
  const bool had_one = fs::is_regular_file(description);
  const std::string before = had_one ? read_text(description) : "";
  std::error_code ignored;
  fs::remove(description, ignored);
  try {
    write_pth(to, tensors);
  } catch (...) {
    if (had_one) write_file(description, before);
    throw;
  }
}

}  // namespace

Conversion convert_model(const fs::path& from, const fs::path& to, const LoadOptions& options) {
  const std::string extension = to.extension().string();
  CAVMAE_CHECK_AS(ConfigError, extension == ".pth" || extension == ".safetensors", to.string(),
                  ": the result is a .pth or a .safetensors file");
  Conversion conversion;
  conversion.from = find_model_file(from);
  const ModelFile contents = read_model_file(conversion.from, options.network);
  const ModelDescription described = describe_model(contents, conversion.from, options.hints);
  NamedTensors tensors = checked_tensors(contents, described, options, conversion);
  std::vector<UnstatedOption> of_network = described.unstated;
  std::erase_if(of_network, [](const UnstatedOption& option) { return !is_of_network(option.name); });
  require_confirmed(of_network, conversion.from, shown_by_tensors(described.config));
  const auto metadata = metadata_of(contents, described, options, conversion);
  if (extension == ".safetensors") {
    write_safetensors(to, tensors, metadata);
    return conversion;
  }
  for (auto& [name, tensor] : tensors) name.insert(0, "module.");
  conversion.description = description_path(to);
  write_pth_without_description(to, tensors);
  write_json(conversion.description, description_of(metadata));
  return conversion;
}

}  // namespace cavmae
