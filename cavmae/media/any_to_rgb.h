// Pictures of any pixel format whose components can be read one by one, as RGB: YUV of 8 to 16 bits with
// chroma of every size, grey, RGB, palettes, with alpha or without. Private to this folder; safe from several
// threads.
#pragma once

#include <cstdint>

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Whether the frame is of a kind that any_to_rgb() takes. What is left are Bayer patterns, XYZ, less than 8
// bits a component, and colours that are no matrix of RGB.
bool is_readable_format(const AVFrame& frame);

// Writes uint8 [H, W, 3] to `out`. Chroma is interpolated by FFmpeg's cubic between its samples, which lie
// where the frame says (in the middle of their pixels where it says nothing), and rounded once, at the end.
// What is transparent shows white.
void any_to_rgb(const AVFrame& frame, uint8_t* out);

}  // namespace cavmae
