// Cutting a part out of a film or a recording, to be shown. A free function; safe from several threads on
// different files.
#pragma once

#include <cstdint>

#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {

struct FilmCut {
  MediaSource pictures, sound;                 // empty where there is none
  const MediaInfo* info = nullptr;             // of `pictures`
  double start_seconds = 0.0, seconds = 10.0;  // at least a second is written
  int64_t max_width_px = 0;                    // wider pictures are made smaller; 0: none are
  double max_frame_rate_hz = 60.0;
};

// A writer that has got the part, for the caller to finish: sound in one channel at 48 kHz, pictures at their
// own rate, with sides of even numbers of pixels. A single picture is shown for the length of the part.
// Throws MediaError.
std::unique_ptr<VideoWriter> write_film_cut(const FilmCut& cut, const std::filesystem::path& path,
                                            VideoContainer container);

}  // namespace cavmae
