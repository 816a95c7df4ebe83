// Keeps other processes out of a folder; the system lifts the lock when the process ends, however it ends.
// One owner.
#pragma once

#include <filesystem>
#include <string>

namespace cavmae {

class FolderLock {
 public:
  // Throws ConfigError "FOLDER: <while_taken>" when another process (or another lock of this one) has it, and
  // Error where the folder cannot be opened. Some file systems know no locks; there every process gets it.
  FolderLock(const std::filesystem::path& folder, const std::string& while_taken);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace cavmae
