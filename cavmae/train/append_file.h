// A file that grows by whole records and can be cut back to where a checkpoint saw it. One owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace cavmae {

class AppendFile {
 public:
  // Opens or creates the file. What lies behind `keep_bytes` is cut off. Throws Error.
  AppendFile(const std::filesystem::path& path, int64_t keep_bytes);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Throws Error naming the file and the system's reason (a full disk).
  void append(std::string_view bytes);
  // Flushes to the disk.
  void sync();

  int64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

}  // namespace cavmae
