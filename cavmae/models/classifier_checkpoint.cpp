#include "cavmae/models/classifier_checkpoint.h"

#include <map>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHeadWeight = "mlp_head.1.weight";

HeadOptions head_of(const TensorFile& contents, const torch::Tensor& weight, const ClassifierHints& hints,
                    const fs::path& file) {
  HeadOptions head;
  const Json stated = metadata_json(contents, "classifier", file);
  if (!stated.is_null()) option_from_json(stated, head, file.string() + ": metadata 'classifier'");
  CAVMAE_CHECK_AS(CheckpointError, weight.dim() == 2, file.string(), ": tensor '", kHeadWeight,
                  "' has the shape ", weight.sizes(), "; it should have 2 dimensions");
  CAVMAE_CHECK_AS(CheckpointError, stated.is_null() || head.num_classes == weight.size(0), file.string(),
                  ": its metadata say ", head.num_classes, " classes, but the head has ", weight.size(0));
  head.num_classes = weight.size(0);
  head.mode = hints.mode.value_or(head.mode);
  head.representation = hints.representation.value_or(head.representation);
  head.scores = hints.scores.value_or(head.scores);
  return head;
}

}  // namespace

bool holds_classifier(const fs::path& path) {
  return inspect_model_file(find_model_file(path)).find(kHeadWeight) != nullptr;
}

LoadedClassifier load_classifier(const fs::path& path, const ClassifierHints& hints) {
  LoadedClassifier loaded;
  loaded.path = find_model_file(path);
  const TensorFile contents = read_model_file(loaded.path);
  const torch::Tensor* weight = contents.find(kHeadWeight);
  CAVMAE_CHECK_AS(CheckpointError, weight != nullptr, loaded.path.string(),
                  ": holds no classifier (no tensor '", kHeadWeight,
                  "'); make one of it with 'cavmae finetune --init'");
  const auto stated = stated_config(contents, loaded.path);
  const CavMaeConfig source =
      stated ? *stated : infer_config(contents.tensors, hints.network, loaded.path.string());
  CavMaeConfig config = source;
  config.num_fbank_frames = hints.shape.num_fbank_frames.value_or(source.num_fbank_frames);
  config.image_size = hints.shape.image_size.value_or(source.image_size);
  loaded.classifier = Classifier(config, head_of(contents, *weight, hints, loaded.path));
  const LoadReport report = copy_parameters(
      *loaded.classifier, loaded.classifier->config(),
      {.tensors = contents.tensors, .where = loaded.path.string(), .config = source}, hints.positions);
  CAVMAE_CHECK_AS(CheckpointError, report.missing.empty(), loaded.path.string(), ": ", report.missing.size(),
                  " parameters of the classifier are missing: ", summarize_names(report.missing));
  loaded.metadata = {.spec = stated_input(contents, loaded.path),
                     .labels = metadata_json(contents, "labels", loaded.path)};
  if (loaded.metadata.spec) loaded.metadata.spec = input_spec(config, *loaded.metadata.spec);
  loaded.unexpected = report.unexpected;
  return loaded;
}

void save_classifier(const fs::path& path, Classifier& classifier, const ClassifierMetadata& metadata) {
  std::map<std::string, std::string> texts = {
      {"format", kModelFormat},
      {"model", option_to_json(classifier->config()).dump()},
      {"precision", enum_name(classifier->precision())},
      {"classifier", option_to_json(classifier->head_options()).dump()}};
  if (metadata.spec) texts["features"] = option_to_json(*metadata.spec).dump();
  if (!metadata.labels.is_null()) texts["labels"] = metadata.labels.dump();
  NamedTensors tensors;
  for (const auto& item : classifier->named_parameters())
    tensors.emplace_back(item.key(), item.value().detach());
  write_safetensors(path, tensors, texts);
}

}  // namespace cavmae
