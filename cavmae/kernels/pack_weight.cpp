#include "cavmae/kernels/pack_weight.h"

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/kernels/instruction_set.h"

namespace cavmae::kernels {
namespace {

int64_t count_bands(const WeightPacking& p) {
  const int64_t rows_of_band = p.factor == PackedFactor::transposed ? p.block_columns : kPackedBlockRows;
  return (p.rows + rows_of_band - 1) / rows_of_band;
}

}  // namespace

bool can_pack_weights() {
  return usable_instructions() == InstructionSet::avx512_bf16 && avx512_bf16_pack_bands() != nullptr;
}

void pack_weight(const WeightPacking& packing) {
  CAVMAE_CHECK(packing.block_columns > 0 && packing.block_columns % 16 == 0,
               "weights are packed in blocks of a multiple of 16 columns, not of ", packing.block_columns);
  CAVMAE_CHECK(can_pack_weights(), "this processor cannot pack weights");
  if (packing.columns == 0) return;
  at::parallel_for(0, count_bands(packing), 1,
                   [&](int64_t begin, int64_t end) { avx512_bf16_pack_bands()(packing, begin, end); });
}

}  // namespace cavmae::kernels
