// How a stored picture is turned and mirrored before it is shown, as a stream's display matrix or a photo's
// EXIF data ask. Private to this folder; free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_source.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

// One of the eight ways that a rectangle fits itself.
struct Orientation {
  bool transpose = false;                               // rows become columns; before the flips
  bool flip_horizontal = false, flip_vertical = false;  // left and right, top and bottom change places

  // The same as a mirror, left to right, and a clockwise turn after it.
  bool is_mirrored() const { return transpose != (flip_horizontal != flip_vertical); }
  int64_t rotation_degrees() const;  // 0, 90, 180 or 270

  bool operator==(const Orientation&) const = default;
};

Picture turned(const Picture& picture, const Orientation& orientation);

// By the stream's display matrix, whose nearest orientation is taken; upright where it has none.
Orientation orientation_of(const AVStream& stream);
// By the matrix that came with the frame itself, which goes before the stream's.
Orientation orientation_of(const AVFrame& frame, const Orientation& of_stream);

// By the turn and the mirror that an AVIF picture's own boxes ask for, which FFmpeg 5.1 does not tell;
// nothing of any other file.
std::optional<Orientation> avif_orientation(const MediaBytes& source);

// By the EXIF data of a JPEG, PNG, WebP or TIFF file; upright for anything else and where there are none.
Orientation exif_orientation(const MediaBytes& source);

}  // namespace cavmae
