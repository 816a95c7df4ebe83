// Layer normalisation: the parameters as a module, computed in fp32.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

class LayerNormImpl : public torch::nn::Module {
 public:
  explicit LayerNormImpl(int64_t width)
      : weight(register_parameter("weight", torch::ones({width}))),
        bias(register_parameter("bias", torch::zeros({width}))) {}

  torch::Tensor forward(const torch::Tensor& x) {
    constexpr double kEpsilon = 1e-5;
    return at::layer_norm(x, weight.sizes(), weight, bias, kEpsilon);
  }

  torch::Tensor weight, bias;  // float [D]
};
TORCH_MODULE(LayerNorm);

}  // namespace cavmae
