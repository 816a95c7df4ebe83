// The alpha plane of an AVIF picture, which is a picture of its own in the file that FFmpeg does not read.
// Private to this folder; free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cavmae/media/media_source.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

struct AvifAlpha {
  Picture opacity;             // in all three channels
  bool premultiplied = false;  // the colours are what is left of them
};

// Nothing of what is no AVIF picture, and of one without alpha. Throws MediaError with `name` when it is
// damaged.
std::optional<AvifAlpha> read_avif_alpha(const MediaBytes& source, const std::string& name);

// The picture as it looks on white paper. An alpha plane of another size changes nothing.
Picture on_white(const Picture& picture, const AvifAlpha& alpha);

}  // namespace cavmae
