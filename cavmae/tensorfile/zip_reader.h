// The directory and the records of a zip file as PyTorch writes them: stored, not compressed, with a checksum
// each, which is verified. Safe from several threads.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "cavmae/core/file_stream.h"

namespace cavmae {

class ZipReader {
 public:
  struct Entry {
    uint64_t header_position = 0, size = 0;
    uint32_t checksum = 0;
    bool stored = false;
  };

  // Whether the file begins as a zip file does.
  static bool matches(const FileReader& file);

  // Reads the directory. `file` must outlive the reader. Throws CheckpointError.
  explicit ZipReader(const FileReader& file);

  const std::unordered_map<std::string, Entry>& entries() const { return entries_; }
  // CheckpointError when there is none.
  const Entry& at(const std::string& name) const;
  // Fills `out` with entry.size bytes.
  void read(const Entry& entry, void* out) const;

 private:
  void read_directory(uint64_t position, uint64_t bytes, uint64_t count);

  const FileReader& file_;
  std::unordered_map<std::string, Entry> entries_;
};

// The checksum of zip files (CRC-32, polynomial 0xedb88320).
uint32_t crc32(const void* data, size_t bytes);

}  // namespace cavmae
