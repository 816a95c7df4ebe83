// Packing weights with AVX-512 and its instructions for bf16.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")

namespace cavmae::kernels {
namespace {

constexpr int64_t kBlockRows = kPackedBlockRows, kLanes = 16;

__mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1);
}

__m512i round_pair(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Sixteen rows of sixteen units of 32 bits.
void transpose(__m512i (&x)[kLanes]) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  for (int stage = 0; stage < 4; ++stage) {
    __m512i zipped[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      zipped[2 * i] = _mm512_permutex2var_epi32(x[i], low, x[i + kLanes / 2]);
      zipped[2 * i + 1] = _mm512_permutex2var_epi32(x[i], high, x[i + kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) x[i] = zipped[i];
  }
}

class Packer {
 public:
  explicit Packer(const WeightPacking& packing)
      : p_(packing),
        depth_(packing.factor == PackedFactor::transposed ? packing.columns : packing.rows),
        width_(packing.factor == PackedFactor::transposed ? packing.rows : packing.columns),
        blocks_down_((depth_ + kBlockRows - 1) / kBlockRows) {}

  void pack_band(int64_t band) const {
    if (p_.factor == PackedFactor::transposed) {
      for (int64_t down = 0; down < blocks_down_; ++down) pack_transposed(down, band);
    } else {
      for (int64_t across = 0; across * p_.block_columns < width_; ++across) pack_rows(band, across);
    }
  }

 private:
  Bf16* block(int64_t down, int64_t across) const {
    return p_.packed + (across * blocks_down_ + down) * kBlockRows * p_.block_columns;
  }

  // Values k, k + 1 of a row of W are a pair: sixteen rows by sixteen pairs are turned.
  void pack_transposed(int64_t down, int64_t across) const {
    Bf16* const to = block(down, across);
    const int64_t first_k = down * kBlockRows, left = depth_ - first_k;
    const __mmask16 low = first_lanes(left), high = first_lanes(left - kLanes);
    for (int64_t column = 0; column < p_.block_columns; column += kLanes) {
      __m512i x[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t row = across * p_.block_columns + column + i;
        const float* const from = p_.weight + std::min(row, width_ - 1) * p_.columns + first_k;
        const bool inside = row < width_;
        // Rows lie far apart: the processor does not see the next block coming.
        __builtin_prefetch(from + 2 * kBlockRows, 0, 2);
        __builtin_prefetch(from + 2 * kBlockRows + kLanes, 0, 2);
        x[i] = round_pair(_mm512_maskz_loadu_ps(inside ? low : 0, from),
                          _mm512_maskz_loadu_ps(inside ? high : 0, from + kLanes));
      }
      transpose(x);
      for (int64_t pair = 0; pair < kLanes; ++pair)
        _mm512_store_si512(to + (pair * p_.block_columns + column) * 2, x[pair]);
    }
  }

  // Two rows of W are neighbours in a pair.
  void pack_rows(int64_t down, int64_t across) const {
    Bf16* const to = block(down, across);
    const __m512i neighbours = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                                23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t pair = 0; pair < kBlockRows / 2; ++pair) {
      const int64_t row = down * kBlockRows + 2 * pair, rows = depth_ - row;
      for (int64_t column = 0; column < p_.block_columns; column += kLanes) {
        const int64_t first = across * p_.block_columns + column;
        const __mmask16 lanes = first_lanes(width_ - first);
        const float* const from = p_.weight + std::min(row, depth_ - 1) * p_.columns + first;
        __builtin_prefetch(from + 2 * p_.block_columns, 0, 2);
        __builtin_prefetch(from + p_.columns + 2 * p_.block_columns, 0, 2);
        const __m512 upper = _mm512_maskz_loadu_ps(rows > 0 ? lanes : 0, from);
        const __m512 lower = _mm512_maskz_loadu_ps(rows > 1 ? lanes : 0, rows > 1 ? from + p_.columns : from);
        _mm512_store_si512(to + (pair * p_.block_columns + column) * 2,
                           _mm512_permutexvar_epi16(neighbours, round_pair(upper, lower)));
      }
    }
  }

  WeightPacking p_;
  int64_t depth_, width_;  // K, N
  int64_t blocks_down_;
};

}  // namespace

void pack_bands_avx512_bf16(const WeightPacking& packing, int64_t begin, int64_t end) {
  const Packer packer(packing);
  for (int64_t band = begin; band < end; ++band) packer.pack_band(band);
}

}  // namespace cavmae::kernels
#endif
