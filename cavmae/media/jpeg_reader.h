// JPEG pictures by libjpeg-turbo, level for level what Pillow reads, without opening them as other media are.
// Private to this folder; the only user of libjpeg; safe from several threads.
#pragma once

#include <optional>
#include <string>

#include "cavmae/media/media_source.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

// The picture, not turned. Nothing when it is not an ordinary JPEG in YCbCr or grey: such
// a file is FFmpeg's, which knows more kinds. Throws MediaError with `name` when it is damaged.
std::optional<Picture> read_jpeg(const MediaBytes& source, const std::string& name);

}  // namespace cavmae
