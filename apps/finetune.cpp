// cavmae finetune: from a pretrained model and labelled clips to a classifier.
#include <set>
#include <string>

#include <fmt/format.h>

#include "cavmae/core/json_text.h"
#include "cavmae/train/finetuning.h"

#include "apps/classification_table.h"
#include "apps/configs.h"
#include "apps/model_flags.h"
#include "apps/run_report.h"
#include "apps/training.h"

namespace cavmae::apps {
namespace {

// The names of the options that a configuration sets.
void add_leaves(std::set<std::string>& names, const Json& config) {
  for (const auto& [name, value] : config.items())
    if (value.is_object())
      add_leaves(names, value);
    else
      names.insert(name);
}

// The recipes that come with the program are those of networks that look at a whole clip. One whose pictures
// each have their own sound learns from neither noise nor rolled sound, where no flag asks for them.
void keep_sound_in_place(ViewOptions& view, const ViewOptions& trained_on,
                         const std::set<std::string>& given) {
  if (!given.contains("noise")) view.noise = trained_on.noise;
  if (!given.contains("roll")) view.roll = trained_on.roll;
}

// Default < what the checkpoint was trained with < configuration file < flag.
FinetuneDefaults resolve_finetuning(const TrainingFlags& flags, const Launch& launch) {
  if (flags.resume) return {.options = resumed_options<FinetuneOptions>(flags, launch), .assumed = {}};
  const NamedConfig config = find_config(flags.config);
  const auto apply = [&](FinetuneOptions& options) {
    option_from_json(config.json, options, config.where);
    flags.options.apply(options);
  };
  FinetuneOptions options;
  apply(options);
  if (options.init.empty()) return {.options = options, .assumed = {}};
  const std::filesystem::path init = std::filesystem::absolute(options.init);
  GivenOptions given{.names = flags.options.given(),
                     .hints = {.num_heads = options.model.num_heads,
                               .decoder_num_heads = {},
                               .num_mel_bins = options.model.num_mel_bins,
                               .audio_window_frames = options.model.audio_window_frames},
                     .network = options.network};
  add_leaves(given.names, config.json);
  FinetuneDefaults resolved = finetune_defaults(init, given);
  const ViewOptions trained_on = resolved.options.view;
  options = resolved.options;
  apply(options);
  if (config.is_built_in && options.data.alignment == Alignment::picture)
    keep_sound_in_place(options.view, trained_on, flags.options.given());
  // A run that is resumed elsewhere before its first checkpoint begins from it again.
  options.init = init;
  for (std::filesystem::path* file : {&options.labels, &options.sample_weights})
    if (!file->empty()) *file = std::filesystem::absolute(*file);
  settle_batch_size(flags, launch, options);
  resolved.options = options;
  return resolved;
}

int tune_and_report(const TrainingFlags& flags, const RunPaths& paths, FinetuneDefaults resolved,
                    const RankOfLaunch& rank, const GlobalOptions& global) {
  FinetuneOptions& options = resolved.options;
  const RunHooks hooks{.show_progress = !global.quiet && rank.is_first(),
                       .after_step = {},
                       .first_line = first_line(rank, options)};
  auto log = make_log(verbosity_of(rank, global));
  if (rank.is_first()) log_assumed(resolved.assumed, options.init, *log);
  warn_of_slow_precision(options.precision, options.runtime, *log);
  take_engines(options.precision, options.runtime, engine_origin(flags), rank.world, *log);
  const FinetuneResult result = finetune(options, paths, hooks, log, rank.world);
  rank.leave();
  if (rank.is_first()) print_summary(result.run, paths.out, "finetune");
  if (result.run.interrupted) return kExitInterrupted;
  if (!rank.is_first()) return 0;
  if (result.evaluation) {
    fmt::print("evaluated: {}\n", result.evaluated.string());
    print_classification(*result.evaluation);
  }
  if (flags.report) {
    RunReportOptions report;
    report.run = paths.out;
    write_final_report(report, global, log);
  }
  return 0;
}

int run_finetuning(const TrainingFlags& flags, const GlobalOptions& global) {
  const RunPaths paths = flags.resolved_paths();
  const Launch launch = flags.dist.launch(paths.out);
  FinetuneDefaults resolved = resolve_finetuning(flags, launch);
  FinetuneOptions& options = resolved.options;
  choose_device(options.runtime.device, launch.local_rank);
  if (flags.print_config) {
    options.validate();
    fmt::print("{}\n", to_text(option_to_json(options), 2));
    return 0;
  }
  CAVMAE_CHECK_AS(ConfigError, !options.init.empty(),
                  "--init is needed: the model to begin with, a run, a .safetensors or a .pth file");
  options.validate();
  TrainingFlags::check(paths);
  return on_ranks(flags.dist, launch, global, [&](const RankOfLaunch& rank) {
    return tune_and_report(flags, paths, resolved, rank, global);
  });
}

}  // namespace

void add_finetune(CLI::App& app, Program& program) {
  describe(
      app,
      "Begins with the encoders of --init and a new linear head, trains both on the labels of --data, validates on --val\n"
      "after each epoch, and measures the averaged model (or the best one) at the end. With --freeze-encoder the head\n"
      "alone is trained: a linear probe.",
      {"cavmae finetune --init cav-mae.pth --config finetune-audioset-20k --labels class_labels_indices.csv \\\n"
       "              --data train.json --val eval.json --mode audio --out classifier",
       "cavmae finetune --out classifier --resume        go on after a stop"});
  auto flags = std::make_shared<TrainingFlags>();
  flags->config = "finetune-audioset-20k";
  flags->add(app);
  flags->options.add(app, FinetuneOptions{}, "Configuration");
  flags->options.add_word_flag(app, "resize_positions", kResizePositions);
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_finetuning(*flags, program.global); }; });
}

}  // namespace cavmae::apps
