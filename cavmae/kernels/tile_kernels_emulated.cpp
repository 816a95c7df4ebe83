// The kernels on emulated tiles: the twin that tests hold the native ones to, and that they run everywhere.
#include "cavmae/core/error.h"
#include "cavmae/isa/emulated_tiles.h"
#include "cavmae/kernels/tile_gemm.h"

namespace cavmae::kernels {
namespace {

// Calls put(row, column, value) for all of the blocks.
template <class Put>
void for_each_value(const TilePacking& p, int64_t begin, int64_t end, const Put& put) {
  for (int64_t row = begin * kTileBlock; row < end * kTileBlock; ++row)
    for (int64_t column = 0; column < p.column_blocks() * kTileBlock; ++column)
      put(row, column, row < p.rows && column < p.columns ? p.data[row * p.row_stride + column] : Bf16{0});
}

// Where the value of row `row` and step `k` of a block of A lies, and that of step `k` and column `column` of
// one of B.
int64_t place_in_a(int64_t row, int64_t k) {
  return row % kTileBlock * kTileBlock + k % kTileBlock;
}
int64_t place_in_b(int64_t k, int64_t column) {
  return (k % kTileBlock / 2 * kTileBlock + column % kTileBlock) * 2 + k % 2;
}

void columns_as_a(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(p, begin, end, [&](int64_t row, int64_t column, Bf16 value) {
    p.along_columns(row / kTileBlock, column / kTileBlock)[place_in_a(column, row)] = value;
  });
}

void rows_as_b(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(p, begin, end, [&](int64_t row, int64_t column, Bf16 value) {
    p.along_columns(row / kTileBlock, column / kTileBlock)[place_in_b(row, column)] = value;
  });
}

void rows_as_a(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(p, begin, end, [&](int64_t row, int64_t column, Bf16 value) {
    p.along_rows(row / kTileBlock, column / kTileBlock)[place_in_a(row, column)] = value;
  });
}

void columns_as_b(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(p, begin, end, [&](int64_t row, int64_t column, Bf16 value) {
    p.along_rows(row / kTileBlock, column / kTileBlock)[place_in_b(column, row)] = value;
  });
}

}  // namespace

const TilePackers& plain_tile_packers() {
  static constexpr TilePackers kPackers = {.columns_as_a = columns_as_a,
                                           .rows_as_b = rows_as_b,
                                           .rows_as_a = rows_as_a,
                                           .columns_as_b = columns_as_b};
  return kPackers;
}

namespace {

// Holds callers to what instructions ask for.
struct CheckedStores : PlainStores {
  static void row(float* to, const float* values) {
    CAVMAE_CHECK(reinterpret_cast<uintptr_t>(to) % kTileRowBytes == 0, "a row past the cache is not aligned");
    PlainStores::row(to, values);
  }
};

}  // namespace

const TileKernels& emulated_tile_kernels() {
  static constexpr TileKernels kKernels = {.name = "emulated tiles",
                                           .scratch_bytes = tile_scratch_bytes,
                                           .multiply = multiply_on_tiles<EmulatedTiles, CheckedStores>,
                                           .packers = plain_tile_packers};
  return kKernels;
}

}  // namespace cavmae::kernels
