#include "cavmae/train/evaluation.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/validation.h"

namespace cavmae {

ClassifierEvaluation evaluate_classifier(Classifier classifier, const InputSpec& spec, const ClipList& clips,
                                         const LabelSet& labels, const PassOptions& options,
                                         std::shared_ptr<Log> log) {
  const ClipClasses classes = classes_of_clips(clips, labels, {.empty_classes = EmptyClasses::allowed});
  ClassifierEvaluation out;
  out.labels = labels;
  out.scores = classify_clips(classifier, spec, clips, options, std::move(log));
  CAVMAE_CHECK_AS(DataError, !out.scores.indices.empty(), "none of the ", clips.size(),
                  " clips could be read");
  const torch::Tensor targets = multi_hot(classes, labels.size());
  out.result = evaluate_classification(
      out.scores.scores, targets.index_select(0, torch::tensor(out.scores.indices, torch::kInt64)));
  return out;
}

std::optional<PretrainedEvaluation> evaluate_pretrained(CavMae model, const InputSpec& spec,
                                                        const ClipList& clips,
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
  return PretrainedEvaluation{.result = *result,
                              .failed = gather_bad_clips(pass.world, clip_pass.bad_clips())};
}

}  // namespace cavmae
