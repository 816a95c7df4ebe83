// A lock that processes share, by a folder or a file of their own. One owner; for as long as it lives, and
// the system lifts it when the process ends, however it ends.
#pragma once

#include <filesystem>
#include <string>

namespace cavmae {

class FileLock {
 public:
  // Waits until no other process has it. `path`: a folder that is there, or a file, which is created and
  // stays. A file system that knows no locks gives none. Throws Error when the file cannot be created.
  explicit FileLock(const std::filesystem::path& path);
  // Throws ConfigError "PATH: <while_taken>" when another process has it, instead of waiting.
  FileLock(const std::filesystem::path& path, const std::string& while_taken);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace cavmae
