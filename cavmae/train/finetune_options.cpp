#include "cavmae/train/finetune_options.h"

#include <utility>

#include "cavmae/models/image_mae.h"
#include "cavmae/models/model_description.h"
#include "cavmae/models/model_input.h"

namespace cavmae {

// Gong et al.'s recipe for AudioSet-20K in what it shares with the others.
FinetuneOptions::FinetuneOptions() {
  epochs = 15;
  loader.batch_size = 36;
  schedule.decay_start = 5;
  schedule.decay_step = 1;
  checkpoint.best_metric = BestMetric::map;
}

void FinetuneOptions::validate() const {
  Problems problems;
  collect(problems, [&] { model.validate(); });
  collect(problems, [&] { input_spec(model, data).validate(); });
  problems.require(
      data.alignment == Alignment::clip || !view.roll,
      "roll is true, which would move the sound away from its picture; the network looks at each picture with the sound "
      "around it, so give --roll false");
  collect(problems, [&] { cavmae::validate(model, head(1)); });
  collect(problems, [&] { targets.validate(); });
  collect_problems(problems, *this);
  require_utf8(problems, "labels", labels);
  require_utf8(problems, "sample_weights", sample_weights);
  problems.require(head_lr_scale > 0, "head_lr_scale is ", head_lr_scale, ", it must be above 0");
  for (const auto& [name, frames] :
       {std::pair{"validation_frames", validation_frames}, std::pair{"final_frames", final_frames}})
    problems.require(frames != FrameChoice::random, name, " is random; allowed are middle and all");
  check_frames_of_head(problems);
  problems.require(sample_weights.empty() || balanced_sampling, "sample_weights is ", sample_weights.string(),
                   ", but balanced_sampling is false");
  problems.require(checkpoint.best_metric != BestMetric::retrieval,
                   "best_metric is retrieval, fine-tuning knows map, accuracy and loss");
  problems.throw_if_any("the fine-tuning options do not fit");
}

// A linear head is trained on one picture of a clip at a time; a self-attention head on all, and it would be
// judged by another sequence than it was trained on with fewer.
void FinetuneOptions::check_frames_of_head(Problems& problems) const {
  if (head_kind == HeadKind::linear) {
    problems.require(
        view.frames != FrameChoice::all,
        "frames is 'all', but a linear head is trained on one picture of a clip: 'random' or 'middle'");
    return;
  }
  for (const auto& [name, frames] :
       {std::pair{"frames", view.frames}, std::pair{"validation_frames", validation_frames},
        std::pair{"final_frames", final_frames}})
    problems.require(frames == FrameChoice::all,
                     "head_kind is self_attention, which looks at all pictures of a clip, but ", name, " is ",
                     enum_name(frames), "; it must be all");
}

HeadOptions FinetuneOptions::head(int64_t num_classes) const {
  return {.num_classes = num_classes,
          .mode = mode,
          .representation = representation,
          .scores = loss == ClassificationLoss::bce ? ScoreKind::sigmoid : ScoreKind::softmax,
          .head_kind = head_kind};
}

namespace {

// What the file does not say is taken from the run's own options.
ModelDescription describe_with(const ModelFile& contents, const std::filesystem::path& file,
                               const GivenOptions& given) {
  ModelDescription described = describe_model(contents, file, {});
  InferenceHints hints;
  for (const UnstatedOption& option : described.unstated) {
    if (option.confirmed || !given.names.contains(option.name)) continue;
    if (option.name == "num_heads") hints.num_heads = given.hints.num_heads;
    if (option.name == "num_mel_bins") hints.num_mel_bins = given.hints.num_mel_bins;
    if (option.name == "audio_window_frames") hints.audio_window_frames = given.hints.audio_window_frames;
  }
  described = describe_model(contents, file, hints);
  std::erase_if(described.unstated, [&](const UnstatedOption& option) {
    return option.name == "decoder_num_heads" || given.names.contains(option.name);  // no decoder is left
  });
  require_confirmed(described.unstated, file, shown_by_tensors(described.config));
  return described;
}

}  // namespace

FinetuneDefaults finetune_defaults(const std::filesystem::path& init, const GivenOptions& given) {
  FinetuneDefaults defaults;
  const std::filesystem::path file = find_model_file(init);
  const ModelFile contents = inspect_model_file(file, given.network);
  if (is_image_mae(contents.tensors)) return defaults;
  ModelDescription trained = describe_with(contents, file, given);
  FinetuneOptions& options = defaults.options;
  options.model = trained.config;
  options.model.decoder_depth = 0;
  options.mode = trained.config.modalities;
  options.data = RunInput{trained.spec};
  // Rolled sound would not be that of its picture; CAV-MAE Sync is trained without noise as well.
  if (trained.spec.alignment == Alignment::picture) options.view.noise = options.view.roll = false;
  if (!trained.states_exif) options.data.exif = true;  // a new run
  defaults.assumed = std::move(trained.unstated);
  return defaults;
}

}  // namespace cavmae
