// Reading of pictures at given times, with a count of the work done. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/media/media_reader.h"

namespace cavmae {

struct FrameStats {
  int64_t packets = 0;    // handed to the decoder
  int64_t decoded = 0;    // pictures that came out of it
  int64_t converted = 0;  // pictures turned into RGB
  int64_t seeks = 0;
};

// As read_frames() of media_reader.h; adds to `stats`.
std::vector<Picture> read_frames(const MediaSource& source, const std::vector<double>& times_seconds,
                                 FrameStats& stats, const MediaChoice& choice = {},
                                 const MediaTimes* times = nullptr);

}  // namespace cavmae
