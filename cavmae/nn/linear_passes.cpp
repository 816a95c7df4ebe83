#include "cavmae/nn/linear_passes.h"

#include <optional>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/mapped_tensor.h"

namespace cavmae {
namespace {

using kernels::Element;
using kernels::Matrix;

Matrix matrix(const char* name, const torch::Tensor& x) {
  CAVMAE_CHECK(x.dim() == 2 && x.is_contiguous() && x.is_cpu() &&
                   (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16),
               "a matmul's ", name, " is ", x.toString(), " ", x.sizes(),
               "; it must be a dense float or bfloat16 matrix");
  return {.data = x.data_ptr(), .rows = x.size(0), .columns = x.size(1), .element = element_of(x)};
}

const float* floats_or_null(const torch::Tensor& x) {
  return x.defined() ? x.data_ptr<float>() : nullptr;
}

kernels::WeightRows rows_of(const Weight& weight) {
  std::optional<PlaceInFile> in_file = place_in_file(weight.parameter);
  if (in_file)
    in_file->position += sizeof(float) * static_cast<uint64_t>(weight.first_row * weight.columns());
  return {.data = weight.parameter.data_ptr<float>() + weight.first_row * weight.columns(),
          .rows = weight.rows,
          .columns = weight.columns(),
          .packed = weight.packed.get(),
          .first_row = weight.first_row,
          .version = static_cast<int64_t>(weight.parameter._version()),
          .in_file = std::move(in_file)};
}

void check_sizes(bool fit, const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& c) {
  CAVMAE_CHECK(fit, "the operands of a matmul do not fit: ", a.sizes(), ", ", b.sizes(), " and ", c.sizes());
}

}  // namespace

Weight whole_weight(const torch::Tensor& parameter, std::shared_ptr<kernels::PackedWeight> packed) {
  CAVMAE_CHECK(parameter.is_contiguous() && parameter.scalar_type() == torch::kFloat32 &&
                   parameter.is_cpu() && parameter.dim() >= 2,
               "a weight is ", parameter.toString(), " ", parameter.sizes(), "; it must be dense float");
  return {.parameter = parameter, .packed = std::move(packed), .first_row = 0, .rows = parameter.size(0)};
}

void linear_forward(const LinearForward& pass, const kernels::MatmulBackend* backend) {
  const kernels::LinearForward call{.x = matrix("input", pass.x),
                                    .weight = rows_of(pass.weight),
                                    .bias = floats_or_null(pass.bias),
                                    .residual = floats_or_null(pass.residual),
                                    .y = matrix("result", pass.y)};
  const bool bias_fits = !pass.bias.defined() || pass.bias.numel() == pass.weight.rows;
  const bool residual_fits =
      !pass.residual.defined() || (pass.residual.sizes() == pass.y.sizes() && call.y.element == Element::f32);
  check_sizes(call.x.rows == call.y.rows && call.x.columns == call.weight.columns &&
                  call.y.columns == call.weight.rows && bias_fits && residual_fits,
              pass.x, pass.weight.parameter, pass.y);
  if (pass.y.numel() == 0) return;
  backend == nullptr ? kernels::linear_forward(call) : backend->forward(call);
}

void linear_dgrad(const LinearDgrad& pass, const kernels::MatmulBackend* backend) {
  const kernels::LinearDgrad call{.g = matrix("gradient", pass.g),
                                  .weight = rows_of(pass.weight),
                                  .dx = matrix("input gradient", pass.dx)};
  check_sizes(call.g.rows == call.dx.rows && call.g.columns == call.weight.rows &&
                  call.dx.columns == call.weight.columns,
              pass.g, pass.weight.parameter, pass.dx);
  if (pass.dx.numel() == 0) return;
  backend == nullptr ? kernels::linear_dgrad(call) : backend->dgrad(call);
}

void linear_wgrad(const LinearWgrad& pass, const kernels::MatmulBackend* backend) {
  const Matrix d_weight = matrix("weight gradient", pass.d_weight);
  const kernels::LinearWgrad call{.g = matrix("gradient", pass.g),
                                  .x = matrix("input", pass.x),
                                  .d_weight = d_weight.floats(),
                                  .accumulate = pass.accumulate};
  check_sizes(call.g.rows == call.x.rows && call.g.columns == d_weight.rows &&
                  call.x.columns == d_weight.columns && call.g.element == call.x.element,
              pass.g, pass.x, pass.d_weight);
  if (call.g.rows == 0) {
    if (pass.accumulate == kernels::Accumulate::no) torch::Tensor(pass.d_weight).zero_();
    return;
  }
  backend == nullptr ? kernels::linear_wgrad(call) : backend->wgrad(call);
}

}  // namespace cavmae
