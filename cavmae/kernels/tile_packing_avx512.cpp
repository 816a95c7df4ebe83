// Factors of a sum over rows as tiles take them, packed with AVX-512.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cavmae/kernels/tile_kernels.h"
#include "cavmae/machine/isa.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")

namespace cavmae::kernels {
namespace {

constexpr int kPairs = 16;

__mmask32 first_columns(int64_t n) {
  return n >= kTileBlock ? 0xffffffffu : n <= 0 ? 0u : (uint32_t{1} << n) - 1;
}

// Two rows' 32 values of a panel; zeros where there are none.
struct RowPair {
  __m512i first, second;

  RowPair(const TilePacking& p, int64_t row, int64_t column) {
    const __mmask32 columns = first_columns(p.columns - column);
    const Bf16* const at = p.factor + row * p.columns + column;
    first = _mm512_maskz_loadu_epi16(row < p.rows ? columns : 0, at);
    second = _mm512_maskz_loadu_epi16(row + 1 < p.rows ? columns : 0, at + p.columns);
  }
  // Values of columns 0 to 15, and 16 to 31, side by side.
  __m512i left() const { return zipped(0); }
  __m512i right() const { return zipped(16); }

 private:
  __m512i zipped(short column) const {
    alignas(64) short order[32];
    for (short i = 0; i < 16; ++i) order[2 * i] = column + i, order[2 * i + 1] = 32 + column + i;
    return _mm512_permutex2var_epi16(first, _mm512_load_si512(order), second);
  }
};

// Sixteen rows of sixteen pairs.
void transpose(__m512i (&x)[kPairs]) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
    __m512i zipped[kPairs];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs / 2; ++i) {
      zipped[2 * i] = _mm512_permutex2var_epi32(x[i], low, x[i + kPairs / 2]);
      zipped[2 * i + 1] = _mm512_permutex2var_epi32(x[i], high, x[i + kPairs / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kPairs; ++i) x[i] = zipped[i];
  }
}

}  // namespace

void pack_tile_columns_avx512(const TilePacking& p, int64_t begin, int64_t end) {
  for (int64_t step = begin; step < end; ++step)
    for (int64_t panel = 0; panel < tile_blocks(p.columns); ++panel) {
      __m512i left[kPairs], right[kPairs];
#pragma GCC unroll 16
      for (int pair = 0; pair < kPairs; ++pair) {
        const RowPair rows(p, step * kTileBlock + 2 * pair, panel * kTileBlock);
        left[pair] = rows.left(), right[pair] = rows.right();
      }
      transpose(left), transpose(right);
      Bf16* const to = p.packed + (panel * p.steps() + step) * kTileStepUnits;
#pragma GCC unroll 16
      for (int column = 0; column < kPairs; ++column) {
        _mm512_store_si512(to + column * kTileBlock, left[column]);
        _mm512_store_si512(to + (kPairs + column) * kTileBlock, right[column]);
      }
    }
}

void pack_tile_rows_avx512(const TilePacking& p, int64_t begin, int64_t end) {
  for (int64_t step = begin; step < end; ++step)
    for (int64_t panel = 0; panel < tile_blocks(p.columns); ++panel) {
      Bf16* const to = p.packed + (panel * p.steps() + step) * kTileStepUnits;
      for (int pair = 0; pair < kPairs; ++pair) {
        const RowPair rows(p, step * kTileBlock + 2 * pair, panel * kTileBlock);
        _mm512_store_si512(to + pair * 2 * kTileBlock, rows.left());
        _mm512_store_si512(to + pair * 2 * kTileBlock + kTileBlock, rows.right());
      }
    }
}

}  // namespace cavmae::kernels
#endif
