#include "cavmae/train/evaluation.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/validation.h"

namespace cavmae {

namespace fs = std::filesystem;

LabelSet labels_of(const LoadedClassifier& loaded, const fs::path& label_file) {
  const std::string where = loaded.path.string();
  LabelSet labels;
  if (!label_file.empty()) {
    labels = read_label_csv(label_file);
  } else {
    CAVMAE_CHECK_AS(CheckpointError, !loaded.metadata.labels.is_null(), where,
                    ": does not say what its classes are called; give the label file with --labels");
    labels = label_set_from_json(loaded.metadata.labels, where);
  }
  check_head_size(labels, loaded.classifier->head_options().num_classes, where);
  return labels;
}

ClassifierEvaluation evaluate_classifier(LoadedClassifier& loaded, const InputSpec& spec,
                                         const std::vector<ClipSource>& clips, const LabelSet& labels,
                                         const PassOptions& options, std::shared_ptr<Log> log) {
  const ClipClasses classes = classes_of_clips(clips, labels, {.empty_classes = EmptyClasses::allowed});
  ClassifierEvaluation out;
  out.labels = labels;
  out.scores = classify_clips(loaded.classifier, spec, clips, options, std::move(log));
  CAVMAE_CHECK_AS(DataError, !out.scores.indices.empty(), "none of the ", clips.size(),
                  " clips could be read");
  const torch::Tensor targets = multi_hot(classes, labels.size());
  out.result = evaluate_classification(
      out.scores.scores, targets.index_select(0, torch::tensor(out.scores.indices, torch::kInt64)));
  return out;
}

std::optional<PretrainOptions> options_of_checkpoint(const fs::path& model_file) {
  const fs::path state = model_file.parent_path() / "state.json";
  if (!fs::exists(state)) return std::nullopt;
  const Json json = read_json(state);
  if (!json.contains("config")) return std::nullopt;
  PretrainOptions options;
  option_from_json(json.at("config"), options, state.string() + ": config");
  return options;
}

std::optional<PretrainedEvaluation> evaluate_pretrained(CavMae model, const InputSpec& spec,
                                                        const std::vector<ClipSource>& clips,
                                                        const PretrainedEvaluationOptions& options,
                                                        std::shared_ptr<Log> log) {
  const StopSignal stop_signal;
  PassOptions pass = validation_pass(options.pass);
  pass.need = needed_of_clips(model->config().modalities);
  pass.device = model->device();
  PretrainingTask task(std::move(model), options.trained.objective, options.trained.mask, World::alone());
  ClipPass clip_pass(clips, std::make_shared<const ClipReader>(spec, pass.cache_dir, log), pass, log);
  const auto result =
      task.validate(clip_pass, {.mask_seed = run_seed(options.trained, SeedUse::validation_masks)});
  if (!result) return std::nullopt;
  return PretrainedEvaluation{.result = *result, .parts = task.loss_parts(), .failed = clip_pass.bad_clips()};
}

}  // namespace cavmae
