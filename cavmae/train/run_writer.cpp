#include "cavmae/train/run_writer.h"

#include "cavmae/core/files.h"
#include "cavmae/core/paths.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Makes the folder of a fresh run; returns what was not there before, the innermost first.
std::vector<fs::path> make_run_folder(const RunPaths& paths) {
  check_run_folder(paths);
  std::vector<fs::path> made;
  for (fs::path folder = absolute_path(paths.out); !fs::exists(folder); folder = folder.parent_path())
    if (folder.has_filename()) made.push_back(folder);
  if (!made.empty()) make_directories(paths.out);
  return made;
}

}  // namespace

RunWriter::RunWriter(const RunPaths& paths, int64_t keep_checkpoints, const Log& log)
    : paths_(paths),
      made_(make_run_folder(paths)),
      lock_(paths.out),
      log_(log),
      checkpoints_(paths.out, keep_checkpoints) {
  check_run_folder(paths);  // again: another process may have been at work until now
}

RunWriter::~RunWriter() {
  std::error_code not_empty;
  for (const fs::path& folder : made_) fs::remove(folder, not_empty);
}

void RunWriter::begin(const RunBeginning& beginning) {
  made_.clear();
  write_json(paths_.out / "config.json", beginning.config);
  write_run_paths(paths_);
  log_.open(paths_.out / "run.log");
  if (beginning.found) checkpoints_.discard_after(*beginning.found);
  recorder_ = std::make_unique<RunRecorder>(paths_.out, beginning.state, beginning.recorder, log());
}

std::unique_ptr<RunWriter> open_run_writer(const RunPaths& paths, int64_t keep_checkpoints, const Log& log,
                                           World& world) {
  auto writer = world.rank() == 0 ? std::make_unique<RunWriter>(paths, keep_checkpoints, log) : nullptr;
  world.barrier();
  return writer;
}

}  // namespace cavmae
