#include "cavmae/core/file_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {

FileLock::FileLock(const std::filesystem::path& path) {
  std::error_code failed;
  const int how = std::filesystem::is_directory(path, failed) ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT;
  fd_ = ::open(path.c_str(), how | O_CLOEXEC, 0666);
  CAVMAE_CHECK(fd_ >= 0, path.string(), ": cannot be created: ", std::strerror(errno));
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

FileLock::~FileLock() {
  ::close(fd_);
}

}  // namespace cavmae
