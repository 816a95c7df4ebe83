#include "cavmae/train/finetuning.h"

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/data/sample_weights.h"
#include "cavmae/eval/classify.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/train/finetuning_task.h"
#include "cavmae/train/run_writer.h"
#include "cavmae/train/setup.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// The labelled clips of a run.
struct LabelledData {
  ClipList clips, val_clips;
  LabelSet labels;
  ClipClasses classes, val_classes;
};

// Throws DataError when what a clip's list names has not what the mode needs. What only its file can show,
// the loader finds.
void check_modalities(const ClipList& clips, Modalities mode) {
  for (size_t i = 0; i < clips.size(); ++i) {
    PromisedModalities has = clips.promised(i);
    const bool suffices =
        (mode == Modalities::video || has.audio) && (mode == Modalities::audio || has.video);
    if (!suffices) has = modalities_inside(clips[i]);
    CAVMAE_CHECK_AS(DataError, mode == Modalities::video || has.audio, "clip ", clips.id(i),
                    " has no audio, which --mode ", enum_name(mode),
                    " needs; leave it out or use --mode video");
    CAVMAE_CHECK_AS(DataError, mode == Modalities::audio || has.video, "clip ", clips.id(i),
                    " has no video, which --mode ", enum_name(mode),
                    " needs; leave it out or use --mode audio");
  }
}

LabelledData read_data(const FinetuneOptions& options, const RunPaths& paths, Log& log) {
  LabelledData data;
  const bool has_file = !options.labels.empty();
  if (has_file) data.labels = read_label_csv(options.labels);
  data.clips = read_clip_sources(paths.data, log, paths.lists, has_file ? &data.labels : nullptr);
  if (!has_file) data.labels = labels_of_clips(data.clips);
  if (!paths.val.empty()) data.val_clips = read_clip_sources(paths.val, log, paths.lists, &data.labels);
  const LabelsPerClip per_clip =
      options.loss == ClassificationLoss::ce ? LabelsPerClip::one : LabelsPerClip::several;
  data.classes = classes_of_clips(
      data.clips, data.labels,
      {.labels_per_clip = per_clip,
       .empty_classes = options.allow_empty_classes ? EmptyClasses::allowed : EmptyClasses::forbidden,
       .where = "--data"});
  data.val_classes = classes_of_clips(
      data.val_clips, data.labels,
      {.labels_per_clip = per_clip, .empty_classes = EmptyClasses::allowed, .where = "--val"});
  check_modalities(data.clips, options.mode);
  check_modalities(data.val_clips, options.mode);
  return data;
}

// Throws DataError when a run is to go on with other classes.
void check_same_classes(const LabelSet& labels, const RunPaths& paths) {
  const fs::path checkpoint = paths.out / "checkpoints/last/model.safetensors";
  if (paths.start == RunStart::fresh || !fs::exists(checkpoint)) return;
  const Json saved = metadata_json(inspect_model_file(checkpoint), "labels", checkpoint);
  CAVMAE_CHECK_AS(
      DataError, saved == class_labels_to_json(labels.labels()), "the run has ", saved.size(),
      " classes, the labels name ",
      saved.size() == static_cast<size_t>(labels.size()) ? "as many others" : concat(labels.size()),
      "; give the same --labels and --data, or start anew in another --out");
}

Supervision supervision(const FinetuneOptions& options, const LabelledData& data) {
  Supervision out{
      .classes = data.classes, .num_classes = data.labels.size(), .weights = {}, .options = options.targets};
  if (!options.balanced_sampling) return out;
  out.weights = options.sample_weights.empty()
                    ? balancing_weights(data.classes, data.labels.size())
                    : read_sample_weights(options.sample_weights, static_cast<int64_t>(data.clips.size()));
  return out;
}

// Which checkpoint is evaluated, as rank 0 has it.
fs::path evaluated_checkpoint(const RunResult& run, const fs::path& out, World& world) {
  const fs::path best = out / "checkpoints/best";
  const fs::path own = !run.averaged_checkpoint.empty() ? run.averaged_checkpoint
                       : fs::exists(best)               ? best
                                                        : run.last_checkpoint;
  return gather_texts(world, own.native()).front();
}

void evaluate_at_end(FinetuneResult& result, const FinetuneOptions& options, const RunPaths& paths,
                     const RunHooks& hooks, const LabelledData& data, World& world,
                     std::shared_ptr<Log> log) {
  world.does("evaluates the run");
  result.evaluated = evaluated_checkpoint(result.run, paths.out, world);
  LoadOptions load;
  load.runtime.device = options.runtime.device;
  Classifier classifier = load_pretrained(result.evaluated, load).classifier();
  const ClipScores scores =
      classify_clips(classifier, input_spec(options.model, options.data), data.val_clips,
                     {.view = {.window_start = options.view.window_start, .frames = options.final_frames},
                      .loader = options.loader,
                      .cache_dir = paths.cache,
                      .show_progress = hooks.show_progress,
                      .world = world},
                     std::move(log));
  const torch::Tensor targets = multi_hot(data.val_classes, data.labels.size());
  result.evaluation = evaluate_classification(
      scores.scores, targets.index_select(0, torch::tensor(scores.indices, torch::kInt64)));
  if (world.rank() != 0) return;
  Json json = to_json(*result.evaluation, data.labels.display_names());
  json["checkpoint"] = fs::relative(result.evaluated, paths.out).string();
  json["frames"] = enum_name(options.final_frames);
  write_json(paths.out / "evaluation.json", json);
}

}  // namespace

FinetuneResult finetune(const FinetuneOptions& options, const RunPaths& paths, const RunHooks& hooks,
                        std::shared_ptr<Log> log, World& world) {
  options.validate();
  const auto writer = open_run_writer(paths, options.checkpoint.keep_checkpoints, *log, world);
  if (writer) log = writer->log();
  if (!hooks.first_line.empty()) log->info("{}", hooks.first_line);
  const LabelledData data = read_data(options, paths, *log);
  check_same_classes(data.labels, paths);
  TrainingSetup setup{
      .options = options,
      .config = option_to_json(options),
      .spec = input_spec(options.model, options.data),
      .task = make_fine_tuning_task(options, data.labels, data.val_classes),
      .clips = data.clips,
      .val_clips = data.val_clips,
      .need = needed_of_clips(options.mode),
      .val_view = {.window_start = options.view.window_start, .frames = options.validation_frames},
      .supervision = supervision(options, data),
      .writer = writer.get(),
      .world = world,
  };
  FinetuneResult result;
  result.run = train(std::move(setup), paths, hooks, log);
  if (!result.run.interrupted && !data.val_clips.empty())
    evaluate_at_end(result, options, paths, hooks, data, world, log);
  return result;
}

}  // namespace cavmae
