// The folder of a run: config.json, run.json, run.log, metrics.jsonl, events.out.tfevents.*, checkpoints/.
// One owner.
#pragma once

#include <filesystem>
#include <vector>

#include "cavmae/core/file_lock.h"
#include "cavmae/core/json.h"
#include "cavmae/data/read_clips.h"

namespace cavmae {

enum class RunStart { fresh, resume };

// Where a run takes its clips from and puts its results. All but `out` and `start` is kept in RUN/run.json,
// paths as absolute ones, so that a resumed run and the report need not be given them again.
struct RunPaths {
  std::vector<std::filesystem::path> data;
  std::vector<std::filesystem::path> val;  // may be empty: no validation
  std::filesystem::path out;
  std::filesystem::path cache;  // of decoded features; may be empty: none
  ListOptions lists = {};       // how data and val are read
  RunStart start = RunStart::fresh;
};

// Throws ConfigError for a fresh run where something is already, for a resumption where no run is, and for a
// path that run.json cannot hold. Makes nothing.
void check_run_folder(const RunPaths& paths);

// Keeps other processes out of a run for its lifetime. Throws ConfigError when one is at work there.
class RunLock {
 public:
  explicit RunLock(const std::filesystem::path& run)
      : lock_(run, "another process trains in this folder; wait for it or stop it") {}

 private:
  FileLock lock_;
};

// The paths that the run was started with. Throws ConfigError when there is no such run.
RunPaths read_run_paths(const std::filesystem::path& run);
void write_run_paths(const RunPaths& paths);

}  // namespace cavmae
