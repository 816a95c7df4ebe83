// The three passes of a linear layer on tensors: y = x W^T + b, dx = g W and dW = g^T x. The tensors' front
// of kernels/matmul.h: operands are checked here. Free functions; safe from several threads on different
// outputs.
#pragma once

#include <memory>

#include "cavmae/core/torch.h"
#include "cavmae/kernels/matmul.h"

namespace cavmae {

// A matrix W [m, k], which is a parameter or some of its rows.
struct Weight {
  torch::Tensor parameter;  // float, dense, [.., ..] with rows of k values in all but the first dimension
  std::shared_ptr<kernels::PackedWeight> packed;  // of that parameter; null: packed anew each time
  int64_t first_row = 0, rows = 0;

  int64_t columns() const { return parameter.numel() / parameter.size(0); }
};
Weight whole_weight(const torch::Tensor& parameter, std::shared_ptr<kernels::PackedWeight> packed = nullptr);

// y = x W^T + bias + residual. x: element [n, k]; y: element, or float, [n, m]; bias: float [m] or
// undefined; residual: float [n, m] or undefined, only with a float y
struct LinearForward {
  torch::Tensor x;
  Weight weight;
  torch::Tensor bias;
  torch::Tensor residual;
  torch::Tensor y;
};
// dx = g W. g: element [n, m]; dx: element [n, k], or float
struct LinearDgrad {
  torch::Tensor g;
  Weight weight;
  torch::Tensor dx;
};
// dW = g^T x, put into or added to rows of the parameter's gradient. g: element [n, m]; x: element [n, k];
// d_weight: float [m, k]
struct LinearWgrad {
  torch::Tensor g;
  torch::Tensor x;
  torch::Tensor d_weight;
  kernels::Accumulate accumulate = kernels::Accumulate::no;
};

// `backend` null: the best.
void linear_forward(const LinearForward& pass, const kernels::MatmulBackend* backend = nullptr);
void linear_dgrad(const LinearDgrad& pass, const kernels::MatmulBackend* backend = nullptr);
void linear_wgrad(const LinearWgrad& pass, const kernels::MatmulBackend* backend = nullptr);

inline kernels::Element element_of(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 ? kernels::Element::f32 : kernels::Element::bf16;
}
inline torch::ScalarType scalar_type(kernels::Element element) {
  return element == kernels::Element::f32 ? torch::kFloat32 : torch::kBFloat16;
}
inline kernels::Bf16* bf16_data(const torch::Tensor& x) {
  return static_cast<kernels::Bf16*>(x.data_ptr());
}

}  // namespace cavmae
