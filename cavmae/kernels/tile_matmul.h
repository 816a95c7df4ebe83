// The matrix products of linear layers on tiles: threads, packing and scratch around tile_kernels.h. bf16
// factors. Note [Tile GEMM].
#pragma once

#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/tile_kernels.h"

namespace cavmae::kernels {

void tile_forward(const LinearForward& call, const TileKernels& kernels);
void tile_dgrad(const LinearDgrad& call, const TileKernels& kernels);
void tile_wgrad(const LinearWgrad& call, const TileKernels& kernels);

// Into how many parts of rows and of panels a product goes: one for each thread, each as even as can be, and
// cut so that they read little.
struct TileGrid {
  int64_t of_rows = 1, of_panels = 1;

  TileGrid(const TileProduct& product, int64_t threads);
  TileRegion region(const TileProduct& product, int64_t part) const;
};

}  // namespace cavmae::kernels
