#include "cavmae/train/optimizer/adam_kernel.h"

#include <cmath>

namespace cavmae {
namespace {

// Note [One arithmetic]: the AVX2 version is the same code and, like every version, compiled without fused
// multiply-add, so that every machine gets the same bits.
template <GradientUse use>
[[gnu::always_inline]] inline void update(const AdamArrays& arrays, int64_t begin, int64_t end,
                                          const AdamCoefficients& c) {
  float* __restrict parameter = arrays.parameter;
  float* __restrict gradient = arrays.gradient;
  float* __restrict exp_avg = arrays.exp_avg;
  float* __restrict exp_avg_sq = arrays.exp_avg_sq;
  for (int64_t i = begin; i < end; ++i) {
    const float p = parameter[i];
    const float g = gradient[i] * c.gradient_scale + c.weight_decay * p;
    const float m = exp_avg[i] * c.beta1 + g * c.one_minus_beta1;
    const float v = exp_avg_sq[i] * c.beta2 + g * g * c.one_minus_beta2;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    parameter[i] = p - c.step_size * m / (std::sqrt(v) / c.bias_correction2_sqrt + c.epsilon);
    if constexpr (use == GradientUse::zero) gradient[i] = 0.0f;
  }
}

[[gnu::always_inline]] inline void update_as(const AdamArrays& arrays, int64_t begin, int64_t end,
                                             const AdamCoefficients& c, GradientUse use) {
  if (use == GradientUse::zero) {
    update<GradientUse::zero>(arrays, begin, end, c);
  } else {
    update<GradientUse::keep>(arrays, begin, end, c);
  }
}

void update_baseline(const AdamArrays& arrays, int64_t begin, int64_t end, const AdamCoefficients& c,
                     GradientUse use) {
  update_as(arrays, begin, end, c, use);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void update_avx2(const AdamArrays& arrays, int64_t begin, int64_t end,
                                         const AdamCoefficients& c, GradientUse use) {
  update_as(arrays, begin, end, c, use);
}
#endif

constexpr AdamKernel kAdamKernels[] = {
    {"baseline", Isa::baseline, update_baseline},
#if defined(__x86_64__)
    {"avx2", Isa::avx2, update_avx2},
#endif
};

}  // namespace

const AdamKernel& best_adam_kernel() {
  static const AdamKernel& best = *best_version(kAdamKernels);
  return best;
}

void adam_update(const AdamArrays& arrays, int64_t begin, int64_t end, const AdamCoefficients& c,
                 GradientUse use) {
  best_adam_kernel().functions(arrays, begin, end, c, use);
}

double sum_of_squares(const float* values, int64_t n) {
  constexpr int64_t kLanes = 8;  // independent sums, so that the loop vectorises without reordering
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  double sum = 0.0;
  for (; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace cavmae
