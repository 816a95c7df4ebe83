#include "cavmae/models/checkpoint.h"

#include "cavmae/core/options.h"
#include "cavmae/models/image_mae.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

NamedTensors parameters_of(CavMae& model) {
  NamedTensors tensors;
  for (const auto& item : model->named_parameters()) tensors.emplace_back(item.key(), item.value().detach());
  return tensors;
}

CavMaeConfig config_of(const TensorFile& contents, const InferenceHints& hints, const fs::path& file) {
  if (const auto stated = stated_config(contents, file)) return *stated;
  CAVMAE_CHECK_AS(
      CheckpointError, !is_image_mae(contents.tensors), file.string(),
      ": is an image MAE, which hears nothing; make a CAV-MAE of it with 'cavmae pretrain --init' or 'cavmae finetune --init'");
  return infer_config(contents.tensors, hints, file.string());
}

// The network that a file is read into.
struct Blueprint {
  CavMaeConfig config;
  std::optional<CavMaeConfig> source = std::nullopt;  // what the file was made with, where it differs
  PositionFit positions = PositionFit::refuse;
};

void build(LoadedModel& loaded, const TensorFile& file, const Blueprint& blueprint) {
  loaded.model = CavMae(blueprint.config);
  const auto copy = [&] {
    return copy_parameters(
        *loaded.model, blueprint.config,
        {.tensors = file.tensors, .where = loaded.path.string(), .config = blueprint.source},
        blueprint.positions);
  };
  LoadReport report = copy();
  if (!report.missing.empty()) {
    constexpr uint64_t kSeed = 0;
    initialize(loaded.model, kSeed);
    copy();
  }
  loaded.missing = std::move(report.missing);
  loaded.unexpected = std::move(report.unexpected);
}

}  // namespace

LoadedModel load_model(const fs::path& path) {
  return load_model(path, InferenceHints{});
}

LoadedModel load_model(const fs::path& path, const InferenceHints& hints) {
  LoadedModel loaded;
  loaded.path = find_model_file(path);
  const TensorFile file = read_model_file(loaded.path);
  loaded.spec = stated_input(file, loaded.path);
  build(loaded, file, {.config = config_of(file, hints, loaded.path)});
  return loaded;
}

LoadedModel load_model(const fs::path& path, const InputShape& shape, PositionFit positions) {
  LoadedModel loaded;
  loaded.path = find_model_file(path);
  const TensorFile file = read_model_file(loaded.path);
  const CavMaeConfig stated = config_of(file, {}, loaded.path);
  Blueprint blueprint{.config = stated, .source = stated, .positions = positions};
  blueprint.config.num_fbank_frames = shape.num_fbank_frames.value_or(stated.num_fbank_frames);
  blueprint.config.image_size = shape.image_size.value_or(stated.image_size);
  blueprint.config.validate();
  loaded.spec = stated_input(file, loaded.path);
  if (loaded.spec) loaded.spec = input_spec(blueprint.config, *loaded.spec);
  build(loaded, file, blueprint);
  return loaded;
}

LoadReport load_parameters(CavMae& model, const fs::path& path) {
  const fs::path file = find_model_file(path);
  const TensorFile tensors = read_model_file(file);
  return copy_parameters(*model, model->config(),
                         {.tensors = tensors.tensors, .where = file.string(), .config = {}});
}

void save_model(const fs::path& path, CavMae& model, const std::optional<InputSpec>& spec) {
  std::map<std::string, std::string> metadata = {{"format", kModelFormat},
                                                 {"model", option_to_json(model->config()).dump()},
                                                 {"precision", enum_name(model->precision())}};
  if (spec) metadata["features"] = option_to_json(*spec).dump();
  write_safetensors(path, parameters_of(model), metadata);
}

}  // namespace cavmae
