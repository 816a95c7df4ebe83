// The fused kernels under LibTorch's autograd: a block, and a linear layer, as one node each. CPU only. See
// Note [Gradients in place]: gradients of leaves are added to Tensor::grad() by the node itself, so
// torch::autograd::grad() does not see them.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/nn/block.h"
#include "cavmae/nn/compute.h"

namespace cavmae {

// The kernels that compute with `x`: those that are wanted, but for `fused`, which takes float on the CPU.
Kernels kernels_for(const torch::Tensor& x, const Compute& how);

// x: float [B, L, D]; ids: int64 [B, M] or undefined -> float [B, M, D], or [B, L, D] without ids.
// `parameters` without the element, which `how` decides.
torch::Tensor fused_block(const torch::Tensor& x, const torch::Tensor& ids, BlockParameters parameters,
                          const Compute& how);

// x W^T + b. x: float [.., k]; weight: float [m, ..], rows of k values; bias: float [m] -> float [.., m]
torch::Tensor fused_linear(const torch::Tensor& x, LinearParameters layer, const Compute& how);

}  // namespace cavmae
