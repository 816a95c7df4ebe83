#include "cavmae/nn/linear.h"

#include "cavmae/isa/isa.h"
#include "cavmae/nn/fused_block.h"
#include "cavmae/nn/unset_parameters.h"

namespace cavmae {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

torch::Tensor to_bf16(const torch::Tensor& x) {
  return x.to(torch::kBFloat16);
}

// a @ b of bf16 factors, as float.
torch::Tensor matmul_bf16(const torch::Tensor& a, const torch::Tensor& b, Bf16Matmul how) {
  if (how == Bf16Matmul::native) return at::mm(a, b).to(torch::kFloat32);
  return at::mm(a.to(torch::kFloat32), b.to(torch::kFloat32));
}

class LinearBf16 : public torch::autograd::Function<LinearBf16> {
 public:
  // x: float [n, in]
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, int64_t how_number) {
    const auto how = static_cast<Bf16Matmul>(how_number);
    const auto x16 = to_bf16(x), weight16 = to_bf16(weight);
    context->save_for_backward({x16, weight16});
    context->saved_data["how"] = how_number;
    return matmul_bf16(x16, weight16.t(), how).add_(bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto& x16 = saved[0];
    const auto& weight16 = saved[1];
    const auto how = static_cast<Bf16Matmul>(context->saved_data["how"].toInt());
    const auto gradient16 = to_bf16(gradients[0]);
    torch::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = matmul_bf16(gradient16, weight16, how);
    if (context->needs_input_grad(1)) of_weight = matmul_bf16(gradient16.t(), x16, how);
    if (context->needs_input_grad(2)) of_bias = gradients[0].sum(0);
    return {of_x, of_weight, of_bias, {}};
  }
};

}  // namespace

Bf16Matmul bf16_matmul_of_this_cpu() {
  return usable_isa().has(Isa::avx512_bf16) ? Bf16Matmul::native : Bf16Matmul::via_fp32;
}

torch::Tensor linear_bf16(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                          Bf16Matmul how) {
  if (x.dim() == 2) return LinearBf16::apply(x, weight, bias, static_cast<int64_t>(how));
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const auto rows = x.reshape({-1, weight.size(1)});
  return LinearBf16::apply(rows, weight, bias, static_cast<int64_t>(how)).view(shape);
}

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     Precision precision) {
  if (precision == Precision::fp32) return at::linear(x, weight, bias);
  return linear_bf16(x, weight, bias, x.is_cpu() ? bf16_matmul_of_this_cpu() : Bf16Matmul::native);
}

LinearImpl::LinearImpl(int64_t inputs, int64_t outputs)
    : weight(register_parameter("weight", new_weight({outputs, inputs}))),
      bias(register_parameter("bias", torch::zeros({outputs}))) {}

torch::Tensor linear_in_bf16(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  return at::linear(to_bf16(x), to_bf16(weight), to_bf16(bias));
}

torch::Tensor unfused_linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                             const Compute& how, ResultType result) {
  if (how.precision == Precision::fp32 || kernels_for(x, how) == Kernels::plain)
    return linear(x, weight, bias, how.precision);
  const auto y = linear_in_bf16(x, weight, bias);
  return result == ResultType::fp32 ? y.to(torch::kFloat32) : y;
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x, const Compute& how, ResultType result) {
  if (kernels_for(x, how) == Kernels::fused) return fused_linear(x, parameters_for_kernels(), how);
  return unfused_linear(x, weight, bias, how, result);
}

}  // namespace cavmae
