// The matrix products of linear layers, y = x W^T + b and its two gradients, on float or bf16 operands with
// float sums. One interface over oneDNN, the BLAS under LibTorch, and bf16 by way of float. Safe from several
// threads on different outputs; works with LibTorch's threads.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/kernels/row_kernels.h"

namespace cavmae::kernels {

// Who computes. Note [bf16 products]: instructions for bf16 products are young. Without them oneDNN's own
// bf16 products are slow (AVX-512) or do not exist (AVX2); `widened` rounds the factors to bf16, widens them,
// a tile of rows at a time, and multiplies in float: the same products, at the speed of float.
enum class ProductEngine {
  blas,     // float, LibTorch's BLAS
  onednn,   // float or bf16
  widened,  // bf16 by way of float, with whichever engine float takes
};

// The engine for operands of this kind: oneDNN where AVX-512 (for bf16: AVX512-BF16) may be used and a small
// product of it comes out right, which is tried once; otherwise the BLAS, or `widened`.
ProductEngine best_product_engine(Element element);
// Those that can run here.
std::vector<ProductEngine> usable_product_engines(Element element);
std::string product_engine_name(ProductEngine engine);
// What is to be told the user about the choice, or "".
std::string product_engine_warning();

// oneDNN's packed bf16 copies of one weight, made at first use and again when the weight has changed. One a
// parameter. Safe from several threads.
class PackedWeight {
 public:
  PackedWeight();
  ~PackedWeight();
  PackedWeight(const PackedWeight&) = delete;
  PackedWeight& operator=(const PackedWeight&) = delete;

  // Lets go of them.
  void release();

  struct Copies;
  Copies& copies() { return *copies_; }

 private:
  std::unique_ptr<Copies> copies_;
};

// A matrix W [m, k], which is a parameter or some of its rows.
struct Weight {
  torch::Tensor parameter;  // float, dense, [.., ..] with rows of k values in all but the first dimension
  std::shared_ptr<PackedWeight> packed;  // of that parameter; null: packed anew each time
  int64_t first_row = 0, rows = 0;

  int64_t columns() const { return parameter.numel() / parameter.size(0); }
  const float* data() const { return parameter.data_ptr<float>() + first_row * columns(); }
};
Weight whole_weight(const torch::Tensor& parameter, std::shared_ptr<PackedWeight> packed = nullptr);

// y = x W^T + bias + residual. x: element [n, k]; y: element, or float, [n, m]; bias: float [m] or
// undefined; residual: float [n, m] or undefined, only with a float y
struct ForwardProduct {
  torch::Tensor x;
  Weight weight;
  torch::Tensor bias;
  torch::Tensor residual;
  torch::Tensor y;
};
void forward_product(const ForwardProduct& product);
void forward_product(const ForwardProduct& product, ProductEngine engine);

// dx = g W. g: element [n, m]; dx: element [n, k], or float
struct InputGradient {
  torch::Tensor g;
  Weight weight;
  torch::Tensor dx;
};
void input_gradient(const InputGradient& product);
void input_gradient(const InputGradient& product, ProductEngine engine);

// dW = g^T x, put into or added to rows of the parameter's gradient. g: element [n, m]; x: element [n, k];
// d_weight: float [m, k]
struct WeightGradient {
  torch::Tensor g;
  torch::Tensor x;
  torch::Tensor d_weight;
  Gather gather = Gather::replace;
};
void weight_gradient(const WeightGradient& product);
void weight_gradient(const WeightGradient& product, ProductEngine engine);

inline Element element_of(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 ? Element::f32 : Element::bf16;
}
inline torch::ScalarType scalar_type(Element element) {
  return element == Element::f32 ? torch::kFloat32 : torch::kBFloat16;
}
inline Bf16* bf16_data(const torch::Tensor& x) {
  return static_cast<Bf16*>(x.data_ptr());
}

}  // namespace cavmae::kernels
