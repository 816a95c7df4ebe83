// What the fuzzers share: an input as a file, and the rule that everything wrong with it is an error of the
// program's own that names it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae::fuzz {

[[noreturn]] inline void fail(const std::string& problem) {
  std::fprintf(stderr, "fuzzer: %s\n", problem.c_str());
  std::abort();
}

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A folder that lives as long as the program, and files in it that are written anew for each input.
class InputFolder {
 public:
  InputFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cavmae-fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail("cannot make " + pattern);
    path_ = pattern;
  }
  ~InputFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::filesystem::path& name, std::string_view bytes) const {
    const std::filesystem::path path = path_ / name;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) fail("cannot write " + path.string());
    const bool whole = ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    ::close(file);
    if (!whole) fail("cannot write " + path.string());
    return path;
  }

 private:
  std::filesystem::path path_;
};

// Runs `read`, which may throw an Error that contains `name` and has a bearable length, and nothing else.
template <class Read>
void expect_own_errors(std::string_view name, const Read& read) {
  constexpr size_t kLongestMessage = 20'000;
  try {
    read();
  } catch (const Error& error) {
    const std::string_view what = error.what();
    if (what.find(name) == std::string_view::npos)
      fail("an error that does not name the file: " + std::string(what.substr(0, 500)));
    if (what.size() > kLongestMessage) fail("an error of " + std::to_string(what.size()) + " letters");
  }
}

}  // namespace cavmae::fuzz
