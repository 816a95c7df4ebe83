// The size that a JPEG states, without decoding it. Private to this folder; a free function, safe from
// several threads.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/media/media_source.h"

namespace cavmae {

struct JpegSize {
  int64_t width = 0, height = 0;
};

// Nothing when the bytes do not begin as a JPEG does, or end before its size.
std::optional<JpegSize> jpeg_size(const MediaBytes& source);

}  // namespace cavmae
