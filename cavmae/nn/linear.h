// Linear layers in either precision, with gradients. Free functions, safe from several threads, and the
// module that holds a layer's parameters.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/nn/block.h"
#include "cavmae/nn/compute.h"

namespace cavmae {

// How LibTorch's operators multiply bf16 factors, see Note [bf16 matmul]: its own bf16 products are fast only
// where the CPU has instructions for them, and many times slower than fp32 elsewhere. `via_fp32` rounds the
// factors to bf16 and multiplies them in fp32: the same products, summed in fp32, at the speed of fp32.
enum class Bf16Matmul { native, via_fp32 };

// `native` where this process may use instructions for bf16 products: those of AVX512-BF16, which AMX comes
// with.
Bf16Matmul bf16_matmul_of_this_cpu();

// x W^T + b in LibTorch's operators, the twin of fused_linear(). The result and all gradients are float; in
// bf16 the factors of every matmul, in the backward pass too, are rounded to bf16 (and native products also
// round their results). x: float [.., n]; weight: float [m, n]; bias: float [m] -> float [.., m]
torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     Precision precision);
torch::Tensor linear_bf16(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                          Bf16Matmul how);

// The same by LibTorch's bf16 product with the bias in its epilogue: result, activations and gradients of x
// are bf16, as under autocast; the gradients of weight and bias are float. x: float or bf16 [.., n] -> bf16
// [.., m]
torch::Tensor linear_in_bf16(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

// What a layer returns: float, or what its kernels computed in, for a layer that follows.
enum class ResultType { fp32, as_computed };

// x W^T + b by the kernels of `how` that are not fused.
torch::Tensor unfused_linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                             const Compute& how, ResultType result);

class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t inputs, int64_t outputs);
  torch::Tensor forward(const torch::Tensor& x, const Compute& how, ResultType result = ResultType::fp32);
  LinearParameters parameters_for_kernels() const { return {weight, bias, packed_}; }

  torch::Tensor weight;  // float [outputs, inputs]
  torch::Tensor bias;    // float [outputs]

 private:
  std::shared_ptr<kernels::PackedWeight> packed_ = std::make_shared<kernels::PackedWeight>();
};
TORCH_MODULE(Linear);

}  // namespace cavmae
