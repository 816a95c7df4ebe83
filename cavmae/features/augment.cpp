#include "cavmae/features/augment.h"

#include <algorithm>
#include <vector>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

void check_fbank(const torch::Tensor& fbank) {
  CAVMAE_CHECK(fbank.dim() == 2 && fbank.scalar_type() == torch::kFloat32 && fbank.is_contiguous(),
               "a filterbank to augment must be contiguous float [t, F], not ", fbank.scalar_type(), " ",
               fbank.sizes());
}

void mask_along(torch::Tensor& fbank, int64_t dim, int64_t widest, Random& random) {
  check_fbank(fbank);
  const auto size = static_cast<double>(fbank.size(dim));
  const double width = random.uniform() * std::min(static_cast<double>(widest), size);
  const double start = random.uniform() * (size - width);
  fbank.narrow(dim, static_cast<int64_t>(start), static_cast<int64_t>(width)).zero_();
}

// A row of noise. A draw serves two cells with 24 bits each, all that a float holds.
void draw_row(Random& random, float strength, std::vector<float>& row) {
  const size_t count = row.size();
  for (size_t i = 0; i < count; i += 2) {
    const uint64_t draw = random();
    row[i] = static_cast<float>(static_cast<int32_t>(draw >> 40)) * strength;
    if (i + 1 < count)
      row[i + 1] = static_cast<float>(static_cast<int32_t>(draw >> 16 & 0xffffff)) * strength;
  }
}

struct Scale {
  float mean, std;
};

// Eight cells at a time, which every compiler makes vectors of.
void write_row(const float* __restrict in, const Scale& scale, const std::vector<float>& noise,
               float* __restrict out) {
  constexpr size_t kLanes = 8;
  const float mean = scale.mean, std = scale.std;
  const float* __restrict added = noise.data();
  const size_t count = noise.size(), whole = count / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      out[i + lane] = (in[i + lane] - mean) / std + added[i + lane];
  for (size_t i = whole; i < count; ++i) out[i] = (in[i] - mean) / std + added[i];
}

}  // namespace

void mask_frequencies(torch::Tensor& fbank, int64_t widest, Random& random) {
  mask_along(fbank, 1, widest, random);
}

void mask_times(torch::Tensor& fbank, int64_t widest, Random& random) {
  mask_along(fbank, 0, widest, random);
}

torch::Tensor finish_fbank(const torch::Tensor& fbank, const FinishOptions& options) {
  check_fbank(fbank);
  CAVMAE_CHECK(options.num_frames >= 0, "finish_fbank: num_frames is ", options.num_frames);
  const int64_t num_frames = options.num_frames, num_bins = fbank.size(1);
  torch::Tensor finished = torch::empty({num_frames, num_bins}, torch::kFloat32);
  if (finished.numel() == 0) return finished;
  const Scale scale{.mean = static_cast<float>(options.mean), .std = static_cast<float>(options.std)};
  const float strength =
      options.noise == nullptr ? 0.0f : static_cast<float>(options.noise->uniform() / 10.0) * 0x1p-24f;
  const int64_t shift = options.roll == nullptr ? 0 : options.roll->integer(-num_frames, num_frames - 1);
  const std::vector<float> padding(static_cast<size_t>(num_bins), 0.0f);
  std::vector<float> noise = padding;
  const float* in = fbank.data_ptr<float>();
  float* out = finished.data_ptr<float>();
  for (int64_t t = 0; t < num_frames; ++t) {
    if (options.noise != nullptr) draw_row(*options.noise, strength, noise);
    const float* row = t < fbank.size(0) ? in + t * num_bins : padding.data();
    write_row(row, scale, noise, out + (t + shift + num_frames) % num_frames * num_bins);
  }
  return finished;
}

}  // namespace cavmae
