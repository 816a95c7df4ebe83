// The only writer of a run's folder: it holds the run's lock and owns config.json, run.json, run.log, the
// metrics and the checkpoints. Rank 0 has one, the other ranks have none. It is opened before anything of the
// run is read, and writes nothing before begin(). One owner; no thread may share it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/dist/world.h"
#include "cavmae/train/run_folder.h"
#include "cavmae/train/run_recorder.h"
#include "cavmae/train/training_checkpoint.h"

namespace cavmae {

// What a run begins, or goes on, with.
struct RunBeginning {
  const Json& config;  // the resolved options
  const RunState& state;
  const std::optional<FoundCheckpoint>& found;  // where it goes on
  RecorderOptions recorder;
};

class RunWriter {
 public:
  // Checks the folder, makes that of a fresh run, and takes the lock. Throws ConfigError as
  // check_run_folder() does and when another process is at work in the run; then the folder is as it was.
  RunWriter(const RunPaths& paths, int64_t keep_checkpoints, const Log& log);
  // A fresh run that never began leaves no folder behind.
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  // Everything that can be wrong was looked at: from here on the folder is written to.
  void begin(const RunBeginning& beginning);

  // To wherever the caller's log goes and to run.log, which gets what was logged before begin() with it.
  const std::shared_ptr<Log>& log() const { return log_.log(); }
  CheckpointFolder& checkpoints() { return checkpoints_; }
  RunRecorder& recorder() { return *recorder_; }  // after begin()

 private:
  RunPaths paths_;
  std::vector<std::filesystem::path> made_;  // folders that were not there before, the innermost first
  RunLock lock_;
  FileLog log_;
  CheckpointFolder checkpoints_;
  std::unique_ptr<RunRecorder> recorder_;
};

// The writer on rank 0, nothing on the others. Returns when rank 0 holds the lock, so that no rank reads a
// run that another process is writing.
std::unique_ptr<RunWriter> open_run_writer(const RunPaths& paths, int64_t keep_checkpoints, const Log& log,
                                           World& world);

}  // namespace cavmae
