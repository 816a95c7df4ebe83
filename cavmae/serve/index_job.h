// Filling the library while it is served: one job at a time, on a thread of its own, with the model that is
// loaded. Safe from several threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/models/pretrained.h"

namespace cavmae {

class BackgroundIndexing {
 public:
  BackgroundIndexing(std::string library, const Pretrained& model, std::shared_ptr<Log> log);
  ~BackgroundIndexing();  // waits for the job

  // Begins to add the file, or the files below the folder. Throws HttpError 409 while another one goes on.
  // `files_now`: of the library, from which progress is counted.
  void start(const std::filesystem::path& path, int64_t files_now);
  // {"state": "idle" | "running" | "done" | "interrupted" | "failed", "path", "files", "files_done", ...}
  Json status(int64_t files_now) const;
  bool is_running() const;

 private:
  void run(const std::filesystem::path& path);

  std::string library_;
  Pretrained model_;
  std::shared_ptr<Log> log_;
  mutable std::mutex mutex_;  // of what follows
  std::thread thread_;
  std::string state_ = "idle", path_, error_;
  int64_t files_before_ = 0, files_ = 0;
  Json result_;
};

}  // namespace cavmae
