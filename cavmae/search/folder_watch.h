// Waiting until something changes in folders, by inotify: files that were written to their end, moved, or
// removed. One owner.
#pragma once

#include <chrono>
#include <filesystem>
#include <vector>

namespace cavmae {

class FolderWatch {
 public:
  // Watches these folders and all below, and the folders that these files lie in. What does not exist is left
  // out. Throws Error when the system gives no more watches, with the cure.
  explicit FolderWatch(const std::vector<std::filesystem::path>& paths);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  int num_folders() const { return num_folders_; }
  // Returns once something has changed and then nothing for `quiet`; false where a stop signal came first, or
  // nothing had changed within `timeout`.
  bool wait(std::chrono::milliseconds quiet, std::chrono::milliseconds timeout);

 private:
  void watch(const std::filesystem::path& folder);
  bool read_events(std::chrono::milliseconds timeout);

  int fd_;
  int num_folders_ = 0;
};

}  // namespace cavmae
