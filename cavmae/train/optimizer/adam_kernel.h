// The arithmetic of Adam and of the gradient's norm on plain arrays, without LibTorch, so that its file can
// be compiled for speed. Free functions; safe from several threads on different arrays.
#pragma once

#include <cstdint>

#include "cavmae/isa/kernel_table.h"

namespace cavmae {

// What one step needs, computed once in double and rounded like torch.optim.Adam does.
struct AdamCoefficients {
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float step_size;              // lr / (1 - beta1^t)
  float bias_correction2_sqrt;  // sqrt(1 - beta2^t)
  float epsilon;
  float weight_decay;
  float gradient_scale;  // multiplies the gradient before anything else
};

// The four arrays of one parameter, each of n floats.
struct AdamArrays {
  float* parameter;
  float* gradient;
  float* exp_avg;     // running mean of the gradient
  float* exp_avg_sq;  // running mean of its square
};

enum class GradientUse { keep, zero };

using AdamKernel = KernelVersion<void (*)(const AdamArrays&, int64_t begin, int64_t end,
                                          const AdamCoefficients&, GradientUse)>;
const AdamKernel& best_adam_kernel();

// One pass over [begin, end) by it.
void adam_update(const AdamArrays& arrays, int64_t begin, int64_t end, const AdamCoefficients& c,
                 GradientUse use);

// Sum of squares of n values, in double and in one order.
double sum_of_squares(const float* values, int64_t n);

}  // namespace cavmae
