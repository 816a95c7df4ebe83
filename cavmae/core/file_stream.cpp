#include "cavmae/core/file_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

namespace cavmae {
namespace {

constexpr uint64_t kLargestCall = uint64_t{1} << 30;  // Linux moves at most 2 GB in one call

std::string write_failure(const std::filesystem::path& path, int code) {
  std::string text = concat(path.string(), ": cannot be written: ", std::strerror(code));
  if (code == ENOSPC || code == EDQUOT)
    text += concat(" (", human_bytes(static_cast<double>(free_bytes(path))),
                   " free); free some space or choose another folder");
  if (code == EFBIG) text += "; raise the limit on file sizes (ulimit -f) or choose another folder";
  return text;
}

}  // namespace

FileReader::FileReader(const std::filesystem::path& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  CAVMAE_CHECK_AS(CheckpointError, fd_ >= 0, name(), ": cannot be opened: ", std::strerror(errno));
  struct stat info = {};
  const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  if (!regular) ::close(fd_);
  CAVMAE_CHECK_AS(CheckpointError, regular, name(), ": is not a file");
  size_ = static_cast<uint64_t>(info.st_size);
}

FileReader::~FileReader() {
  ::close(fd_);
}

std::shared_ptr<char> FileReader::map() const {
  void* bytes = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd_, 0);
  CAVMAE_CHECK_AS(CheckpointError, bytes != MAP_FAILED, name(),
                  ": cannot be mapped into memory: ", std::strerror(errno));
  return {static_cast<char*>(bytes), [size = size_](char* mapped) { ::munmap(mapped, size); }};
}

void FileReader::read(uint64_t position, void* out, uint64_t bytes) const {
  CAVMAE_CHECK_AS(CheckpointError, position <= size_ && bytes <= size_ - position, name(),
                  ": is truncated: bytes ", position, " to ", position + bytes, " are wanted of ", size_,
                  "; copy or download the file again");
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t n = ::pread(fd_, to, std::min(bytes, kLargestCall), static_cast<off_t>(position));
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK_AS(CheckpointError, n > 0, name(), ": cannot be read at byte ", position, ": ",
                    n == 0 ? "the file was cut while it was read" : std::strerror(errno));
    to += n;
    position += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
}

FileWriter::FileWriter(const std::filesystem::path& path, std::filesystem::path shown_as)
    : shown_as_(std::move(shown_as)),
      fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  CAVMAE_CHECK(fd_ >= 0, shown_as_.string(), ": cannot be created: ", std::strerror(errno));
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void FileWriter::write(const void* data, uint64_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, from, std::min(bytes, kLargestCall));
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, write_failure(shown_as_, errno));
    from += n;
    bytes -= static_cast<uint64_t>(n);
  }
}

void FileWriter::close() {
  const int result = ::close(std::exchange(fd_, -1));
  CAVMAE_CHECK(result == 0, write_failure(shown_as_, errno));
}

void require_free_space(const std::filesystem::path& path, uint64_t bytes) {
  const auto available = free_bytes(path);
  CAVMAE_CHECK(available >= bytes, path.string(),
               ": not enough space on the disk: ", human_bytes(static_cast<double>(bytes)), " are needed, ",
               human_bytes(static_cast<double>(available)),
               " are free; free some space or choose another folder");
}

}  // namespace cavmae
