// Tar archives by libarchive: what lies where in one, and writing them. Its members are read without it, as
// parts of the file. A TarWriter has one owner; the function is safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

class MediaBytes;

struct TarMember {
  std::string name;
  int64_t offset = 0;  // of its first byte in the archive, behind the headers
  int64_t size = 0;
};

// The ordinary files in it, in its order. `name`: of the archive, in errors. Reads the headers alone, and of
// each member's beginning enough to see that it lies where it is said to lie. Throws DataError that names the
// archive: not there, no tar, compressed, cut off, or with a member that is sparse, which has no place where
// its bytes lie in one piece.
std::vector<TarMember> scan_tar(const MediaBytes& tar, const std::string& name);
std::vector<TarMember> scan_tar(const std::filesystem::path& tar);

// Writes a tar whose bytes depend on names and contents alone (no time, no owner), in the format pax where a
// name is too long for ustar.
class TarWriter {
 public:
  // Creates or empties the file. Throws DataError, as the others.
  explicit TarWriter(const std::filesystem::path& file);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  void add(const std::string& name, std::string_view content);
  void add(const std::string& name, const MediaBytes& content);  // block by block
  int64_t size() const;                                          // bytes so far
  // Writes the end and closes the file.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
