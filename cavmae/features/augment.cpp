#include "cavmae/features/augment.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

void check_fbank(const torch::Tensor& fbank) {
  CAVMAE_CHECK(fbank.dim() == 2 && fbank.scalar_type() == torch::kFloat32 && fbank.is_contiguous(),
               "a filterbank to augment must be contiguous float [T, F], not ", fbank.scalar_type(), " ",
               fbank.sizes());
}

void mask_along(torch::Tensor& fbank, int64_t dim, int64_t widest, Random& random) {
  check_fbank(fbank);
  const auto size = static_cast<double>(fbank.size(dim));
  const double width = random.uniform() * std::min(static_cast<double>(widest), size);
  const double start = random.uniform() * (size - width);
  fbank.narrow(dim, static_cast<int64_t>(start), static_cast<int64_t>(width)).zero_();
}

}  // namespace

void mask_frequencies(torch::Tensor& fbank, int64_t widest, Random& random) {
  mask_along(fbank, 1, widest, random);
}

void mask_times(torch::Tensor& fbank, int64_t widest, Random& random) {
  mask_along(fbank, 0, widest, random);
}

void add_noise(torch::Tensor& fbank, Random& random) {
  check_fbank(fbank);
  // A draw serves two cells with 24 bits each, all that a float holds.
  const auto strength = static_cast<float>(random.uniform() / 10.0) * 0x1p-24f;
  const auto high = [&](uint64_t draw) {
    return static_cast<float>(static_cast<int32_t>(draw >> 40)) * strength;
  };
  const auto low = [&](uint64_t draw) {
    return static_cast<float>(static_cast<int32_t>(draw >> 16 & 0xffffff)) * strength;
  };
  float* cells = fbank.data_ptr<float>();
  const int64_t count = fbank.numel();
  int64_t i = 0;
  for (; i + 2 <= count; i += 2) {
    const uint64_t draw = random();
    cells[i] += high(draw);
    cells[i + 1] += low(draw);
  }
  if (i < count) cells[i] += high(random());
}

torch::Tensor roll_time(const torch::Tensor& fbank, Random& random) {
  check_fbank(fbank);
  const int64_t num_frames = fbank.size(0);
  if (num_frames == 0) return fbank;
  return at::roll(fbank, random.integer(-num_frames, num_frames - 1), 0);
}

}  // namespace cavmae
