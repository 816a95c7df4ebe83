// Where a parameter's gradient goes, see Note [Gradients in place] and Note [Fresh gradients]. Free
// functions.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/nn/gradient_bucket.h"
#include "cavmae/nn/linear_passes.h"

namespace cavmae {

struct GradientTarget {
  torch::Tensor gradient;  // float, the parameter's shape; undefined where none is wanted
  kernels::Accumulate accumulate = kernels::Accumulate::no;

  float* data() const { return gradient.defined() ? gradient.data_ptr<float>() : nullptr; }
};

// The memory of a leaf's gradient, made where there is none.
inline GradientTarget gradient_target(const torch::Tensor& parameter) {
  if (!parameter.requires_grad()) return {};
  torch::Tensor& gradient = parameter.mutable_grad();
  if (gradient.defined()) {
    if (!gradient.is_contiguous()) gradient = gradient.contiguous();
    return {.gradient = gradient,
            .accumulate = take_fresh(gradient) ? kernels::Accumulate::no : kernels::Accumulate::yes};
  }
  gradient = at::empty(parameter.sizes(), parameter.options().requires_grad(false));
  return {.gradient = gradient, .accumulate = kernels::Accumulate::no};
}

// A linear layer's gradients from that of its result and its input, for rows of its weight.
struct RowRange {
  int64_t first = 0, rows = 0;
};
inline void add_weight_gradient(const GradientTarget& target, const torch::Tensor& g, const torch::Tensor& x,
                                const RowRange& range) {
  if (!target.gradient.defined()) return;
  const auto& all = target.gradient;
  linear_wgrad({.g = g,
                .x = x,
                .d_weight = all.view({all.size(0), -1}).narrow(0, range.first, range.rows),
                .accumulate = target.accumulate});
}

}  // namespace cavmae
