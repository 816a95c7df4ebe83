// What attention on tiles computes with: packed heads, products of blocks, blocks that are written.
// Included by each version's .cpp after its Simd type; everything in it is of that file.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/attention_forward.h"
#include "cavmae/kernels/tile_kernels.h"

// Note [Attention on tiles]: one body over a type V that says
//   Tiles        NativeTiles or EmulatedTiles
//   Simd         sixteen floats: Avx512Pairs or PlainPairs, equal bit for bit as the tiles are
//   packers()    the packing of blocks
//   of_floats()  the version for operands of float
// Everything is cut into blocks of 32 x 32 with zeros past the edges. A block of sums stays in four tiles, as
// in Note [Tile GEMM], and goes through scratch that L1 holds to the vector units and, as weights in bf16,
// back into tiles. What a block of queries needs of a whole head, which L1 does not hold, is loaded past L1.

namespace cavmae::kernels {
namespace {

constexpr int64_t kSumsOfBlock = kTileBlock * kTileBlock;
constexpr int64_t kUnitsOfBlock = kTileStepUnits / 2;  // pairs of bf16
constexpr int64_t kUnitsOfRow = kTileBlock / 2;        // of a row of a block of A
constexpr int64_t kUnitsOfTile = kUnitsOfBlock / 2;    // 16 rows of one
constexpr int64_t kSumsRowBytes = kTileBlock * 4, kRowBytesOfA = kUnitsOfRow * 4,
                  kRowBytesOfB = kTileBlock * 4;

// Sums of a block, in tiles 0 to 3: left and right of the upper rows, then of the lower.
template <class Tiles>
struct BlockSums {
  CAVMAE_INLINE static void zero() {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
  }
  CAVMAE_INLINE static void load(const float* sums) { load_tiles(sums, kSumsRowBytes, kLower); }
  // Each row is this one, [32].
  CAVMAE_INLINE static void load_repeated(const float* row) { load_tiles(row, 0, 0); }
  CAVMAE_INLINE static void store(float* sums) {
    Tiles::template store<0>(sums, kSumsRowBytes);
    Tiles::template store<1>(sums + kRight, kSumsRowBytes);
    Tiles::template store<2>(sums + kLower, kSumsRowBytes);
    Tiles::template store<3>(sums + kLower + kRight, kSumsRowBytes);
  }
  // Adds A B: a block of A that L1 holds, one of B that it holds or that is taken past it.
  template <bool kPastL1>
  CAVMAE_INLINE static void add_product(const uint32_t* a, const uint32_t* b) {
    load_b<6, kPastL1>(b);
    Tiles::template load<4>(a, kRowBytesOfA);
    Tiles::template multiply<0, 4, 6>();
    load_b<7, kPastL1>(b + kRight);
    Tiles::template multiply<1, 4, 7>();
    Tiles::template load<5>(a + kUnitsOfTile, kRowBytesOfA);
    Tiles::template multiply<2, 5, 6>();
    Tiles::template multiply<3, 5, 7>();
  }

 private:
  static constexpr int64_t kRight = kTileBlock / 2, kLower = kSumsOfBlock / 2;

  template <int kTile, bool kPastL1>
  CAVMAE_INLINE static void load_b(const uint32_t* b) {
    kPastL1 ? Tiles::template load_past_l1<kTile>(b, kRowBytesOfB)
            : Tiles::template load<kTile>(b, kRowBytesOfB);
  }
  CAVMAE_INLINE static void load_tiles(const float* sums, int64_t row_bytes, int64_t lower) {
    Tiles::template load<0>(sums, row_bytes);
    Tiles::template load<1>(sums + kRight, row_bytes);
    Tiles::template load<2>(sums + lower, row_bytes);
    Tiles::template load<3>(sums + lower + kRight, row_bytes);
  }
};

// Packs `rows` rows of a head by one of V's packers.
template <class V>
void pack_head(void (*TilePackers::*way)(const TilePacking&, int64_t, int64_t), const ConstHeadRows& source,
               int64_t rows, int64_t width, uint32_t* packed) {
  const TilePacking packing{.data = static_cast<const Bf16*>(source.data),
                            .row_stride = source.row_stride,
                            .rows = rows,
                            .columns = width,
                            .packed = reinterpret_cast<Bf16*>(packed)};
  (V::packers().*way)(packing, 0, packing.row_blocks());
}

// The first and the second values of sixteen pairs in bf16.
template <class S>
CAVMAE_INLINE void widen_pairs(const uint32_t* pairs, typename S::Vec& first, typename S::Vec& second) {
  typename S::Bits bits;
  std::memcpy(&bits, pairs, sizeof(bits));
  first = reinterpret_cast<typename S::Vec>(bits << 16);
  second = reinterpret_cast<typename S::Vec>(bits & static_cast<int32_t>(0xffff0000u));
}

// The products of sixteen rows with the same rows of another matrix, one a lane. Both are blocks of A, the
// steps of a row one after the other.
template <class S>
typename S::Vec products_of_rows(const uint32_t* a, const uint32_t* b, int64_t steps) {
  typename S::Vec products[S::kLanes] = {};
  for (int64_t row = 0; row < S::kLanes; ++row)
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t at = step * kUnitsOfBlock + row * kUnitsOfRow;
      typename S::Vec first, second, other_first, other_second;
      widen_pairs<S>(a + at, first, second);
      widen_pairs<S>(b + at, other_first, other_second);
      products[row] = products[row] + first * other_first + second * other_second;
    }
  return sums_of<S>(products);
}

// Where a block of sums becomes rows of a head: how many rows and columns of it there are.
struct BlockPlace {
  HeadRows to;
  int64_t row = 0, rows = 0, column = 0, columns = 0;

  BlockPlace(const HeadRows& target, int64_t row_block, int64_t all_rows, int64_t column_block, int64_t width)
      : to(target),
        row(row_block * kTileBlock),
        rows(std::min(kTileBlock, all_rows - row)),
        column(column_block * kTileBlock),
        columns(std::min(kTileBlock, width - column)) {}
};

// Writes the sums in bf16, each row times its factor.
template <class S, class Factor>
CAVMAE_INLINE void write_block(const float* sums, const BlockPlace& place, const Factor& factor_of) {
  for (int64_t row = 0; row < place.rows; ++row, sums += kTileBlock) {
    const typename S::Vec factor = S::set(factor_of(row));
    alignas(64) uint32_t rounded[kUnitsOfRow];
    S::store_units(rounded, S::load_floats(sums) * factor, S::load_floats(sums + S::kLanes) * factor);
    auto* const to =
        static_cast<uint16_t*>(place.to.data) + (place.row + row) * place.to.row_stride + place.column;
    if (place.columns == kTileBlock)
      std::memcpy(to, rounded, sizeof(rounded));
    else
      std::memcpy(to, rounded, static_cast<size_t>(place.columns) * sizeof(*to));
  }
}

template <class S>
void transpose_block(const float* sums, float* transposed) {
  static_assert(2 * S::kLanes == kTileBlock);
  for (int64_t row = 0; row < kTileBlock; row += S::kLanes)
    for (int64_t column = 0; column < kTileBlock; column += S::kLanes) {
      typename S::Vec x[S::kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < S::kLanes; ++i) x[i] = S::load_floats(sums + (row + i) * kTileBlock + column);
      transpose<S>(x);
#pragma GCC unroll 16
      for (int i = 0; i < S::kLanes; ++i) S::store(transposed + (column + i) * kTileBlock + row, x[i]);
    }
}

}  // namespace
}  // namespace cavmae::kernels
