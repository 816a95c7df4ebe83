#include "cavmae/core/file_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

int open_to_lock(const std::filesystem::path& path) {
  std::error_code failed;
  const int how = std::filesystem::is_directory(path, failed) ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT;
  const int fd = ::open(path.c_str(), how | O_CLOEXEC, 0666);
  CAVMAE_CHECK(fd >= 0, path.string(), ": cannot be opened: ", std::strerror(errno));
  return fd;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path) : fd_(open_to_lock(path)) {
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

FileLock::FileLock(const std::filesystem::path& path, const std::string& while_taken)
    : fd_(open_to_lock(path)) {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  throw ConfigError(concat(path.string(), ": ", while_taken));
}

FileLock::~FileLock() {
  ::close(fd_);
}

}  // namespace cavmae
