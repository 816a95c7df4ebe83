#include "cavmae/search/folder_watch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/stop_signal.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t kChanges =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::chrono::milliseconds kSignalInterval{200};  // between looks at the stop signal

}  // namespace

FolderWatch::FolderWatch(const std::vector<fs::path>& paths)
    : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  CAVMAE_CHECK(fd_ >= 0, "folders cannot be watched: ", std::strerror(errno));
  for (const fs::path& path : paths) {
    std::error_code failed;
    if (!fs::is_directory(path, failed)) {
      watch(folder_of(path));
      continue;
    }
    watch(path);
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator it(path, options, failed), end; it != end; it.increment(failed))
      if (!failed && it->is_directory(failed)) watch(it->path());
  }
}

FolderWatch::~FolderWatch() {
  ::close(fd_);
}

void FolderWatch::watch(const fs::path& folder) {
  if (::inotify_add_watch(fd_, folder.c_str(), kChanges) >= 0) {
    ++num_folders_;
    return;
  }
  CAVMAE_CHECK(
      errno != ENOSPC, folder.string(), ": the system gives no more watches after ", num_folders_,
      " folders; raise fs.inotify.max_user_watches, or run cavmae index from time to time without --watch");
}

// Whether there were any.
bool FolderWatch::read_events(std::chrono::milliseconds timeout) {
  pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, static_cast<int>(timeout.count())) <= 0) return false;
  alignas(inotify_event) char buffer[1 << 16];
  while (::read(fd_, buffer, sizeof buffer) > 0) {
  }
  return true;
}

bool FolderWatch::wait(std::chrono::milliseconds quiet, std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + timeout;
  auto last_change = Clock::time_point::max();
  while (!StopSignal::requested()) {
    if (read_events(std::min(quiet, kSignalInterval))) last_change = Clock::now();
    const bool has_changed = last_change != Clock::time_point::max();
    if (has_changed && Clock::now() - last_change >= quiet) return true;
    if (!has_changed && Clock::now() >= end) return false;
  }
  return false;
}

}  // namespace cavmae
