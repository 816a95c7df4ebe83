// An input as a list of clips. Private to the fuzzers of lists.
#pragma once

#include <cstdint>
#include <string>

#include "cavmae/data/read_clips.h"

#include "tests/fuzz/fuzz_input.h"

namespace cavmae::fuzz {

// Reads the input as --data does where the list is called `name`. The lists of the seeds name a.wav, which
// exists beside it.
inline void read_as_list(const std::string& name, std::string_view text) {
  static const InputFolder folder;
  static const auto media = folder.write("a.wav", "RIFF");
  const auto path = folder.write(name, text);
  expect_own_errors(name, [&] {
    for (const ClipSource& clip : read_clip_sources({path}, *null_log())) {
      if (clip.id.empty()) fail("a clip without an id");
      if (clip.audio.empty() && clip.video.empty() && clip.frames.empty()) fail("a clip without a file");
    }
  });
}

}  // namespace cavmae::fuzz
