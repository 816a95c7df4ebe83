// How far tensors lie apart, in shares of their size.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

inline double difference(const torch::Tensor& got, const torch::Tensor& wanted) {
  const double size = std::max(1e-6, wanted.abs().max().item<double>());
  return (got - wanted).abs().max().item<double>() / size;
}

// Over the whole tensor's size: where a gradient is about 0, Adam makes a step of its whole learning rate out
// of rounding.
inline double difference_of_norms(const torch::Tensor& got, const torch::Tensor& wanted) {
  const auto norm = [](const torch::Tensor& x) { return x.to(torch::kFloat64).norm().item<double>(); };
  return norm(got - wanted) / std::max(1e-6, norm(wanted));
}

}  // namespace cavmae
