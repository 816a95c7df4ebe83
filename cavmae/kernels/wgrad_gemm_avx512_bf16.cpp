// dW = g^T x, a sum of outer products, with AVX-512 and its instructions for bf16.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/versions.h"
#include "cavmae/kernels/wgrad_gemm.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")

namespace cavmae::kernels {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kColumnsOfG = 12, kColumnsOfX = 32, kRowStep = 16;

__mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1);
}

// Sixteen columns of two rows as pairs.
__m512i load_pairs(const Bf16* row, const Bf16* next_row, __mmask16 lanes) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, row));
  const __m512i high =
      _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(next_row == nullptr ? 0 : lanes, next_row));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// A group of pairs at a time: the cache lines of so many rows stay while all panels take from them.
template <int64_t kPanelColumns>
void pack_panels(const PanelPacking& p, int64_t begin, int64_t end) {
  constexpr int64_t kGroup = 8;
  const int64_t pairs = p.pairs();
  for (int64_t group = begin; group < end; group += kGroup) {
    Bf16* panel = p.panels;
    for (int64_t column = 0; column < p.width; column += kPanelColumns, panel += pairs * 2 * kPanelColumns)
      for (int64_t pair = group; pair < std::min(group + kGroup, end); ++pair) {
        const Bf16* const row = p.factor + (p.first + 2 * pair) * p.width + column;
        const Bf16* const next_row = 2 * pair + 1 < p.count ? row + p.width : nullptr;
        Bf16* const to = panel + pair * 2 * kPanelColumns;
        for (int64_t i = 0; i < kPanelColumns; i += kLanes)
          _mm512_mask_storeu_epi32(to + 2 * i, first_lanes(kPanelColumns - i),
                                   load_pairs(row + i, next_row == nullptr ? nullptr : next_row + i,
                                              first_lanes(std::min(p.width - column, kPanelColumns) - i)));
      }
  }
}

struct Tile {
  const Bf16 *of_g, *of_x;  // panels
  int64_t pairs;
  float* sums;
  int64_t stride, rows;  // of the sums; how many there are
  __mmask16 left, right;
  bool add, non_temporal;
};

template <int kRows, int kVecs>
void multiply_tile(const Tile& tile) {
  const __mmask16 lanes[2] = {tile.left, tile.right};
  if (!tile.non_temporal)
    for (int i = 0; i < kRows; ++i)
      for (int vec = 0; vec < kVecs; ++vec)
        __builtin_prefetch(tile.sums + std::min<int64_t>(i, tile.rows - 1) * tile.stride + vec * kLanes, 1,
                           2);
  __m512 sums[kRows][kVecs];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int vec = 0; vec < kVecs; ++vec) sums[i][vec] = _mm512_setzero_ps();
  const auto* g = reinterpret_cast<const int32_t*>(tile.of_g);
  const Bf16* x = tile.of_x;
  for (int64_t pair = 0; pair < tile.pairs; ++pair, g += kColumnsOfG, x += 2 * kColumnsOfX) {
    __m512i columns[kVecs];
#pragma GCC unroll 2
    for (int vec = 0; vec < kVecs; ++vec) columns[vec] = _mm512_load_si512(x + vec * 2 * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const auto factor = reinterpret_cast<__m512bh>(_mm512_set1_epi32(g[i]));
#pragma GCC unroll 2
      for (int vec = 0; vec < kVecs; ++vec)
        sums[i][vec] = _mm512_dpbf16_ps(sums[i][vec], factor, reinterpret_cast<__m512bh>(columns[vec]));
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    if (i >= tile.rows) break;
#pragma GCC unroll 2
    for (int vec = 0; vec < kVecs; ++vec) {
      float* const to = tile.sums + i * tile.stride + vec * kLanes;
      __m512 sum = sums[i][vec];
      if (tile.non_temporal) {
        _mm512_stream_ps(to, sum);
        continue;
      }
      if (tile.add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes[vec], to));
      _mm512_mask_storeu_ps(to, lanes[vec], sum);
    }
  }
}

template <int kRows>
void multiply_rows(const Tile& tile) {
  tile.right != 0 ? multiply_tile<kRows, 2>(tile) : multiply_tile<kRows, 1>(tile);
}

// The part of a tile, number `tile` of `tiles`.
void fetch(const Ahead& ahead, int64_t tile, int64_t tiles) {
  constexpr int64_t kLine = 64;
  const int64_t lines = ahead.bytes / kLine;
  const char* const data = static_cast<const char*>(ahead.data);
  for (int64_t line = lines * tile / tiles; line < lines * (tile + 1) / tiles; ++line)
    __builtin_prefetch(data + line * kLine, 0, 2);
}

void multiply(const PanelProduct& p, int64_t panel_of_x, int64_t begin, int64_t end) {
  const int64_t column = panel_of_x * kColumnsOfX;
  const int64_t panels_of_g = (p.m + kColumnsOfG - 1) / kColumnsOfG;
  const int64_t tiles = panels_of_g * ((p.k + kColumnsOfX - 1) / kColumnsOfX);
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t row = panel * kColumnsOfG, number = panel_of_x * panels_of_g + panel;
    fetch(p.g, number, tiles);
    fetch(p.x, number, tiles);
    const Tile tile{.of_g = p.of_g + panel * p.pairs * 2 * kColumnsOfG,
                    .of_x = p.of_x + panel_of_x * p.pairs * 2 * kColumnsOfX,
                    .pairs = p.pairs,
                    .sums = p.sums + row * p.k + column,
                    .stride = p.k,
                    .rows = std::min(kColumnsOfG, p.m - row),
                    .left = first_lanes(p.k - column),
                    .right = first_lanes(p.k - column - kLanes),
                    .add = p.add,
                    .non_temporal = p.non_temporal && column + kColumnsOfX <= p.k};
    if (tile.rows > 8) {
      multiply_rows<12>(tile);
    } else if (tile.rows > 4) {
      multiply_rows<8>(tile);
    } else {
      multiply_rows<4>(tile);
    }
  }
  _mm_sfence();
}

}  // namespace

WgradGemmKernel wgrad_gemm_avx512_bf16() {
  return {.columns_of_g = kColumnsOfG,
          .columns_of_x = kColumnsOfX,
          .row_step = kRowStep,
          .pack_g = pack_panels<kColumnsOfG>,
          .pack_x = pack_panels<kColumnsOfX>,
          .multiply = multiply};
}

}  // namespace cavmae::kernels
#endif
