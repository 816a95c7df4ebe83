#include "cavmae/kernels/pack_weight.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/isa/kernel_table.h"
#include "cavmae/kernels/buffer.h"
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

// Bands of a transposed factor are whole rows of W and what they become lies together, so that each is packed
// as a weight of its own.
void pack_bands_of_file(const WeightPacking& p, PackBands pack, int64_t begin, int64_t end) {
  const int64_t bytes_of_row = p.columns * static_cast<int64_t>(sizeof(float));
  const int64_t blocks_down = (p.columns + kPackedBlockRows - 1) / kPackedBlockRows;
  const Buffer rows(p.block_columns * bytes_of_row);
  for (int64_t band = begin; band < end; ++band) {
    const int64_t first = band * p.block_columns;
    WeightPacking of_band = p;
    of_band.weight = rows.as<float>();
    of_band.rows = std::min(p.block_columns, p.rows - first);
    of_band.packed = p.packed + band * blocks_down * kPackedBlockRows * p.block_columns;
    p.in_file->file->read(p.in_file->position + static_cast<uint64_t>(first * bytes_of_row), rows.data(),
                          static_cast<uint64_t>(of_band.rows * bytes_of_row));
    pack(of_band, 0, 1);
  }
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
  const bool from_file = packing.in_file && packing.factor == PackedFactor::transposed;
  at::parallel_for(0, count_bands(packing), 1, [&](int64_t begin, int64_t end) {
    from_file ? pack_bands_of_file(packing, version->functions, begin, end)
              : version->functions(packing, begin, end);
  });
}

}  // namespace cavmae::kernels
