// Decoding that another process does. An interface that a MediaOrigin gives, whose source is then never
// opened here; safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/media/media_reader.h"

namespace cavmae {

// Each answers as the function of media_reader.h that is named beside it, and throws MediaError likewise.
class MediaDecoding {
 public:
  virtual ~MediaDecoding() = default;

  virtual MediaInfo probe(const MediaChoice& choice) const = 0;                             // probe_media
  virtual std::vector<float> audio(const AudioRequest& request, bool* has_gaps) const = 0;  // read_audio
  virtual std::vector<Picture> squares(const std::vector<double>& times_seconds, int64_t size_px,
                                       const MediaChoice& choice) const = 0;     // read_squares
  virtual Picture square(int64_t size_px, const MediaChoice& choice) const = 0;  // read_square
};

}  // namespace cavmae
