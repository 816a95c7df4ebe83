// A folder of its own for a test, removed at the end.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace cavmae {

class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("cavmae-core-" + std::to_string(::getpid()) + "-" + std::to_string(next()))) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static unsigned next() {
    static std::atomic<unsigned> counter{0};
    return counter.fetch_add(1);
  }
  std::filesystem::path path_;
};

// What `f` throws as an `E`, or a text that no error has.
template <class E, class F>
std::string message_from(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "(nothing was thrown)";
}

}  // namespace cavmae
