// Reading of a window of sound, with a count of the work done. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/media/audio_seeking.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {

struct AudioStats {
  int64_t seeks = 0;
  int64_t counted = 0;   // packets that were passed over without decoding them
  int64_t decoded = 0;   // frames
  int64_t restarts = 0;  // where passing over did not arrive at a place that is known for sure
  int64_t gaps = 0;      // within windows, where packets could not be decoded
};

// As read_audio(source, request) of media_reader.h; adds to `stats`. `skip` replaces what suits the file.
std::vector<float> read_audio(const MediaSource& source, const AudioRequest& request, AudioStats& stats,
                              std::optional<SoundSkip> skip = std::nullopt);

}  // namespace cavmae
