// What the commands share that train: pretrain and finetune.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/train/trainer.h"

#include "apps/dist_flags.h"
#include "apps/engines.h"
#include "apps/list_flags.h"

namespace cavmae::apps {

struct TrainingFlags {
  std::string config;
  RunPaths paths;
  bool resume = false;
  bool report = true;
  bool print_config = false;
  OptionFlags options;
  ListFlags lists;
  DistFlags dist;

  // Registers --config and the flags of the run's folder, but not those of the options.
  void add(CLI::App& app);
  // The flags' paths; a resumed run has its own where none are given.
  RunPaths resolved_paths() const;
  // Throws ConfigError when --out or --data is missing.
  static void check(const RunPaths& paths);
};

// Makes loader.batch_size, of a rank where a run begins, that of all ranks. A resumed run has the one that it
// began with, `saved`, which the flag may confirm; throws ConfigError where it does not.
void settle_batch_size(const TrainingFlags& flags, const Launch& launch, RunOptions& options,
                       std::optional<int64_t> saved = std::nullopt);

// Of a run's flags.
EngineOrigin engine_origin(const TrainingFlags& flags);

// A resumed run goes on with what it was started with; what the command line says besides wins, and is
// checked.
template <OptionStruct T>
T resumed_options(const TrainingFlags& flags, const Launch& launch) {
  T options;
  const std::filesystem::path file = flags.paths.out / "config.json";
  options_from_saved(read_json(file), options, file.string());
  const int64_t batch_size = options.loader.batch_size;
  const Compute saved(options.precision, options.runtime);
  flags.options.apply(options);
  options.runtime.engine =
      engines_of_resumed(saved, {options.precision, options.runtime}, engine_origin(flags).given);
  settle_batch_size(flags, launch, options, batch_size);
  return options;
}

// "2 ranks on ..; a batch is 4 clips of each rank, 8 in all", and `contrast`: what of it the loss sees.
// Nothing of a process alone.
std::string first_line(const RankOfLaunch& rank, const RunOptions& options, const std::string& contrast = "");

// Steps, checkpoint, clips that were skipped, and how to go on with `command` after a stop.
void print_summary(const RunResult& result, const std::filesystem::path& out, const std::string& command);

}  // namespace cavmae::apps
