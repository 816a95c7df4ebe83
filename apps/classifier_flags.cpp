#include "apps/classifier_flags.h"

#include "cavmae/models/model_input.h"

namespace cavmae::apps {
namespace {

template <class T>
void read(const std::string& text, std::optional<T>& to, const std::string& flag) {
  if (!text.empty()) option_from_json(Json(text), to, flag);
}

}  // namespace

void ClassifierFlags::add(CLI::App& app) {
  app.add_option("--labels", labels, "label file (index, mid, display_name) [the checkpoint's own]")
      ->type_name("CSV");
  const char* kGroup = "Of a checkpoint that does not tell (.pth)";
  app.add_option("--mode", mode, "what the classifier is given: both, audio, video [both]")
      ->type_name("")
      ->group(kGroup);
  app.add_option("--representation", representation, "what is classified: joint, sum [joint]")
      ->type_name("")
      ->group(kGroup);
  app.add_option("--scores", scores, "sigmoid (trained with bce) or softmax (ce) [sigmoid]")
      ->type_name("")
      ->group(kGroup);
  app.add_option("--num-heads", num_heads, "attention heads [width / 64]")->type_name("N")->group(kGroup);
}

LoadedClassifier ClassifierFlags::load(const EvaluationFlags& evaluation, Log& log) const {
  const torch::Device device = resolve_device(evaluation.device().device);
  ClassifierHints hints;
  read(mode, hints.mode, "--mode");
  read(representation, hints.representation, "--representation");
  read(scores, hints.scores, "--scores");
  hints.network.num_heads = num_heads;
  hints.shape = evaluation.shape;
  hints.positions = evaluation.resize_positions ? PositionFit::resize : PositionFit::refuse;
  LoadedClassifier loaded = load_classifier(evaluation.checkpoint, hints);
  log.info("model: {}", loaded.path.string());
  loaded.classifier->to(device);
  return loaded;
}

InputSpec features_of(const LoadedClassifier& loaded, const EvaluationFlags& evaluation) {
  InputSpec spec = input_spec(loaded.classifier->config(), loaded.metadata.spec.value_or(InputSpec{}));
  spec.window_seconds = evaluation.window_seconds.value_or(spec.window_seconds);
  spec.validate();
  return spec;
}

}  // namespace cavmae::apps
