// Multi-head self-attention on packed queries, keys and values, softmax(q k^T / sqrt(d)) v. Free functions,
// safe from several threads.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// Note [Attention in tiles]: the L x L weights of a head are never kept. They are computed tile by tile, in
// both passes, each head by one thread, so that a tile stays in the cache and the result does not depend on
// the number of threads.

// qkv: float [B, L, 3 * D], queries, keys and values beside each other, each of them `heads` pieces of D /
// heads
// -> float [B, L, D]
torch::Tensor attention(const torch::Tensor& qkv, int64_t heads);

// The same for other queries than keys. queries: float [B, M, D]; kv: float [B, L, 2 * D] -> float [B, M, D]
torch::Tensor attention(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads);

// The twin in plain operators, which keeps the weights of all heads; for comparison and for other devices.
torch::Tensor attention_plain(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads);

}  // namespace cavmae
