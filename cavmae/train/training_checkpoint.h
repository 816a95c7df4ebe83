// A run's checkpoints: RUN/checkpoints/step-00001000/{model.safetensors, optimizer.safetensors,
// generator.safetensors, state.json, and once there are such average.safetensors and task.safetensors (the
// state of the task, a teacher's)} and the links `last` and `best`. A checkpoint is written beside and
// renamed, so a folder of that name is whole or, after a damaged disk, recognised by the sizes and checksums
// in its state.json. One owner a run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/optimizer/weight_average.h"
#include "cavmae/train/run_state.h"
#include "cavmae/train/task.h"

namespace cavmae {

// What goes into a checkpoint; everything is borrowed for the call.
struct CheckpointContent {
  Task& task;
  const Adam& optimizer;
  const torch::Tensor& generator;  // uint8 [n]: the state of the task's generator
  const InputSpec& spec;
  const Json& config;  // the resolved options
  const RunState& state;
  const WeightAverage& average;  // left out while it is empty
};

// A checkpoint that was found whole.
struct FoundCheckpoint {
  std::filesystem::path path;
  RunState state;
  Json config;
};

// The whole checkpoint of the highest step in a run's folder; a damaged one is reported to the log and passed
// over. Nothing when there is none. It writes nothing; who goes on from it holds the run's lock (RunWriter).
std::optional<FoundCheckpoint> find_latest_checkpoint(const std::filesystem::path& run, Log& log);

class CheckpointFolder {
 public:
  // Keeps the last `keep` checkpoints and the best one.
  CheckpointFolder(const std::filesystem::path& run, int64_t keep);

  // Throws Error unless the disk takes the checkpoints of a whole run; for its beginning.
  void require_space(CavMae& model, const Adam& optimizer) const;

  // Writes a checkpoint, links it as `last` (and `best`, where its state says so), then removes what is no
  // longer kept. On a full disk or another failure the earlier ones stay as they are and Error says so.
  std::filesystem::path save(const CheckpointContent& content);

  // Writes the task's network alone to checkpoints/averaged/model.safetensors and returns that folder.
  std::filesystem::path save_averaged(Task& task, const InputSpec& spec) const;

  // Makes the folder what it was when `found` was saved: later (damaged) checkpoints and what an interrupted
  // save left are removed, and the links say what its state says.
  void discard_after(const FoundCheckpoint& found) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  void write_files(const std::filesystem::path& folder, const CheckpointContent& content) const;
  void remove_old() const;

  std::filesystem::path path_;
  int64_t keep_;
};

// Bytes that one checkpoint takes.
int64_t checkpoint_bytes(CavMae& model, const Adam& optimizer);

// Throws Error, naming both amounts and the cure, when `needed` is more than `available`.
struct SpaceNeed {
  int64_t needed_bytes = 0;
  uint64_t available_bytes = 0;
  std::string what;  // "the checkpoint of step 12"
};
void check_space(const SpaceNeed& need);

// Reads a checkpoint's state.json and verifies its files. Throws CheckpointError naming what is damaged.
FoundCheckpoint verify_checkpoint(const std::filesystem::path& folder);

// Puts a checkpoint's tensors back where they were saved from. Throws CheckpointError when they do not fit.
struct RestoreTargets {
  Task& task;
  Adam& optimizer;
  torch::Generator& generator;
  WeightAverage& average;
};
void restore_tensors(const FoundCheckpoint& found, const RestoreTargets& targets);

}  // namespace cavmae
