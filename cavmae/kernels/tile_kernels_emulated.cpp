// The kernels on emulated tiles: the twin that tests hold the native ones to, and that they run everywhere.
#include "cavmae/kernels/emulated_tiles.h"
#include "cavmae/kernels/tile_gemm.h"

namespace cavmae::kernels {
namespace {

Bf16 value_or_zero(const TilePacking& p, int64_t row, int64_t column) {
  return row < p.rows && column < p.columns ? p.factor[row * p.columns + column] : Bf16{0};
}

// Calls put(panel of 32 columns, step, pair, column of the panel, which of the pair, value).
template <class Put>
void for_each_value(const TilePacking& p, int64_t begin, int64_t end, const Put& put) {
  for (int64_t row = begin * kTileBlock; row < end * kTileBlock; ++row)
    for (int64_t column = 0; column < tile_blocks(p.columns) * kTileBlock; ++column)
      put(column / kTileBlock, row / kTileBlock, row % kTileBlock / 2, column % kTileBlock, row % 2,
          value_or_zero(p, row, column));
}

void pack_columns(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(
      p, begin, end, [&](int64_t panel, int64_t step, int64_t pair, int64_t column, int64_t half, Bf16 v) {
        p.packed[(panel * p.steps() + step) * kTileStepUnits + column * kTileBlock + 2 * pair + half] = v;
      });
}

void pack_rows(const TilePacking& p, int64_t begin, int64_t end) {
  for_each_value(
      p, begin, end, [&](int64_t panel, int64_t step, int64_t pair, int64_t column, int64_t half, Bf16 v) {
        p.packed[(panel * p.steps() + step) * kTileStepUnits + (pair * kTileBlock + column) * 2 + half] = v;
      });
}

}  // namespace

const TileKernels& emulated_tile_kernels() {
  static constexpr TileKernels kKernels = {.name = "emulated tiles",
                                           .scratch_bytes = tile_scratch_bytes,
                                           .multiply = multiply_on_tiles<EmulatedTiles>,
                                           .pack_columns = pack_columns,
                                           .pack_rows = pack_rows};
  return kKernels;
}

}  // namespace cavmae::kernels
