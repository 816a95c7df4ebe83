#include "cavmae/kernels/pack_weight.h"

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/isa/kernel_table.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

using PackBands = void (*)(const WeightPacking& packing, int64_t begin, int64_t end);

const auto& packing_versions() {
  static const std::vector<KernelVersion<PackBands>> kPackingVersions = {
      {"baseline", Isa::baseline, pack_bands_baseline},
#ifdef CAVMAE_X86_KERNELS
      {"avx512_bf16", Isa::avx512_bf16, pack_bands_avx512_bf16},
#endif
  };
  return kPackingVersions;
}

int64_t count_bands(const WeightPacking& p) {
  const int64_t rows_of_band = p.factor == PackedFactor::transposed ? p.block_columns : kPackedBlockRows;
  return (p.rows + rows_of_band - 1) / rows_of_band;
}

}  // namespace

const char* weight_packing_in_use() {
  return best_version(packing_versions())->name;
}

void pack_weight(const WeightPacking& packing) {
  CAVMAE_CHECK(packing.block_columns > 0 && packing.block_columns % 16 == 0,
               "weights are packed in blocks of a multiple of 16 columns, not of ", packing.block_columns);
  const auto* const version = best_version(packing_versions());
  if (packing.columns == 0) return;
  at::parallel_for(0, count_bands(packing), 1,
                   [&](int64_t begin, int64_t end) { version->functions(packing, begin, end); });
}

}  // namespace cavmae::kernels
