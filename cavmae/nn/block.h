// A pre-norm transformer block in one piece, forward and backward, without LibTorch's autograd:
//   x1 = x + proj(attention(qkv(norm1(x)))),  y = x1 + fc2(gelu(fc1(norm2(x1))))
// The residual stream x, x1, y is float; the factors of its matmuls are float or bf16. Free functions; safe
// from several threads, the backward pass only on different parameters.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/nn/linear_passes.h"

namespace cavmae {

struct LinearParameters {
  torch::Tensor weight;  // float [m, k]
  torch::Tensor bias;    // float [m]
  std::shared_ptr<kernels::PackedWeight> packed;
};

struct NormParameters {
  torch::Tensor weight, bias;  // float [D]
};

struct BlockParameters {
  NormParameters norm1, norm2;
  LinearParameters qkv, proj, fc1, fc2;
  int64_t heads = 1;
  kernels::Element element = kernels::Element::f32;  // of the factors and of what is saved
  int64_t group_values = 0;                          // of x; 0: all clips are one group
};

struct BlockInput {
  torch::Tensor x;    // float [B, L, D], dense
  torch::Tensor ids;  // int64 [B, M], each once a clip: the result's tokens; undefined: all
};

// Note [Groups of clips]: clips do not meet in a block, so a batch may go through it in groups, of which the
// caches still hold what one step writes when the next one reads it. Wide blocks do so on tiles, which outrun
// memory, one group after the other. Narrow ones, whose products are too small to be shared, do so wherever
// each thread has one: side by side, with gradients of parameters of their own, summed in order. A weight is
// packed once for all groups. Other products gain nothing (docs/performance.md).

// What the backward pass needs of the forward pass of a group of B clips. R = B * M rows, M = L without ids.
struct SavedOfGroup {
  torch::Tensor mean1, rstd1;          // float [B * L]
  torch::Tensor queries, keys_values;  // element [R, D] and [B * L, 2 * D]; without ids qkv [R, 3 * D], none
  torch::Tensor log_sum_exp;           // float [B, H, M]
  torch::Tensor attn_out;              // element [R, D], what attention gives
  torch::Tensor x1;                    // float [R, D], x1
  torch::Tensor mean2, rstd2;          // float [R]
  torch::Tensor fc1_out;               // element [R, mlp width], before GELU
};

using SavedForBackward = std::vector<SavedOfGroup>;

// -> float [B, M, D]. `saved` is null where nothing is to be kept for a backward pass.
torch::Tensor block_forward(const BlockParameters& parameters, const BlockInput& input,
                            SavedForBackward* saved);

// Note [Gradients in place]: the gradients of parameters go straight into Tensor::grad(): written where there
// is none or a fresh one, else added. Autograd would make a copy of each and add it.

// d_y: float [B, M, D], dense -> the gradient of x: float [B, L, D]. `saved` is null where nothing was kept:
// it is computed again, one group at a time.
torch::Tensor block_backward(const BlockParameters& parameters, const BlockInput& input,
                             const SavedForBackward* saved, const torch::Tensor& d_y);

// Row numbers in [B * L, ..] of the ids of each clip: int64 [B * M].
torch::Tensor flat_rows(const torch::Tensor& ids, int64_t length);

}  // namespace cavmae
