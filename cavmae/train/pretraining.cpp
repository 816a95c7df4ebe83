#include "cavmae/train/pretraining.h"

#include "cavmae/data/read_clips.h"
#include "cavmae/models/model_input.h"
#include "cavmae/train/pretraining_task.h"
#include "cavmae/train/run_writer.h"
#include "cavmae/train/setup.h"

namespace cavmae {

RunResult pretrain(const PretrainOptions& options, const RunPaths& paths, const RunHooks& hooks,
                   std::shared_ptr<Log> log, World& world) {
  options.validate();
  check_groups_fit_ranks(options.objective.contrastive, options.loader.batch_size, world);
  const auto writer = open_run_writer(paths, options.checkpoint.keep_checkpoints, *log, world);
  if (writer) log = writer->log();
  if (!hooks.first_line.empty()) log->info("{}", hooks.first_line);
  auto clips = read_clip_sources(paths.data, *log, paths.lists);
  auto val_clips = paths.val.empty() ? ClipList() : read_clip_sources(paths.val, *log, paths.lists);
  const int64_t total_steps = steps_of_run(options, static_cast<int64_t>(clips.size()));
  if (options.teacher.wanted() && total_steps > 0 && first_ranked_step(options, total_steps) >= total_steps)
    log->warn(
        "the teacher ranks patches from step {} on, and this run has {}: it never does; --ranking-from-step or a shorter "
        "warm-up lets it",
        first_ranked_step(options, total_steps), total_steps);
  TrainingSetup setup{
      .options = options,
      .config = option_to_json(options),
      .spec = input_spec(options.model, options.data),
      .task = std::make_shared<PretrainingTask>(make_model(options), options.objective, options.mask,
                                                make_teacher(options, total_steps), world),
      .clips = std::move(clips),
      .val_clips = std::move(val_clips),
      .need = needed_of_clips(options.model.modalities),
      .val_view = {.window_start = options.view.window_start},
      .supervision = std::nullopt,
      .writer = writer.get(),
      .world = world,
  };
  return train(std::move(setup), paths, hooks, std::move(log));
}

}  // namespace cavmae
