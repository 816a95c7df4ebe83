#include "cavmae/core/files.h"

#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

std::string reason(int code) {
  return std::strerror(code);
}

// A name that no other process or thread uses; it stands beside the target so that the rename stays on one
// disk.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  fs::path name = path;
  name += fmt::format(".tmp-{}-{}", ::getpid(), counter.fetch_add(1));
  return name;
}

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, path.string(), ": cannot write: ", reason(errno),
                 errno == ENOSPC ? "; free some space or choose another folder" : "");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::string read_text(const fs::path& path) {
  CAVMAE_CHECK(!fs::is_directory(path), path.string(), ": is a folder, a file was expected");
  std::ifstream in(path, std::ios::binary);
  CAVMAE_CHECK(in, path.string(), ": cannot be opened: ", reason(errno));
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  CAVMAE_CHECK(!in.bad(), path.string(), ": cannot be read: ", reason(errno));
  return text;
}

void sync_to_disk(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  CAVMAE_CHECK(fd >= 0, path.string(), ": cannot be opened: ", reason(errno));
  const int result = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  // Some file systems do not sync folders; that is no loss of the file itself.
  CAVMAE_CHECK(result == 0 || code == EINVAL, path.string(),
               ": cannot be flushed to the disk: ", reason(code));
}

void write_file_with(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = temporary_beside(path);
  try {
    write(temporary);
    sync_to_disk(temporary);
    std::error_code failed;
    fs::rename(temporary, path, failed);
    CAVMAE_CHECK(!failed, path.string(), ": cannot be put into place: ", failed.message());
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_to_disk(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void write_file(const fs::path& path, std::string_view bytes) {
  write_file_with(path, [&](const fs::path& temporary) {
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CAVMAE_CHECK(fd >= 0, path.string(), ": cannot be created: ", reason(errno));
    try {
      write_all(fd, bytes, path);
    } catch (...) {
      ::close(fd);
      throw;
    }
    CAVMAE_CHECK(::close(fd) == 0, path.string(), ": cannot write: ", reason(errno));
  });
}

void make_directories(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  CAVMAE_CHECK(!failed && fs::is_directory(path), path.string(),
               ": cannot make this folder: ", failed ? failed.message() : "a file of this name exists",
               "; choose another --out or remove it");
}

std::uintmax_t free_bytes(const fs::path& path) {
  fs::path existing = fs::absolute(path);
  while (!fs::exists(existing) && existing.has_relative_path()) existing = existing.parent_path();
  std::error_code failed;
  const auto space = fs::space(existing, failed);
  return failed ? static_cast<std::uintmax_t>(-1) : space.available;
}

std::string human_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1000 && unit + 1 < std::size(kUnits)) bytes /= 1000, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit >= 3 ? 1 : 0, kUnits[unit]);
}

}  // namespace cavmae
