// What is comparable of parameters after some steps of Adam.
#pragma once

#include <string>

#include "cavmae/core/torch.h"

namespace cavmae::testing_support {

// Note [Key bias]: a bias of the keys adds the same to all products of a query, and softmax does not see it.
// Its gradient is zero but for rounding, and Adam, which divides by the gradient's own size, makes steps of
// its whole learning rate out of that rounding: no two orders of summation agree on it.

// The parameter without its key bias, where it has one.
inline torch::Tensor without_key_bias(const std::string& name, const torch::Tensor& parameter) {
  if (!name.ends_with("attn.qkv.bias")) return parameter.detach();
  const auto thirds = parameter.detach().chunk(3);
  return at::cat({thirds[0], thirds[2]});
}

}  // namespace cavmae::testing_support
