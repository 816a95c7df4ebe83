#include "cavmae/features/fbank.h"

#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/features/fbank_plan.h"

namespace cavmae {
namespace {

void check_options(const FbankOptions& o) {
  CAVMAE_CHECK_AS(ConfigError, o.sample_rate_hz >= 1000, "fbank: sample_rate_hz is ", o.sample_rate_hz,
                  "; it must be 1000 or more");
  CAVMAE_CHECK_AS(ConfigError, o.num_mel_bins >= 1 && o.num_mel_bins <= 4096, "fbank: num_mel_bins is ",
                  o.num_mel_bins, "; it must be 1 to 4096");
  CAVMAE_CHECK_AS(ConfigError, o.frame_length_ms >= 2.0 && o.frame_length_ms <= 1000.0,
                  "fbank: frame_length_ms is ", o.frame_length_ms, "; it must be 2 to 1000");
  CAVMAE_CHECK_AS(ConfigError, o.frame_shift_ms >= 1.0 && o.frame_shift_ms <= 1000.0,
                  "fbank: frame_shift_ms is ", o.frame_shift_ms, "; it must be 1 to 1000");
}

// The whole samples in so many milliseconds.
int64_t to_samples(double milliseconds, int64_t sample_rate_hz) {
  return static_cast<int64_t>(static_cast<double>(sample_rate_hz) * milliseconds * 0.001);
}

// PyTorch's own, to the last bit; see Note [Rounding of the filterbank].
std::vector<float> hann_window(const FbankOptions& options) {
  const int64_t size = to_samples(options.frame_length_ms, options.sample_rate_hz);
  const torch::Tensor window = at::hann_window(size, false, torch::kFloat32);
  const float* values = window.data_ptr<float>();
  return {values, values + size};
}

float mean_of(const float* samples, int64_t count) {
  std::array<double, 8> sums{};  // several at once: an addition has not to wait for the one before
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += samples[i + static_cast<int64_t>(lane)];
  for (; i < count; ++i) sums[0] += samples[i];
  const double mean = std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(count);
  CAVMAE_CHECK_AS(MediaError, std::isfinite(mean),
                  "the audio holds values that are not finite (NaN or infinity); its file is damaged");
  return static_cast<float>(mean);
}

}  // namespace

struct Fbank::Tables {
  FbankPlan plan;
  const FbankKernel& kernel = best_fbank_kernel();
};

Fbank::Fbank(const FbankOptions& options) {
  check_options(options);
  tables_ = std::make_unique<const Tables>(
      Tables{.plan = make_fbank_plan({.window = hann_window(options),
                                      .shift = to_samples(options.frame_shift_ms, options.sample_rate_hz),
                                      .preemphasis = options.preemphasis,
                                      .sample_rate_hz = static_cast<double>(options.sample_rate_hz),
                                      .num_mel_bins = options.num_mel_bins})});
}

Fbank::~Fbank() = default;
Fbank::Fbank(Fbank&&) noexcept = default;
Fbank& Fbank::operator=(Fbank&&) noexcept = default;

torch::Tensor Fbank::compute(const torch::Tensor& waveform) const {
  CAVMAE_CHECK(waveform.dim() == 1 && waveform.scalar_type() == torch::kFloat32,
               "fbank: the waveform must be float [n], not ", waveform.scalar_type(), " ", waveform.sizes());
  const FbankPlan& plan = tables_->plan;
  const torch::Tensor samples = waveform.contiguous();
  const int64_t count = samples.numel();
  const int64_t num_frames = count < plan.window_size ? 0 : 1 + (count - plan.window_size) / plan.shift;
  torch::Tensor fbank =
      torch::empty({num_frames, static_cast<int64_t>(plan.mel.spans.size())}, torch::kFloat32);
  if (num_frames == 0) return fbank;
  torch::Tensor scratch = torch::empty({scratch_floats(plan)}, torch::kFloat32);
  const float* data = samples.data_ptr<float>();
  const FbankTask task{.waveform = data,
                       .mean = mean_of(data, count),
                       .num_frames = num_frames,
                       .scratch = scratch.data_ptr<float>(),
                       .out = fbank.data_ptr<float>()};
  tables_->kernel.functions(plan, task);
  return fbank;
}

torch::Tensor fit_frames(const torch::Tensor& fbank, int64_t num_frames) {
  CAVMAE_CHECK(fbank.dim() == 2 && num_frames >= 0,
               "fit_frames: needs [t, F] and a length of 0 or more, not ", fbank.sizes(), " and ",
               num_frames);
  const int64_t have = fbank.size(0);
  if (have >= num_frames) return fbank.narrow(0, 0, num_frames);
  torch::Tensor fitted = torch::zeros({num_frames, fbank.size(1)}, fbank.options());
  fitted.narrow(0, 0, have).copy_(fbank);
  return fitted;
}

const char* fbank_kernel_in_use() {
  return best_fbank_kernel().name;
}

}  // namespace cavmae
