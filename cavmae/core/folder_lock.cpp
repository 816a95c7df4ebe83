#include "cavmae/core/folder_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& while_taken)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  CAVMAE_CHECK(fd_ >= 0, folder.string(), ": cannot be opened: ", std::strerror(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  throw ConfigError(concat(folder.string(), ": ", while_taken));
}

FolderLock::~FolderLock() {
  ::close(fd_);
}

}  // namespace cavmae
