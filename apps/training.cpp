#include "apps/training.h"

#include <fmt/format.h>

namespace cavmae::apps {

void TrainingFlags::add(CLI::App& app) {
  app.add_option("--config", config, "a built-in configuration or a JSON file [" + config + "]")
      ->type_name("NAME|FILE");
  app.add_option("--data", paths.data, "clips to learn from; may be given several times")->type_name("PATH");
  app.add_option("--val", paths.val, "clips to validate on")->type_name("PATH");
  app.add_option("--out", paths.out, "folder that receives the run")->type_name("DIR");
  app.add_option("--cache", paths.cache,
                 "folder that keeps decoded clips, so that a second epoch decodes nothing")
      ->type_name("DIR");
  app.add_flag("--resume", resume, "go on with the run in --out from its last checkpoint");
  app.add_flag("--report,!--no-report", report, "write report.html at the end [true]");
  lists.add(app);
  dist.add(app);
  app.add_flag("--print-config", print_config, "print the resolved configuration and leave");
}

RunPaths TrainingFlags::resolved_paths() const {
  RunPaths resolved = paths;
  resolved.start = resume ? RunStart::resume : RunStart::fresh;
  resolved.lists = lists.options();
  if (!resume) return resolved;
  const RunPaths saved = read_run_paths(paths.out);
  if (resolved.data.empty()) resolved.data = saved.data;
  if (resolved.val.empty()) resolved.val = saved.val;
  if (resolved.cache.empty()) resolved.cache = saved.cache;
  resolved.lists = lists.options(saved.lists);
  return resolved;
}

void TrainingFlags::check(const RunPaths& paths) {
  CAVMAE_CHECK_AS(ConfigError, !paths.out.empty(), "--out is needed: the folder that receives the run");
  CAVMAE_CHECK_AS(ConfigError, !paths.data.empty(), "--data is needed: a folder, list or manifest of clips");
}

void settle_batch_size(const TrainingFlags& flags, const Launch& launch, RunOptions& options,
                       std::optional<int64_t> saved) {
  int64_t& batch = options.loader.batch_size;
  if (!saved) {
    batch *= launch.size;
    return;
  }
  if (launch.size > 1 && flags.options.given().contains("batch_size")) {
    CAVMAE_CHECK_AS(ConfigError, batch * launch.size == *saved, "--batch-size ", batch, " on ", launch.size,
                    " ranks makes a batch of ", batch * launch.size, " clips, the run has ", *saved,
                    "; leave it out: the batch is shared by the ranks that there are");
    batch = *saved;
  }
}

std::string first_line(const RankOfLaunch& rank, const RunOptions& options, const std::string& contrast) {
  if (rank.description.empty()) return "";
  const int64_t batch = options.loader.batch_size, ranks = rank.world.size();
  const std::string most = batch % ranks == 0 ? "" : fmt::format(" or {}", batch / ranks + 1);
  return fmt::format("{}; a batch is {}{} clips of each rank, {} in all{}{}", rank.description, batch / ranks,
                     most, batch, contrast.empty() ? "" : "; ", contrast);
}

EngineOrigin engine_origin(const TrainingFlags& flags) {
  RuntimeOptions given;
  flags.options.apply(given);
  return {.is_resumed = flags.resume, .given = given.engine};
}

void print_summary(const RunResult& result, const std::filesystem::path& out, const std::string& command) {
  fmt::print("{} steps over {} clips in {}\n", result.steps, result.samples,
             human_duration(result.elapsed_seconds));
  fmt::print("checkpoint: {}\n", result.last_checkpoint.string());
  if (!result.averaged_checkpoint.empty()) fmt::print("averaged: {}\n", result.averaged_checkpoint.string());
  if (result.interrupted)
    fmt::print("Stopped and saved. Go on with: cavmae {} --out {} --resume\n", command, out.string());
}

}  // namespace cavmae::apps
