#include "cavmae/train/evaluation.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/setup.h"
#include "cavmae/train/validation.h"

namespace cavmae {
namespace {

// Positions of the clips that were scored by both modalities.
std::vector<int64_t> scored_by_both(const ClipScores& scores) {
  std::vector<int64_t> out;
  for (const int64_t position : scores.indices)
    if (!std::ranges::binary_search(scores.audio_only, position) &&
        !std::ranges::binary_search(scores.video_only, position))
      out.push_back(position);
  return out;
}

// Of the clips that have both, each scored by its sound alone and by its pictures alone as well. Nothing
// where no clip has both.
std::optional<ModalityConfusion> confusion_of(Classifier& classifier, const InputSpec& spec,
                                              const ClipList& clips, const PassOptions& options,
                                              const torch::Tensor& targets, const ClipScores& both,
                                              std::shared_ptr<Log> log) {
  const std::vector<int64_t> positions = scored_by_both(both);
  if (positions.empty()) {
    log->info("no modality confusion: no clip has both sound and pictures");
    return std::nullopt;
  }
  const ClipList whole = clips.at(positions);
  std::map<int64_t, ClipHits> hits;  // by position in `clips`
  for (const int64_t position : positions) hits[position];
  const auto add = [&](const ClipScores& scores, const auto& position_of,
                       std::optional<bool> ClipHits::*way) {
    for (size_t row = 0; row < scores.indices.size(); ++row) {
      const int64_t position = position_of(scores.indices[row]);
      if (const auto clip = hits.find(position); clip != hits.end())
        clip->second.*way = is_hit(scores.scores[static_cast<int64_t>(row)], targets[position]);
    }
  };
  const auto of_whole = [&](int64_t row) { return positions[static_cast<size_t>(row)]; };
  add(both, std::identity(), &ClipHits::both);
  add(classify_clips(classifier, spec, whole, options, log, Modalities::audio), of_whole, &ClipHits::audio);
  add(classify_clips(classifier, spec, whole, options, log, Modalities::video), of_whole, &ClipHits::video);
  std::vector<ClipHits> all;
  for (const auto& [position, clip] : hits) all.push_back(clip);
  return modality_confusion(all);
}

}  // namespace

ClassifierEvaluation evaluate_classifier(Classifier classifier, const InputSpec& spec, const ClipList& clips,
                                         const LabelSet& labels, const PassOptions& options,
                                         std::shared_ptr<Log> log, EachAlone each_alone) {
  const ClipClasses classes = classes_of_clips(clips, labels, {.empty_classes = EmptyClasses::allowed});
  ClassifierEvaluation out;
  out.labels = labels;
  out.scores = classify_clips(classifier, spec, clips, options, log);
  CAVMAE_CHECK_AS(DataError, !out.scores.indices.empty(), "none of the ", clips.size(),
                  " clips could be read");
  const torch::Tensor targets = multi_hot(classes, labels.size());
  out.result = evaluate_classification(
      out.scores.scores, targets.index_select(0, torch::tensor(out.scores.indices, torch::kInt64)));
  const HeadOptions& head = classifier->head_options();
  if (each_alone == EachAlone::no || head.mode != Modalities::both) return out;
  if (scores_one_modality(head))
    out.confusion = confusion_of(classifier, spec, clips, options, targets, out.scores, std::move(log));
  else
    log->info(
        "no modality confusion: a self_attention head of both modalities scores no clip by one of them alone");
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
