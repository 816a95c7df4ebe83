// Decoded sound as one channel of floats, and its conversion to another sample rate. Private to this folder;
// free functions, safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {

// Writes samples [first, first + count) of the frame's channels, of which one is made, to `out`, in [-1, 1].
// False when the sample format is not known.
bool copy_mono(const AVFrame& frame, ChannelMix channels, int64_t first, int64_t count, float* out);

// Resamples a whole signal; output sample j lies at the time of input sample j * from_hz / to_hz.
std::vector<float> resample(const std::vector<float>& samples, int64_t from_hz, int64_t to_hz);

}  // namespace cavmae
