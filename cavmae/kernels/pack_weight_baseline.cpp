// Packing weights value by value, for any processor.
#include <cstdint>

#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

void pack_value(const WeightPacking& p, int64_t row, int64_t column) {
  const bool transposed = p.factor == PackedFactor::transposed;
  const int64_t k = transposed ? column : row, n = transposed ? row : column;
  const int64_t blocks_down = ((transposed ? p.columns : p.rows) + kPackedBlockRows - 1) / kPackedBlockRows;
  const int64_t block = n / p.block_columns * blocks_down + k / kPackedBlockRows;
  const int64_t pair = block * kPackedBlockRows / 2 + k % kPackedBlockRows / 2;
  Bf16* const to = p.packed + (pair * p.block_columns + n % p.block_columns) * 2 + k % 2;
  const bool inside = row < p.rows && column < p.columns;
  *to = inside ? round_to_bf16(p.weight[row * p.columns + column]) : Bf16{0};
}

int64_t rounded_up(int64_t n, int64_t size) {
  return (n + size - 1) / size * size;
}

}  // namespace

void pack_bands_baseline(const WeightPacking& packing, int64_t begin, int64_t end) {
  const bool transposed = packing.factor == PackedFactor::transposed;
  const int64_t rows_of_band = transposed ? packing.block_columns : kPackedBlockRows;
  const int64_t columns_of_band =
      rounded_up(packing.columns, transposed ? kPackedBlockRows : packing.block_columns);
  for (int64_t row = begin * rows_of_band; row < end * rows_of_band; ++row)
    for (int64_t column = 0; column < columns_of_band; ++column) pack_value(packing, row, column);
}

}  // namespace cavmae::kernels
