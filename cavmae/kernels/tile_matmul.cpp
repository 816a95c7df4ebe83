#include "cavmae/kernels/tile_matmul.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "cavmae/core/parallel.h"
#include "cavmae/kernels/buffer.h"
#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/wgrad_gemm.h"

namespace cavmae::kernels {
namespace {

void multiply(const TileProduct& product, const TileKernels& kernels) {
  const TileGrid grid(product, at::get_num_threads());
  at::parallel_for(0, grid.of_rows * grid.of_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const TileRegion region = grid.region(product, part);
      const Buffer scratch(kernels.scratch_bytes(product, region));
      kernels.multiply(product, region, scratch.data());
    }
  });
}

TileFactor rows_of(const ConstMatrix& m) {
  const int64_t row_bytes = m.columns * bytes_of(Element::bf16);
  return {.data = static_cast<const char*>(m.data),
          .row_bytes = row_bytes,
          .lower_bytes = kTileBlock / 2 * row_bytes,
          .step_bytes = kTileBlock * bytes_of(Element::bf16),
          .rows = m.rows,
          .columns = m.columns};
}

// A weight as panels of B.
struct PanelsOfWeight : PackedWeight::Copy {
  PanelsOfWeight(const WeightRows& weight, PackedWeight::Factor factor)
      : data(tile_blocks(weight.rows) * tile_blocks(weight.columns) * kTileStepBytes) {
    source = weight.data;
    version = weight.version;
    pack_weight({.weight = weight.data,
                 .rows = weight.rows,
                 .columns = weight.columns,
                 .factor = factor == PackedWeight::Factor::of_forward ? PackedFactor::transposed
                                                                      : PackedFactor::not_transposed,
                 .block_columns = kTileBlock,
                 .packed = data.as<Bf16>(),
                 .in_file = weight.in_file});
  }
  Buffer data;
};

std::shared_ptr<const PanelsOfWeight> panels_of(const WeightRows& weight, PackedWeight::Factor factor) {
  const auto pack = [&] { return std::make_shared<PanelsOfWeight>(weight, factor); };
  if (weight.packed == nullptr) return pack();
  static constexpr const char* kBackend = "tiles";
  const auto fits = [&](const PackedWeight::Copy& copy) {
    return copy.version == weight.version && copy.source == weight.data;
  };
  return std::static_pointer_cast<const PanelsOfWeight>(weight.packed->find_or_pack(
      {.backend = kBackend, .factor = factor, .first_row = weight.first_row, .rows = weight.rows}, fits,
      pack));
}

}  // namespace

// A part reads its rows of A once and its panels of B once for all its rows.
TileGrid::TileGrid(const TileProduct& product, int64_t threads) {
  const int64_t blocks = product.row_blocks(), panels = product.panels();
  int64_t best = std::numeric_limits<int64_t>::max();
  for (int64_t rows = 1; rows <= threads; ++rows) {
    if (threads % rows != 0) continue;
    const int64_t of_rows = std::min(rows, blocks), of_panels = std::min(threads / rows, panels);
    const int64_t most_blocks = (blocks + of_rows - 1) / of_rows;
    const int64_t most_panels = (panels + of_panels - 1) / of_panels;
    // A quarter of a block's time is worth a block that is read.
    const int64_t cost = 4 * most_blocks * most_panels + most_blocks + most_panels;
    if (cost >= best) continue;
    best = cost;
    this->of_rows = of_rows, this->of_panels = of_panels;
  }
}

TileRegion TileGrid::region(const TileProduct& product, int64_t part) const {
  const int64_t row = part / of_panels, column = part % of_panels;
  const int64_t blocks = product.row_blocks(), panels = product.panels();
  return {.first_block = blocks * row / of_rows,
          .end_block = blocks * (row + 1) / of_rows,
          .first_panel = panels * column / of_panels,
          .end_panel = panels * (column + 1) / of_panels};
}

void tile_forward(const LinearForward& call, const TileKernels& kernels) {
  const auto weight = panels_of(call.weight, PackedWeight::Factor::of_forward);
  multiply({.a = rows_of(call.x),
            .b = weight->data.as<Bf16>(),
            .c = {.data = call.y.data,
                  .columns = call.y.columns,
                  .element = call.y.element,
                  .bias = call.bias,
                  .residual = call.residual}},
           kernels);
}

void tile_dgrad(const LinearDgrad& call, const TileKernels& kernels) {
  const auto weight = panels_of(call.weight, PackedWeight::Factor::of_dgrad);
  multiply({.a = rows_of(call.g),
            .b = weight->data.as<Bf16>(),
            .c = {.data = call.dx.data, .columns = call.dx.columns, .element = call.dx.element}},
           kernels);
}

void tile_wgrad(const LinearWgrad& call, const TileKernels& kernels) {
  const int64_t steps = tile_blocks(call.g.rows);
  const Buffer g(steps * tile_blocks(call.g.columns) * kTileStepBytes);
  const Buffer x(steps * tile_blocks(call.x.columns) * kTileStepBytes);
  const auto packing = [](const ConstMatrix& factor, const Buffer& packed) -> TilePacking {
    return {.data = factor.bf16(),
            .row_stride = factor.columns,
            .rows = factor.rows,
            .columns = factor.columns,
            .packed = packed.as<Bf16>()};
  };
  at::parallel_for(0, steps, 1, [&](int64_t begin, int64_t end) {
    kernels.packers().columns_as_a(packing(call.g, g), begin, end);
    kernels.packers().rows_as_b(packing(call.x, x), begin, end);
  });
  multiply({.a = {.data = g.as<char>(),
                  .row_bytes = kTileBlock * bytes_of(Element::bf16),
                  .lower_bytes = kTileStepBytes / 2,
                  .step_bytes = kTileStepBytes,
                  .block_bytes = steps * kTileStepBytes,
                  .rows = call.g.columns,
                  .columns = call.g.rows,
                  .packed = true},
            .b = x.as<Bf16>(),
            .c = {.data = call.d_weight,
                  .columns = call.x.columns,
                  .element = Element::f32,
                  .accumulate = call.accumulate,
                  .non_temporal = call.accumulate == Accumulate::no &&
                                  may_be_non_temporal(call.d_weight, call.g.columns, call.x.columns)}},
           kernels);
}

}  // namespace cavmae::kernels
