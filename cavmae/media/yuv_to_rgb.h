// Planar YUV pictures of 8 bits as RGB, with the chroma interpolated. Private to this folder; safe from
// several threads.
#pragma once

#include <cstdint>

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Whether the frame is of a kind that yuv_to_rgb() takes: 8 bits, chroma as large as the luma or half.
bool is_plain_yuv(const AVFrame& frame);

// Note [Chroma]
// FFmpeg's scaler either repeats chroma samples or is slow and a little off. JPEG decoders, and so the
// pictures that models are trained on, interpolate linearly between the four nearest chroma samples (weights
// 9, 3, 3, 1 of 16 where the samples lie between pixels), round to 8 bits, and then change colours. This does
// the same for pictures and for videos, whose chroma lies on every second pixel of a row.
//
// Writes uint8 [H, W, 3] to `out`, which has room for one byte more.
void yuv_to_rgb(const AVFrame& frame, uint8_t* out);

}  // namespace cavmae
