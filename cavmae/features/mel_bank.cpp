#include "cavmae/features/mel_bank.h"

#include <algorithm>
#include <cmath>

namespace cavmae {
namespace {

double to_mel(double hz) {
  return 1127.0 * std::log(1.0 + hz / 700.0);
}

// In single precision, step by step, as the models were trained: where a Fourier bin lies at the very edge of
// a triangle its weight is little more than the rounding.
float to_mel_single(float hz) {
  return 1127.0f * std::log(1.0f + hz / 700.0f);
}

}  // namespace

MelBank make_mel_bank(const MelBankOptions& options) {
  const double low = to_mel(options.low_hz);
  const double high = to_mel(options.sample_rate_hz / 2);
  const auto step = static_cast<float>((high - low) / static_cast<double>(options.num_mel_bins + 1));
  const auto edge = [&](int64_t i) { return static_cast<float>(low) + static_cast<float>(i) * step; };
  const auto bin_hz = static_cast<float>(options.sample_rate_hz / static_cast<double>(options.fft_size));
  MelBank bank;
  for (int64_t m = 0; m < options.num_mel_bins; ++m) {
    const float left = edge(m), center = edge(m) + step, right = edge(m) + 2.0f * step;
    MelBank::Span span{.weights = static_cast<int32_t>(bank.weights.size())};
    for (int64_t k = 0; k < options.fft_size / 2; ++k) {
      const float mel = to_mel_single(bin_hz * static_cast<float>(k));
      const float weight = std::min((mel - left) / (center - left), (right - mel) / (right - center));
      if (weight <= 0.0f) continue;
      if (span.num_bins++ == 0) span.first_bin = static_cast<int32_t>(k);
      bank.weights.push_back(weight);
    }
    bank.spans.push_back(span);
  }
  return bank;
}

double mel_bin_at(double frequency_hz, const MelBankOptions& options) {
  const double low = to_mel(options.low_hz), high = to_mel(options.sample_rate_hz / 2);
  return (to_mel(frequency_hz) - low) / (high - low) * static_cast<double>(options.num_mel_bins + 1) - 1.0;
}

}  // namespace cavmae
