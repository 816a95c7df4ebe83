// What the tests of lists and folders share: reading them, and a folder of files that nothing opens.
#pragma once

#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/read_clips.h"

#include "tests/data/toy_media.h"

namespace cavmae {

inline std::vector<ClipSource> read_all(const std::vector<std::filesystem::path>& data,
                                        const ListOptions& options = {}) {
  const auto log = null_log();
  const ClipList clips = read_clip_sources(data, *log, options);
  return {clips.begin(), clips.end()};
}

template <class Clips>
std::vector<std::string> ids(const Clips& clips) {
  std::vector<std::string> out;
  for (const auto& clip : clips) out.push_back(clip.id);
  return out;
}

// A folder with an empty file of each name; nothing here opens them.
class ListedClipsTest : public testing::Test {
 protected:
  void make_files(const std::vector<std::string>& names) {
    for (const auto& name : names) write_text(folder / name, "");
  }
  std::string error_of(const std::string& name) {
    return message_from<DataError>([&] { read_all({folder / name}); });
  }
  TemporaryFolder folder;
};

}  // namespace cavmae
