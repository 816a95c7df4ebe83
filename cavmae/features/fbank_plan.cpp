#include "cavmae/features/fbank_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace cavmae {
namespace {

constexpr int64_t kMaxLanes = 8;

constexpr FbankKernel kFbankKernels[] = {
    {"baseline", Isa::baseline, compute_fbank_baseline},
#ifdef CAVMAE_X86_KERNELS
    {"avx2", Isa::avx2, compute_fbank_avx2},
#endif
};

// The twiddles of the step that joins `radix` transforms of length `size`.
void append_twiddles(std::vector<float>& table, int64_t size, int64_t radix) {
  for (int64_t j = 1; j < size / 2; ++j)
    for (int64_t q = 1; q < radix; ++q) {
      const double angle =
          2.0 * std::numbers::pi * static_cast<double>(j * q) / static_cast<double>(radix * size);
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
}

}  // namespace

FbankPlan make_fbank_plan(const FbankPlanOptions& options) {
  FbankPlan plan;
  plan.window = options.window;
  plan.window_size = static_cast<int64_t>(options.window.size());
  plan.shift = options.shift;
  plan.fft_size = static_cast<int64_t>(std::bit_ceil(std::max<size_t>(8, options.window.size())));
  plan.preemphasis = static_cast<float>(options.preemphasis);
  int64_t size = 1;
  for (; size * 4 <= plan.fft_size; size *= 4) append_twiddles(plan.twiddles, size, 4);
  if (size < plan.fft_size) append_twiddles(plan.twiddles, size, 2);
  plan.mel = make_mel_bank({.num_mel_bins = options.num_mel_bins,
                            .fft_size = plan.fft_size,
                            .sample_rate_hz = options.sample_rate_hz});
  return plan;
}

int64_t scratch_floats(const FbankPlan& plan) {
  const auto num_mel_bins = static_cast<int64_t>(plan.mel.spans.size());
  return (2 * plan.fft_size + plan.fft_size / 2 + num_mel_bins) * kMaxLanes;
}

std::vector<const FbankKernel*> usable_fbank_kernels() {
  return usable_versions(kFbankKernels);
}

const FbankKernel& best_fbank_kernel() {
  return *best_version(kFbankKernels);
}

}  // namespace cavmae
