// What a folder holds, to tell whether anything in it was changed. Test code only.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace cavmae::testing_support {

// Every entry below `folder` with when it was written and, of a file, its size.
inline std::map<std::string, std::string> state_of(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string state = std::to_string(entry.last_write_time().time_since_epoch().count());
    if (entry.is_regular_file()) state += " " + std::to_string(entry.file_size());
    out[entry.path().string()] = state;
  }
  return out;
}

}  // namespace cavmae::testing_support
