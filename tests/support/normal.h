// Standard normal tensors for tests: the same for the same seed.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// float [sizes]
inline torch::Tensor normal(torch::IntArrayRef sizes, uint64_t seed) {
  return torch::empty(sizes).normal_(0, 1, at::detail::createCPUGenerator(seed));
}

}  // namespace cavmae
