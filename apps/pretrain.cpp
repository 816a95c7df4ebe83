// cavmae pretrain: from clips to a trained model.
#include <fmt/format.h>

#include "cavmae/core/json_text.h"
#include "cavmae/train/pretraining.h"

#include "apps/configs.h"
#include "apps/model_flags.h"
#include "apps/run_report.h"
#include "apps/training.h"

namespace cavmae::apps {
namespace {

// Default < configuration file < flag.
PretrainOptions resolve_options(const TrainingFlags& flags, const Launch& launch) {
  if (flags.resume) return resumed_options<PretrainOptions>(flags, launch);
  PretrainOptions options;
  const NamedConfig config = find_config(flags.config);
  option_from_json(config.json, options, config.where);
  flags.options.apply(options);
  // A run that is resumed elsewhere before its first checkpoint begins from it again.
  if (!options.init.empty()) options.init = std::filesystem::absolute(options.init);
  settle_batch_size(flags, launch, options);
  return options;
}

// Which clips the contrastive loss sees of a batch.
std::string contrast_of(const PretrainOptions& options, int64_t ranks) {
  const ContrastiveOptions& contrastive = options.objective.contrastive;
  switch (contrastive.resolved_negatives()) {
    case Negatives::group:
      return fmt::format("the contrastive loss sees groups of {}", contrastive.contrastive_batch);
    case Negatives::rank:
      return fmt::format(
          "the contrastive loss sees those of a rank, {}: another number of ranks is another loss",
          options.loader.batch_size / ranks);
    default:
      return fmt::format("the contrastive loss sees all {}", options.loader.batch_size);
  }
}

int train_and_report(const TrainingFlags& flags, const RunPaths& paths, PretrainOptions options,
                     const RankOfLaunch& rank, const GlobalOptions& global) {
  const RunHooks hooks{.show_progress = !global.quiet && rank.is_first(),
                       .after_step = {},
                       .first_line = first_line(rank, options, contrast_of(options, rank.world.size()))};
  auto log = make_log(verbosity_of(rank, global));
  warn_of_slow_precision(options.precision, options.runtime, *log);
  take_engines(options.precision, options.runtime, engine_origin(flags), rank.world, *log);
  const RunResult result = pretrain(options, paths, hooks, log, rank.world);
  rank.leave();
  if (rank.is_first()) print_summary(result, paths.out, "pretrain");
  if (result.interrupted) return kExitInterrupted;
  if (flags.report && rank.is_first()) {
    RunReportOptions report;
    report.run = paths.out;
    report.runtime.device = options.runtime.device;
    write_final_report(report, global, log);
  }
  return 0;
}

int run(const TrainingFlags& flags, const GlobalOptions& global) {
  const RunPaths paths = flags.resolved_paths();
  const Launch launch = flags.dist.launch(paths.out);
  PretrainOptions options = resolve_options(flags, launch);
  choose_device(options.runtime.device, launch.local_rank);
  options.validate();
  if (flags.print_config) {
    fmt::print("{}\n", to_text(option_to_json(options), 2));
    return 0;
  }
  TrainingFlags::check(paths);
  return on_ranks(flags.dist, launch, global, [&](const RankOfLaunch& rank) {
    return train_and_report(flags, paths, options, rank, global);
  });
}

}  // namespace

void add_pretrain(CLI::App& app, Program& program) {
  describe(
      app,
      "Trains on --data, validates on --val after each epoch, and keeps checkpoints, metrics.jsonl, TensorBoard events\n"
      "and report.html in --out. Every option of a configuration is also a flag; a flag wins over the configuration.",
      {"cavmae pretrain --data videos --out run --batch-size 16 --lr 1e-4 --precision bf16",
       "cavmae pretrain --data videos --out run --init mae_pretrain_vit_base.pth    from an image MAE",
       "cavmae pretrain --out run --resume        go on after a stop"});
  auto flags = std::make_shared<TrainingFlags>();
  flags->config = "cav-mae";
  flags->add(app);
  flags->options.add(app, PretrainOptions{}, "Configuration");
  flags->options.add_word_flag(app, "resize_positions", kResizePositions);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
