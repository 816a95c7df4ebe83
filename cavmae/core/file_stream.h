// Binary files read at positions and written in one pass, with every failure an error that names the file.
// One owner each; a FileReader may be read by several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace cavmae {

// Throws CheckpointError: what is read this way are tensor files.
class FileReader {
 public:
  explicit FileReader(const std::filesystem::path& path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  uint64_t size() const { return size_; }
  std::string name() const { return path_.string(); }

  // Fills `out` with the `bytes` that begin at `position`; a file that ends before is an error.
  void read(uint64_t position, void* out, uint64_t bytes) const;

  // The whole file as memory of this process, brought in where it is touched; what is written to it never
  // reaches the file. It outlives the reader. The file must not be empty.
  std::shared_ptr<char> map() const;

 private:
  std::filesystem::path path_;
  int fd_;
  uint64_t size_ = 0;
};

// The bytes of a file from a position on.
struct PlaceInFile {
  std::shared_ptr<const FileReader> file;
  uint64_t position = 0;
};

// Creates or empties a file and appends to it. `shown_as` is the name used in errors, since what is written
// is often the temporary file beside it. Throws Error.
class FileWriter {
 public:
  FileWriter(const std::filesystem::path& path, std::filesystem::path shown_as);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(const void* data, uint64_t bytes);
  // Reports what the system only reports at the end. Without it the destructor closes silently.
  void close();

 private:
  std::filesystem::path shown_as_;
  int fd_;
};

// Throws Error unless the disk that holds `path` has `bytes` free, so that a full one is reported before the
// writing and not after it.
void require_free_space(const std::filesystem::path& path, uint64_t bytes);

}  // namespace cavmae
