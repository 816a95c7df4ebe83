#include "cavmae/serve/index_job.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/search/indexer.h"
#include "cavmae/search/open_library.h"
#include "cavmae/serve/http.h"

namespace cavmae {

BackgroundIndexing::BackgroundIndexing(std::string library, const Pretrained& model, std::shared_ptr<Log> log)
    : library_(std::move(library)), model_(model), log_(std::move(log)) {}

BackgroundIndexing::~BackgroundIndexing() {
  if (thread_.joinable()) thread_.join();
}

bool BackgroundIndexing::is_running() const {
  const std::lock_guard lock(mutex_);
  return state_ == "running";
}

void BackgroundIndexing::start(const std::filesystem::path& path, int64_t files_now) {
  const std::lock_guard lock(mutex_);
  if (state_ == "running")
    throw HttpError(409, "indexing", path_ + " is still being added", "wait until GET /v1/index says done",
                    /*retry_after_seconds=*/5);
  if (thread_.joinable()) thread_.join();
  state_ = "running";
  path_ = path.string();
  error_.clear();
  files_before_ = files_now;
  files_ = 0;
  result_ = nullptr;
  thread_ = std::thread([this, path] { run(path); });
}

void BackgroundIndexing::run(const std::filesystem::path& path) {
  std::string state = "done", error;
  Json result;
  try {
    const auto settings = library_settings(library_);
    CAVMAE_CHECK(settings.has_value(), shown_library(library_), ": is no library any more");
    const auto writer = open_library_to_write(library_, *settings, LibraryStart::add, log_);
    const ClipList files = read_clip_sources({path}, *log_);
    {
      const std::lock_guard lock(mutex_);
      files_ = static_cast<int64_t>(files.size());
    }
    const IndexResult made =
        index_files(*writer, model_, files, {.num_workers = 1}, /*show_progress=*/false, log_);
    writer->finish();
    if (made.end == IndexEnd::interrupted) state = "interrupted";
    result = {{"added", made.added},         {"changed", made.changed}, {"moved", made.moved},
              {"unchanged", made.unchanged}, {"failed", made.failed},   {"moments", made.moments},
              {"seconds", made.seconds}};
  } catch (const std::exception& e) {
    state = "failed";
    error = e.what();
    log_->warn("{}: is not added to the library: {}", path.string(), error);
  }
  const std::lock_guard lock(mutex_);
  state_ = state;
  error_ = error;
  result_ = result;
}

Json BackgroundIndexing::status(int64_t files_now) const {
  const std::lock_guard lock(mutex_);
  Json out = {{"state", state_}};
  if (state_ == "idle") return out;
  out["path"] = path_;
  out["files"] = files_;
  out["files_done"] = state_ == "done" ? files_ : std::clamp<int64_t>(files_now - files_before_, 0, files_);
  if (!error_.empty()) out["error"] = error_;
  if (!result_.is_null()) out["result"] = result_;
  return out;
}

}  // namespace cavmae
