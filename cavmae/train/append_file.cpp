#include "cavmae/train/append_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {

AppendFile::AppendFile(const std::filesystem::path& path, int64_t keep_bytes) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  CAVMAE_CHECK(fd_ >= 0, path.string(), ": cannot be opened for writing: ", std::strerror(errno));
  size_ = ::lseek(fd_, 0, SEEK_END);
  if (size_ <= keep_bytes) return;
  if (::ftruncate(fd_, keep_bytes) != 0) {
    const int code = errno;
    ::close(fd_);
    throw Error(concat(path.string(), ": cannot be cut to ", keep_bytes, " bytes: ", std::strerror(code)));
  }
  size_ = keep_bytes;
}

AppendFile::~AppendFile() {
  ::close(fd_);
}

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, path_.string(), ": cannot write: ", std::strerror(errno),
                 "; free some space and go on with --resume");
    bytes.remove_prefix(static_cast<size_t>(n));
    size_ += n;
  }
}

void AppendFile::sync() {
  CAVMAE_CHECK(::fsync(fd_) == 0 || errno == EINVAL, path_.string(),
               ": cannot be flushed to the disk: ", std::strerror(errno));
}

}  // namespace cavmae
