// What one media file may ask for. A file beyond it is damaged or made to fill the memory, and is refused by
// name. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cavmae {

inline constexpr int64_t kMaxPixels = int64_t{1} << 27;  // of a picture; 400 MB as RGB
inline constexpr int kMaxChannels = 512;
inline constexpr int kMaxSampleRateHz = 12'288'000;  // 256 times that of a studio
inline constexpr unsigned kMaxStreams = 256;
inline constexpr double kMaxSeconds = 1e7;                             // 115 days
inline constexpr size_t kMaxBytesAtOnce = size_t{1152} * 1024 * 1024;  // kMaxPixels of four times 16 bits

}  // namespace cavmae
