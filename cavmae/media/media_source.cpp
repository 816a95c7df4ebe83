#include "cavmae/media/media_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Throws what the file system has to say about a file that cannot be opened, or is no file.
[[noreturn]] void throw_unreadable(const fs::path& path, const std::string& quoted, int open_error) {
  const std::string name = quoted + ": ";
  std::error_code error;
  const auto status = fs::status(path, error);
  CAVMAE_CHECK_AS(MediaError, status.type() != fs::file_type::not_found, name,
                  "no such file; check the path");
  CAVMAE_CHECK_AS(MediaError, !error, name, "cannot be looked at: ", error.message());
  CAVMAE_CHECK_AS(MediaError, !fs::is_directory(status), name, "is a folder; give a file in it");
  CAVMAE_CHECK_AS(MediaError, fs::is_regular_file(status), name, "is no ordinary file");
  CAVMAE_CHECK_AS(MediaError, access(path.c_str(), R_OK) == 0, name,
                  "permission denied; make it readable (chmod +r)");
  throw MediaError(concat(name, "cannot be opened: ", std::strerror(open_error)));
}

// A descriptor of its own for each reader.
class FileBytes : public MediaBytes {
 public:
  // `quoted` names it in errors.
  FileBytes(const fs::path& path, std::string quoted) : quoted_(std::move(quoted)) {
    // Without O_NONBLOCK a pipe would wait for its writer.
    file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status {};
    if (file_ < 0 || ::fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
      const int open_error = errno;
      if (file_ >= 0) ::close(file_);
      throw_unreadable(path, quoted_, open_error);
    }
    size_ = status.st_size;
  }
  ~FileBytes() override { ::close(file_); }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  void narrow(int64_t offset, int64_t size) {
    begin_ = offset;
    size_ = size;
  }

  int64_t size() const override { return size_; }

  size_t read_at(int64_t offset, void* out, size_t count) const override {
    const auto left = static_cast<size_t>(std::max<int64_t>(0, size_ - offset));
    count = std::min(count, left);
    size_t have = 0;
    while (have < count) {
      const ssize_t n = ::pread(file_, static_cast<char*>(out) + have, count - have,
                                static_cast<off_t>(begin_ + offset) + static_cast<off_t>(have));
      if (n < 0 && errno == EINTR) continue;
      CAVMAE_CHECK_AS(MediaError, n >= 0, quoted_, ": cannot be read: ", std::strerror(errno));
      if (n == 0) break;  // it has become shorter
      have += static_cast<size_t>(n);
    }
    return have;
  }

 private:
  std::string quoted_;
  int file_ = -1;
  int64_t begin_ = 0, size_ = 0;
};

std::string absolute_name(const fs::path& path) {
  return absolute_path(path).string();
}

// Part of the keys of caches: entries that exist are found by exactly this text.
std::string file_stamp(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "missing";
  return fmt::format("{}:{}.{:09}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

class FileOrigin : public MediaOrigin {
 public:
  explicit FileOrigin(const fs::path& path) : name_(path.string()) {}

  const std::string& name() const override { return name_; }
  std::string identity() const override { return absolute_name(name_); }
  std::string stamp() const override { return file_stamp(name_); }
  bool exists() const override {
    std::error_code failed;
    return fs::exists(name_, failed);
  }
  fs::path path() const override { return name_; }
  std::unique_ptr<MediaBytes> open() const override {
    return std::make_unique<FileBytes>(name_, "'" + name_ + "'");
  }

 private:
  std::string name_;
};

class FilePartOrigin : public MediaOrigin {
 public:
  explicit FilePartOrigin(FilePart part) : part_(std::move(part)) {}

  const std::string& name() const override { return part_.name; }
  std::string identity() const override {
    return concat(absolute_name(part_.file), "[", part_.offset, "+", part_.size, "]");
  }
  std::string stamp() const override { return file_stamp(part_.file); }
  bool exists() const override {
    std::error_code failed;
    return fs::exists(part_.file, failed);
  }
  std::unique_ptr<MediaBytes> open() const override {
    const std::string quoted = concat("'", part_.name, "' (in ", part_.file.string(), ")");
    auto bytes = std::make_unique<FileBytes>(part_.file, quoted);
    CAVMAE_CHECK_AS(MediaError, part_.offset <= bytes->size() && part_.size <= bytes->size() - part_.offset,
                    quoted, ": should be ", part_.size, " bytes from byte ", part_.offset,
                    " on of a file of ", bytes->size(),
                    " bytes; the file was cut off or its index belongs to another");
    bytes->narrow(part_.offset, part_.size);
    return bytes;
  }

 private:
  FilePart part_;
};

class MemoryBytes : public MediaBytes {
 public:
  explicit MemoryBytes(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}

  int64_t size() const override { return static_cast<int64_t>(bytes_->size()); }
  size_t read_at(int64_t offset, void* out, size_t count) const override {
    const auto left = static_cast<size_t>(std::max<int64_t>(0, size() - offset));
    count = std::min(count, left);
    if (count > 0) std::memcpy(out, bytes_->data() + offset, count);
    return count;
  }

 private:
  std::shared_ptr<const std::string> bytes_;
};

class MemoryOrigin : public MediaOrigin {
 public:
  MemoryOrigin(std::shared_ptr<const std::string> bytes, std::string name)
      : bytes_(std::move(bytes)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::string stamp() const override {
    return fmt::format("{} bytes {:016x}", bytes_->size(), stable_hash(*bytes_));
  }
  std::unique_ptr<MediaBytes> open() const override { return std::make_unique<MemoryBytes>(bytes_); }

 private:
  std::shared_ptr<const std::string> bytes_;
  std::string name_;
};

}  // namespace

MediaSource MediaSource::of_file(const fs::path& path) {
  return path.empty() ? MediaSource() : MediaSource(std::make_shared<const FileOrigin>(path));
}

const MediaOrigin& MediaSource::origin() const {
  CAVMAE_CHECK(origin_ != nullptr, "a media source that names nothing was asked for its content");
  return *origin_;
}

const std::string& MediaSource::name() const {
  static const std::string none;
  return origin_ == nullptr ? none : origin_->name();
}

std::unique_ptr<MediaBytes> MediaSource::open() const {
  auto bytes = origin().open();
  CAVMAE_CHECK_AS(MediaError, bytes->size() > 0, "'", name(),
                  "': is empty (0 bytes); copy or download it again");
  return bytes;
}

bool MediaSource::operator==(const MediaSource& other) const {
  if (origin_ == other.origin_) return true;
  if (origin_ == nullptr || other.origin_ == nullptr || name() != other.name()) return false;
  return identity() == other.identity() && stamp() == other.stamp();
}

std::ostream& operator<<(std::ostream& out, const MediaSource& source) {
  return out << source.name();
}

MediaSource part_of_file(FilePart part) {
  CAVMAE_CHECK(part.offset >= 0 && part.size >= 0, "part_of_file: ", part.file.string(), " from byte ",
               part.offset, " on, ", part.size, " bytes: neither may be negative");
  return MediaSource(std::make_shared<const FilePartOrigin>(std::move(part)));
}

MediaSource media_in_memory(std::shared_ptr<const std::string> bytes, std::string name) {
  CAVMAE_CHECK(bytes != nullptr, "media_in_memory: '", name, "' comes without bytes");
  return MediaSource(std::make_shared<const MemoryOrigin>(std::move(bytes), std::move(name)));
}

MediaSource media_in_memory(std::string bytes, std::string name) {
  return media_in_memory(std::make_shared<const std::string>(std::move(bytes)), std::move(name));
}

}  // namespace cavmae
