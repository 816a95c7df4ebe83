// What differs between LibTorch's versions, under one name. Free functions.
#pragma once

#include <tuple>

#include "cavmae/core/torch.h"

// Note [LibTorch's versions]: 1.13 (Debian 12) and 2.x. What both have is used elsewhere; what differs:
//   scaled_dot_product_attention   2.0 made it public, with flash attention on GPUs
//   _fused_adam_                   on GPUs in all; from 2.4 on the CPU too
//   c10::optional, c10::string_view   later std's: neither is named, arguments convert
//   streams and copies             c10's interface to any device, which needs no CUDA header and no CUDA to
//   build
namespace cavmae::compat {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
inline constexpr bool kFusedAdamOnCpu = true;
#else
inline constexpr bool kFusedAdamOnCpu = false;
#endif

// softmax(q k^T / sqrt(d)) v. q: [B, H, M, d]; k, v: [B, H, L, d] -> [B, H, M, d]
inline at::Tensor scaled_dot_product_attention(const at::Tensor& q, const at::Tensor& k,
                                               const at::Tensor& v) {
#if TORCH_VERSION_MAJOR >= 2
  return at::scaled_dot_product_attention(q, k, v);
#else
  return std::get<0>(at::_scaled_dot_product_attention(q, k, v));
#endif
}

}  // namespace cavmae::compat
