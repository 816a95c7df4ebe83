#include "cavmae/kernels/products.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/kernels/onednn_products.h"
#include "cavmae/kernels/outer_products.h"

namespace cavmae::kernels {
namespace {

constexpr int64_t kTileRows = 1024;  // rows that are widened at a time

// How bf16 products by oneDNN fared when they were tried; "" where they may be used.
const std::string& onednn_bf16_trouble() {
  static const std::string trouble = [] {
    if (usable_instructions() < InstructionSet::avx512) return std::string("it has no bf16 products");
    return try_onednn_bf16();
  }();
  return trouble;
}

ProductEngine float_engine() {
  return best_product_engine(Element::f32);
}

// ---- float by the BLAS

void blas_forward(const ForwardProduct& p) {
  const auto weight = at::from_blob(const_cast<float*>(p.weight.data()), {p.weight.rows, p.weight.columns()},
                                    p.weight.parameter.options().requires_grad(false));
  auto y = p.y;
  const bool prefilled = p.bias.defined() || p.residual.defined();
  if (prefilled)
    add_rows({.bias = p.bias.defined() ? p.bias.data_ptr<float>() : nullptr,
              .residual = p.residual.defined() ? p.residual.data_ptr<float>() : nullptr,
              .y = y.data_ptr(),
              .rows = y.size(0),
              .width = y.size(1)});
  at::addmm_out(y, y, p.x, weight.t(), prefilled ? 1 : 0, 1);
}

void blas_input_gradient(const InputGradient& p) {
  const auto weight = at::from_blob(const_cast<float*>(p.weight.data()), {p.weight.rows, p.weight.columns()},
                                    p.weight.parameter.options().requires_grad(false));
  auto dx = p.dx;
  at::addmm_out(dx, dx, p.g, weight, 0, 1);
}

void blas_weight_gradient(const WeightGradient& p) {
  auto d_weight = p.d_weight;
  at::addmm_out(d_weight, d_weight, p.g.t(), p.x, p.gather == Gather::add ? 1 : 0, 1);
}

// ---- bf16 by way of float

torch::Tensor widened(const torch::Tensor& x) {  // bf16 [n, k] -> float [n, k]
  auto wide = at::empty(x.sizes(), x.options().dtype(torch::kFloat32));
  widen(bf16_data(x), wide.data_ptr<float>(), x.numel());
  return wide;
}

// The weight with its values rounded to bf16.
Weight rounded(const Weight& weight) {
  auto values = at::empty({weight.rows, weight.columns()}, torch::kFloat32);
  round_to_bf16_values(weight.data(), values.data_ptr<float>(), values.numel());
  return whole_weight(values);
}

// Calls work(first row, rows) for tiles of `rows` rows.
template <class Work>
void for_tiles(int64_t rows, const Work& work) {
  for (int64_t row = 0; row < rows; row += kTileRows) work(row, std::min(kTileRows, rows - row));
}

void widened_forward(const ForwardProduct& p) {
  const Weight weight = rounded(p.weight);
  const bool to_float = element_of(p.y) == Element::f32;
  for_tiles(p.x.size(0), [&](int64_t row, int64_t n) {
    auto y = p.y.narrow(0, row, n);
    const auto wide = to_float ? y : at::empty(y.sizes(), torch::kFloat32);
    forward_product({.x = widened(p.x.narrow(0, row, n)),
                     .weight = weight,
                     .bias = to_float ? p.bias : torch::Tensor(),
                     .residual = p.residual.defined() ? p.residual.narrow(0, row, n) : torch::Tensor(),
                     .y = wide},
                    float_engine());
    if (!to_float)
      add_rows({.x = wide.data_ptr<float>(),
                .bias = p.bias.defined() ? p.bias.data_ptr<float>() : nullptr,
                .y = y.data_ptr(),
                .rows = n,
                .width = y.size(1),
                .element = Element::bf16});
  });
}

void widened_input_gradient(const InputGradient& p) {
  const Weight weight = rounded(p.weight);
  for_tiles(p.g.size(0), [&](int64_t row, int64_t n) {
    auto dx = p.dx.narrow(0, row, n);
    const bool to_float = element_of(dx) == Element::f32;
    const auto wide = to_float ? dx : at::empty(dx.sizes(), torch::kFloat32);
    input_gradient({.g = widened(p.g.narrow(0, row, n)), .weight = weight, .dx = wide}, float_engine());
    if (!to_float) round_to_bf16(wide.data_ptr<float>(), bf16_data(dx), dx.numel());
  });
}

void widened_weight_gradient(const WeightGradient& p) {
  Gather gather = p.gather;
  for_tiles(p.g.size(0), [&](int64_t row, int64_t n) {
    weight_gradient({.g = widened(p.g.narrow(0, row, n)),
                     .x = widened(p.x.narrow(0, row, n)),
                     .d_weight = p.d_weight,
                     .gather = gather},
                    float_engine());
    gather = Gather::add;
  });
}

void check_operand(const char* name, const torch::Tensor& x) {
  CAVMAE_CHECK(x.dim() == 2 && x.is_contiguous() && x.is_cpu() &&
                   (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16),
               "a product's ", name, " is ", x.toString(), " ", x.sizes(),
               "; it must be a dense float or bfloat16 matrix");
}

void check_sizes(bool fit, const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& c) {
  CAVMAE_CHECK(fit, "the operands of a product do not fit: ", a.sizes(), ", ", b.sizes(), " and ", c.sizes());
}

}  // namespace

ProductEngine best_product_engine(Element element) {
  const InstructionSet usable = usable_instructions();
  if (element == Element::f32)
    return usable >= InstructionSet::avx512 && has_onednn() ? ProductEngine::onednn : ProductEngine::blas;
  if (usable == InstructionSet::avx512_bf16 && onednn_bf16_trouble().empty()) return ProductEngine::onednn;
  return ProductEngine::widened;
}

std::vector<ProductEngine> usable_product_engines(Element element) {
  const bool f32 = element == Element::f32;
  std::vector<ProductEngine> engines = {f32 ? ProductEngine::blas : ProductEngine::widened};
  if (f32 ? has_onednn() : onednn_bf16_trouble().empty()) engines.push_back(ProductEngine::onednn);
  return engines;
}

std::string product_engine_name(ProductEngine engine) {
  switch (engine) {
    case ProductEngine::blas:
      return "BLAS";
    case ProductEngine::onednn:
      return "oneDNN";
    case ProductEngine::widened:
      return "float products of rounded factors";
  }
  throw Error("no such product engine");
}

std::string product_engine_warning() {
  if (usable_instructions() != InstructionSet::avx512_bf16 || onednn_bf16_trouble().empty()) return "";
  return concat("this processor has bf16 products, but oneDNN's are not used: ", onednn_bf16_trouble(),
                "; bf16 runs at the speed of fp32");
}

Weight whole_weight(const torch::Tensor& parameter, std::shared_ptr<PackedWeight> packed) {
  CAVMAE_CHECK(parameter.is_contiguous() && parameter.scalar_type() == torch::kFloat32 &&
                   parameter.is_cpu() && parameter.dim() >= 2,
               "a weight is ", parameter.toString(), " ", parameter.sizes(), "; it must be dense float");
  return {.parameter = parameter, .packed = std::move(packed), .first_row = 0, .rows = parameter.size(0)};
}

void forward_product(const ForwardProduct& p) {
  forward_product(p, best_product_engine(element_of(p.x)));
}

void forward_product(const ForwardProduct& p, ProductEngine engine) {
  check_operand("input", p.x);
  check_operand("result", p.y);
  check_sizes(
      p.x.size(0) == p.y.size(0) && p.x.size(1) == p.weight.columns() && p.y.size(1) == p.weight.rows &&
          (!p.bias.defined() || p.bias.numel() == p.weight.rows) &&
          (!p.residual.defined() || (p.residual.sizes() == p.y.sizes() && element_of(p.y) == Element::f32)),
      p.x, p.weight.parameter, p.y);
  if (p.y.numel() == 0) return;
  switch (engine) {
    case ProductEngine::blas:
      return blas_forward(p);
    case ProductEngine::onednn:
      return onednn_forward(p);
    case ProductEngine::widened:
      return widened_forward(p);
  }
}

void input_gradient(const InputGradient& p) {
  input_gradient(p, best_product_engine(element_of(p.g)));
}

void input_gradient(const InputGradient& p, ProductEngine engine) {
  check_operand("gradient", p.g);
  check_operand("input gradient", p.dx);
  check_sizes(
      p.g.size(0) == p.dx.size(0) && p.g.size(1) == p.weight.rows && p.dx.size(1) == p.weight.columns(), p.g,
      p.weight.parameter, p.dx);
  if (p.dx.numel() == 0) return;
  switch (engine) {
    case ProductEngine::blas:
      return blas_input_gradient(p);
    case ProductEngine::onednn:
      return onednn_input_gradient(p);
    case ProductEngine::widened:
      return widened_input_gradient(p);
  }
}

void weight_gradient(const WeightGradient& p) {
  weight_gradient(p, best_product_engine(element_of(p.g)));
}

void weight_gradient(const WeightGradient& p, ProductEngine engine) {
  check_operand("gradient", p.g);
  check_operand("input", p.x);
  check_operand("weight gradient", p.d_weight);
  check_sizes(p.g.size(0) == p.x.size(0) && p.g.size(1) == p.d_weight.size(0) &&
                  p.x.size(1) == p.d_weight.size(1) && p.g.scalar_type() == p.x.scalar_type(),
              p.g, p.x, p.d_weight);
  if (p.g.size(0) == 0) {
    if (p.gather == Gather::replace) torch::Tensor(p.d_weight).zero_();
    return;
  }
  switch (engine) {
    case ProductEngine::blas:
      return blas_weight_gradient(p);
    case ProductEngine::onednn:
      if (element_of(p.x) == Element::bf16 && can_sum_outer_products())
        return sum_outer_products({.g = bf16_data(p.g),
                                   .x = bf16_data(p.x),
                                   .n = p.g.size(0),
                                   .m = p.g.size(1),
                                   .k = p.x.size(1),
                                   .sums = p.d_weight.data_ptr<float>(),
                                   .gather = p.gather});
      return onednn_weight_gradient(p);
    case ProductEngine::widened:
      return widened_weight_gradient(p);
  }
}

}  // namespace cavmae::kernels
