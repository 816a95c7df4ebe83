// cavmae pretrain: from clips to a trained model.
#include <fmt/format.h>

#include "cavmae/train/trainer.h"

#include "apps/command.h"
#include "apps/configs.h"
#include "apps/run_report.h"

namespace cavmae::apps {
namespace {


struct PretrainFlags {
  std::string config = "cav-mae";
  PretrainPaths paths;
  bool resume = false;
  bool report = true;
  bool print_config = false;
  OptionFlags options;
};

// Default < configuration file < flag.
PretrainOptions resolve_options(const PretrainFlags& flags) {
  PretrainOptions options;
  const NamedConfig config = find_config(flags.config);
  option_from_json(config.json, options, config.where);
  flags.options.apply(options);
  // A run that is resumed elsewhere before its first checkpoint begins from it again.
  if (!options.init.empty()) options.init = std::filesystem::absolute(options.init);
  return options;
}

// A resumed run goes on with what it was started with; what the command line says besides wins, and is
// checked.
PretrainOptions resolve_resumed_options(const PretrainFlags& flags, PretrainPaths& paths) {
  const PretrainPaths saved = read_run_paths(paths.out);
  if (paths.data.empty()) paths.data = saved.data;
  if (paths.val.empty()) paths.val = saved.val;
  if (paths.cache.empty()) paths.cache = saved.cache;
  PretrainOptions options;
  const std::filesystem::path file = paths.out / "config.json";
  option_from_json(read_json(file), options, file.string());
  flags.options.apply(options);
  return options;
}

void print_summary(const PretrainResult& result, const std::filesystem::path& out) {
  fmt::print("{} steps over {} clips in {}\n", result.steps, result.samples,
             human_duration(result.elapsed_seconds));
  fmt::print("checkpoint: {}\n", result.last_checkpoint.string());
  if (!result.bad_clips.empty()) {
    fmt::print("{} clip{} could not be read and were skipped:\n", result.bad_clips.size(),
               result.bad_clips.size() == 1 ? "" : "s");
    for (const BadClip& clip : result.bad_clips) fmt::print("  {}: {}\n", clip.id, clip.reason);
  }
  if (result.interrupted)
    fmt::print("Stopped and saved. Go on with: cavmae pretrain --out {} --resume\n", out.string());
}

int run(const PretrainFlags& flags, const GlobalOptions& global) {
  PretrainPaths paths = flags.paths;
  paths.start = flags.resume ? RunStart::resume : RunStart::fresh;
  const PretrainOptions options =
      flags.resume ? resolve_resumed_options(flags, paths) : resolve_options(flags);
  options.validate();
  if (flags.print_config) {
    fmt::print("{}\n", option_to_json(options).dump(2));
    return 0;
  }
  CAVMAE_CHECK_AS(ConfigError, !paths.out.empty(), "--out is needed: the folder that receives the run");
  CAVMAE_CHECK_AS(ConfigError, !paths.data.empty(), "--data is needed: a folder, list or manifest of clips");
  const PretrainHooks hooks{.show_progress = !global.quiet, .after_step = {}};
  auto log = make_log(global.verbosity());
  const PretrainResult result = pretrain(options, paths, hooks, log);
  print_summary(result, paths.out);
  if (result.interrupted) return kExitInterrupted;
  if (flags.report) {
    RunReportOptions report;
    report.run = paths.out;
    report.data = paths.val.empty() ? paths.data : paths.val;
    report.cache = paths.cache;
    fmt::print("report: {}\n", write_run_report(report, global, log).string());
  }
  return 0;
}

}  // namespace

void add_pretrain(Program& program) {
  CLI::App* app = program.root.add_subcommand("pretrain", "Train a model on clips without labels");
  app->description(
      "Trains on --data, validates on --val after each epoch, and keeps checkpoints, metrics.jsonl, "
      "TensorBoard events\n"
      "and report.html in --out. Every option of a configuration is also a flag; a flag wins over the "
      "configuration.\n\n"
      "Examples: cavmae pretrain --config tiny --data clips --val held_out --out run\n"
      "          cavmae pretrain --data videos --out run --batch-size 16 --lr 1e-4 --precision bf16\n"
      "          cavmae pretrain --data videos --out run --init mae_pretrain_vit_base.pth    from an image "
      "MAE\n"
      "          cavmae pretrain --out run --resume        go on after a stop");
  auto flags = std::make_shared<PretrainFlags>();
  app->add_option("--config", flags->config, "a built-in configuration or a JSON file [cav-mae]")
      ->type_name("NAME|FILE");
  app->add_option("--data", flags->paths.data, "clips to learn from; may be given several times")
      ->type_name("PATH");
  app->add_option("--val", flags->paths.val, "clips to validate on")->type_name("PATH");
  app->add_option("--out", flags->paths.out, "folder that receives the run")->type_name("DIR");
  app->add_option("--cache", flags->paths.cache,
                  "folder that keeps decoded clips, so that a second epoch decodes nothing")
      ->type_name("DIR");
  app->add_flag("--resume", flags->resume, "go on with the run in --out from its last checkpoint");
  app->add_flag("--report,!--no-report", flags->report, "write report.html at the end [true]");
  app->add_flag("--print-config", flags->print_config, "print the resolved configuration and leave");
  flags->options.add(*app, PretrainOptions{}, "Configuration");
  app->callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
