// Matrices as tiles take them, packed with AVX-512.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/tile_kernels.h"

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

// 32 values of a row; zeros where there are none.
__m512i values(const TilePacking& p, int64_t row, int64_t column) {
  const __mmask32 columns = row < p.rows ? first_columns(p.columns - column) : 0;
  return _mm512_maskz_loadu_epi16(columns, p.data + row * p.row_stride + column);
}

// Two rows' 32 values.
struct RowPair {
  __m512i first, second;

  RowPair(const TilePacking& p, int64_t row, int64_t column)
      : first(values(p, row, column)), second(values(p, row + 1, column)) {}
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

// Calls pack(first row, first column of a block, where it goes).
template <class Place, class Pack>
void for_each_block(const TilePacking& p, int64_t begin, int64_t end, const Place& place, const Pack& pack) {
  for (int64_t row = begin; row < end; ++row)
    for (int64_t column = 0; column < p.column_blocks(); ++column)
      pack(row * kTileBlock, column * kTileBlock, (p.*place)(row, column));
}

void columns_as_a(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_block(p, begin, end, &TilePacking::along_columns, [&](int64_t row, int64_t column, Bf16* to) {
    __m512i left[kPairs], right[kPairs];
#pragma GCC unroll 16
    for (int pair = 0; pair < kPairs; ++pair) {
      const RowPair rows(p, row + 2 * pair, column);
      left[pair] = rows.left(), right[pair] = rows.right();
    }
    transpose(left), transpose(right);
#pragma GCC unroll 16
    for (int i = 0; i < kPairs; ++i) {
      _mm512_store_si512(to + i * kTileBlock, left[i]);
      _mm512_store_si512(to + (kPairs + i) * kTileBlock, right[i]);
    }
  });
}

void rows_as_b(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_block(p, begin, end, &TilePacking::along_columns, [&](int64_t row, int64_t column, Bf16* to) {
    for (int pair = 0; pair < kPairs; ++pair) {
      const RowPair rows(p, row + 2 * pair, column);
      _mm512_store_si512(to + pair * 2 * kTileBlock, rows.left());
      _mm512_store_si512(to + pair * 2 * kTileBlock + kTileBlock, rows.right());
    }
  });
}

void rows_as_a(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_block(p, begin, end, &TilePacking::along_rows, [&](int64_t row, int64_t column, Bf16* to) {
    for (int64_t i = 0; i < kTileBlock; ++i)
      _mm512_store_si512(to + i * kTileBlock, values(p, row + i, column));
  });
}

void columns_as_b(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_block(p, begin, end, &TilePacking::along_rows, [&](int64_t row, int64_t column, Bf16* to) {
    for (int half = 0; half < 2; ++half) {
      __m512i pairs[kPairs];
#pragma GCC unroll 16
      for (int i = 0; i < kPairs; ++i) pairs[i] = values(p, row + half * kPairs + i, column);
      transpose(pairs);
#pragma GCC unroll 16
      for (int pair = 0; pair < kPairs; ++pair)
        _mm512_store_si512(to + (2 * pair + half) * kTileBlock, pairs[pair]);
    }
  });
}

}  // namespace

const TilePackers& avx512_tile_packers() {
  static constexpr TilePackers kPackers = {.columns_as_a = columns_as_a,
                                           .rows_as_b = rows_as_b,
                                           .rows_as_a = rows_as_a,
                                           .columns_as_b = columns_as_b};
  return kPackers;
}

}  // namespace cavmae::kernels
#endif
