// The loop of every training run: it joins loader, task, optimizer, log and checkpoints. One run a process at
// a time, since it answers SIGINT and SIGTERM.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/loader.h"
#include "cavmae/dist/world.h"
#include "cavmae/train/run_folder.h"
#include "cavmae/train/run_options.h"
#include "cavmae/train/run_writer.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct RunHooks {
  bool show_progress = true;
  std::function<void(int64_t step)> after_step;  // may be empty
  std::string first_line = {};                   // of the log; empty: none
  std::function<bool()> stop = {};  // whether to stop, besides the process's signal; may be empty
};

struct RunResult {
  bool interrupted = false;  // by SIGINT or SIGTERM; the run was saved and can be resumed
  int64_t steps = 0;         // of the run, those before a resumption included
  int64_t samples = 0;
  double elapsed_seconds = 0.0;
  std::optional<ValidationResult> validation;           // the last one of this call
  std::optional<double> best_value;                     // of options.checkpoint.best_metric
  std::filesystem::path last_checkpoint;                // on rank 0, as all that follows of checkpoints
  std::optional<ValidationResult> averaged_validation;  // of the averaged model
  std::filesystem::path averaged_checkpoint;            // empty: none was made
  std::vector<BadClip> bad_clips;                       // of training and validation data
};

// What is trained, on what.
struct TrainingSetup {
  RunOptions options;
  Json config;     // the resolved options of the task, kept in the run's folder
  InputSpec spec;  // what the network is fed
  std::shared_ptr<Task> task;
  ClipList clips, val_clips;  // the latter may be empty: no validation
  Need need = Need::both;
  ViewOptions val_view;
  std::optional<Supervision> supervision;  // of `clips`; nothing: batches have no targets
  RunWriter* writer;                       // of this run, opened; null on every rank but 0
  World& world;
};

// Runs, or goes on with, paths.out. Note [Resuming]: what a checkpoint holds decides all that follows, so a
// run that is stopped at any step and resumed makes the same parameters, bit for bit, as one that is not
// (fp32, CPU, the same number of threads). Throws ConfigError, DataError, CheckpointError, and Error when the
// loss or the gradient is not finite or the disk is full; the run can then be resumed from the last
// checkpoint. Everything that can be wrong is looked at before anything is written.
//
// All ranks of setup.world call it with the same clips and act on the same decisions.
// options.loader.batch_size is the batch of all ranks, of which each reads and computes a part; so the run is
// that of one rank (fp32: but for the order of sums) and may be resumed on any number of ranks.
RunResult train(TrainingSetup setup, const RunPaths& paths, const RunHooks& hooks, std::shared_ptr<Log> log);

}  // namespace cavmae
