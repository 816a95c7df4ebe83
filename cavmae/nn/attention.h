// Multi-head self-attention on packed queries, keys and values, softmax(q k^T / sqrt(d)) v. Free functions,
// safe from several threads.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// Note [Attention in tiles]: the M x L weights of a head are never kept. They are computed tile by tile, in
// both passes, in the registers and L1 (kernels/flash_attention.h), and every sum is taken in
// an order that does not depend on the number of threads. Other types than float and bf16, other devices and
// heads wider than kMaxHeadWidth take the plain twin.

// qkv: float or bf16 [B, L, 3 * D], queries, keys and values beside each other, each of them `heads` pieces
// of D / heads -> [B, L, D] of the same type
torch::Tensor attention(const torch::Tensor& qkv, int64_t heads);

// The same for other queries than keys. queries: [B, M, D]; kv: [B, L, 2 * D] -> [B, M, D]
torch::Tensor attention(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads);

// The same by LibTorch's scaled-dot-product attention, which on a GPU is a flash attention.
torch::Tensor attention_library(const torch::Tensor& qkv, int64_t heads);
torch::Tensor attention_library(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads);

// The twin in plain operators, which keeps the weights of all heads; for comparison and for other devices.
torch::Tensor attention_plain(const torch::Tensor& queries, const torch::Tensor& kv, int64_t heads);

}  // namespace cavmae
