#include "cavmae/features/fbank_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace cavmae {
namespace {

constexpr int64_t kMostLanes = 8;
constexpr double kTwoPi = 2.0 * std::numbers::pi;

void append_root(std::vector<float>& table, int64_t power, int64_t order) {
  const double angle = -kTwoPi * static_cast<double>(power) / static_cast<double>(order);
  table.push_back(static_cast<float>(std::cos(angle)));
  table.push_back(static_cast<float>(std::sin(angle)));
}

// Where the in-place steps leave output k of a transform of `size` that starts at 0.
int32_t final_position(int64_t k, int64_t size) {
  int64_t position = 0;
  while (size > 1) {
    const int64_t radix = size == 2 ? 2 : 4;
    size /= radix;
    position += k % radix * size;
    k /= radix;
  }
  return static_cast<int32_t>(position);
}

}  // namespace

FbankPlan make_fbank_plan(const FbankPlanOptions& options) {
  FbankPlan plan;
  plan.window_size = options.window_size;
  plan.shift = options.shift;
  plan.fft_size =
      std::max<int64_t>(8, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(options.window_size))));
  plan.preemphasis = static_cast<float>(options.preemphasis);
  for (int64_t n = 0; n < options.window_size; ++n)
    plan.window.push_back(static_cast<float>(
        0.5 -
        0.5 * std::cos(kTwoPi * static_cast<double>(n) / static_cast<double>(options.window_size - 1))));
  const int64_t half = plan.fft_size / 2;
  for (int64_t size = half; size >= 4; size /= 4)
    for (int64_t j = 0; j < size / 4; ++j)
      for (int64_t power = 1; power <= 3; ++power) append_root(plan.twiddles, j * power, size);
  for (int64_t k = 0; k < half; ++k) plan.position.push_back(final_position(k, half));
  for (int64_t k = 0; k <= half / 2; ++k) append_root(plan.split_twiddles, k, plan.fft_size);
  plan.mel = make_mel_bank({.num_mel_bins = options.num_mel_bins,
                            .fft_size = plan.fft_size,
                            .sample_rate_hz = options.sample_rate_hz});
  for (float& weight : plan.mel.weights) weight *= 0.25f;
  return plan;
}

int64_t scratch_floats(const FbankPlan& plan) {
  const auto num_mel_bins = static_cast<int64_t>(plan.mel.spans.size());
  return (plan.fft_size + plan.fft_size / 2 + 1 + num_mel_bins + kMostLanes) * kMostLanes;
}

}  // namespace cavmae
