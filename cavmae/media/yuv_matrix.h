// The colours of YUV pictures: what their numbers mean. Private to this folder; free functions, safe from
// several threads.
#pragma once

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// R = scale (Y - black) + red_v V, G = scale (Y - black) - green_u U - green_v V, B = ... + blue_u U, with Y
// from 0 to 255 and U and V around 0.
struct YuvMatrix {
  float scale, black, red_v, green_u, green_v, blue_u;
};

// Whether the luma of YUV and grey goes from 0 to the highest number and not, as in 8 bits, from 16 to 235.
// Grey of which the file says nothing does, and grey of 8 bits.
bool has_full_range(const AVFrame& frame);

// Whether the frame's colours are such a matrix; those of YCgCo are not.
bool has_yuv_matrix(const AVFrame& frame);
YuvMatrix yuv_matrix(const AVFrame& frame);

}  // namespace cavmae
