// The one kernel that goes through LibTorch: its BLAS may be linked into it, under names that nobody else
// sees.
#include <ATen/ATen.h>

#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

at::Tensor tensor_of(const void* data, int64_t rows, int64_t columns) {
  return at::from_blob(const_cast<void*>(data), {rows, columns}, at::kFloat);
}
at::Tensor tensor_of(const ConstMatrix& m) {
  return tensor_of(m.data, m.rows, m.columns);
}
at::Tensor tensor_of(const WeightRows& weight) {
  return tensor_of(weight.data, weight.rows, weight.columns);
}

}  // namespace

void blas_forward(const LinearForward& call) {
  auto y = tensor_of(call.y);
  const bool prefilled = call.bias != nullptr || call.residual != nullptr;
  if (prefilled)
    add_rows({.bias = call.bias,
              .residual = call.residual,
              .y = call.y.data,
              .rows = call.y.rows,
              .width = call.y.columns});
  at::addmm_out(y, y, tensor_of(call.x), tensor_of(call.weight).t(), prefilled ? 1 : 0, 1);
}

void blas_dgrad(const LinearDgrad& call) {
  auto dx = tensor_of(call.dx);
  at::addmm_out(dx, dx, tensor_of(call.g), tensor_of(call.weight), 0, 1);
}

void blas_wgrad(const LinearWgrad& call) {
  auto d_weight = tensor_of(call.d_weight, call.g.columns, call.x.columns);
  at::addmm_out(d_weight, d_weight, tensor_of(call.g).t(), tensor_of(call.x),
                call.accumulate == Accumulate::yes ? 1 : 0, 1);
}

}  // namespace cavmae::kernels
