// Fixed 2-D sin-cos position embeddings, as He et al., CVPR 2022, use them for images. Free function.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/nn/patches.h"

namespace cavmae {

// The first half of the width codes the column, the second half the row; each half is [sin(p w), cos(p w)]
// with w_i = 10000^(-i / (width / 4)). Computed in double. `width` is a multiple of 4.
// -> float [1, rows * columns, width]
torch::Tensor sincos_positions(int64_t width, const PatchGrid& grid);

}  // namespace cavmae
