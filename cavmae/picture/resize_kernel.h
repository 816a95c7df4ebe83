// The two passes of the resize over SIMD lanes; included once by each version's .cpp, which sets the
// processor's features and CAVMAE_RESIZE_ROWS / _COLUMNS before. See Note [Resize in 8 bits].

#include <cstdint>
#include <cstring>

#include "cavmae/picture/resize_plan.h"

// Every function that takes a vector is inlined: how one would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"
#define CAVMAE_INLINE inline __attribute__((always_inline))

namespace cavmae {
namespace {

constexpr int kLanes = 8;
constexpr int kPointBits = 22;
using VInt = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using VByte = uint8_t __attribute__((vector_size(kLanes)));

// Eight bytes as integers, and back from fixed point to 8 bits (half was added before). Compilers take
// vectors of bytes apart, hence the intrinsics where it counts.
#if defined(CAVMAE_RESIZE_AVX2)
CAVMAE_INLINE VInt load_bytes(const uint8_t* source) {
  return reinterpret_cast<VInt>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(source))));
}
CAVMAE_INLINE VByte to_bytes(VInt fixed_point) {
  const __m256i levels = reinterpret_cast<__m256i>(fixed_point >> kPointBits);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(levels), _mm256_extracti128_si256(levels, 1));
  const __m128i bytes = _mm_packus_epi16(words, words);
  VByte result;
  std::memcpy(&result, &bytes, sizeof(result));
  return result;
}
#else
CAVMAE_INLINE VInt load_bytes(const uint8_t* source) {
  VByte bytes;
  std::memcpy(&bytes, source, sizeof(bytes));
  return __builtin_convertvector(bytes, VInt);
}
CAVMAE_INLINE VByte to_bytes(const VInt& fixed_point) {
  VInt levels = fixed_point >> kPointBits;
  levels = levels > 0 ? levels : VInt{};
  levels = levels < 255 ? levels : VInt{} + 255;
  return __builtin_convertvector(levels, VByte);
}
#endif

CAVMAE_INLINE VInt load_taps(const int32_t* source) {
  VInt taps;
  std::memcpy(&taps, source, sizeof(taps));
  return taps;
}

// One output pixel: two input pixels (RGBRGB and two strangers, whose taps are 0) at a time.
CAVMAE_INLINE void resize_pixel(const uint8_t* source, const int32_t* taps, int64_t num_pairs,
                                uint8_t* target) {
  VInt sum = {};
  for (int64_t i = 0; i < num_pairs; ++i) sum += load_bytes(source + 6 * i) * load_taps(taps + kLanes * i);
  // The second pixel's share joins the first's; what the other lanes hold is never looked at, but must not
  // overflow.
  sum += __builtin_shufflevector(sum, VInt{}, 3, 4, 5, 8, 8, 8, 8, 8) + (1 << (kPointBits - 1));
  const VByte bytes = to_bytes(sum);
  std::memcpy(target, &bytes, 4);  // the fourth byte is overwritten by the next pixel
}

}  // namespace

void CAVMAE_RESIZE_ROWS(const ResizePass& pass) {
  constexpr int64_t kRowsAtOnce = 4;
  const ResizeTaps& taps = *pass.taps;
  const auto num_outputs = static_cast<int64_t>(taps.first.size());
  for (int64_t row = 0; row < pass.num_rows; row += kRowsAtOnce) {
    const int64_t end = row + kRowsAtOnce < pass.num_rows ? row + kRowsAtOnce : pass.num_rows;
    for (int64_t x = 0; x < num_outputs; ++x) {
      const int32_t* pixel_taps = taps.paired.data() + kLanes * (x * taps.num_taps / 2);
      const int64_t num_pairs = (taps.count[static_cast<size_t>(x)] + 1) / 2;
      const uint8_t* source = pass.source + 3 * taps.first[static_cast<size_t>(x)];
      for (int64_t y = row; y < end; ++y)
        resize_pixel(source + y * pass.source_stride, pixel_taps, num_pairs,
                     pass.target + y * pass.target_stride + 3 * x);
    }
  }
}

void CAVMAE_RESIZE_COLUMNS(const ResizePass& pass) {
  const ResizeTaps& taps = *pass.taps;
  const auto num_outputs = static_cast<int64_t>(taps.first.size());
  for (int64_t y = 0; y < num_outputs; ++y) {
    const int32_t* row_taps = taps.taps.data() + y * taps.num_taps;
    const int32_t count = taps.count[static_cast<size_t>(y)];
    const uint8_t* source = pass.source + taps.first[static_cast<size_t>(y)] * pass.source_stride;
    uint8_t* target = pass.target + y * pass.target_stride;
    int64_t x = 0;
    for (; x + 2 * kLanes <= pass.row_bytes; x += 2 * kLanes) {
      VInt left = VInt{} + (1 << (kPointBits - 1)), right = left;
      for (int32_t t = 0; t < count; ++t) {
        const uint8_t* bytes = source + t * pass.source_stride + x;
        left += load_bytes(bytes) * row_taps[t];
        right += load_bytes(bytes + kLanes) * row_taps[t];
      }
      const VByte low = to_bytes(left), high = to_bytes(right);
      std::memcpy(target + x, &low, kLanes);
      std::memcpy(target + x + kLanes, &high, kLanes);
    }
    for (; x < pass.row_bytes; ++x) {
      int32_t sum = 1 << (kPointBits - 1);
      for (int32_t t = 0; t < count; ++t) sum += source[t * pass.source_stride + x] * row_taps[t];
      sum >>= kPointBits;
      target[x] = static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
  }
}

}  // namespace cavmae
