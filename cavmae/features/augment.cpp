#include "cavmae/features/augment.h"

#include <algorithm>
#include <array>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

void check_fbank(const torch::Tensor& fbank) {
  CAVMAE_CHECK(fbank.dim() == 2 && fbank.scalar_type() == torch::kFloat32 && fbank.is_contiguous(),
               "a filterbank to augment must be contiguous float [T, F], not ", fbank.scalar_type(), " ",
               fbank.sizes());
}

}  // namespace

void add_noise(torch::Tensor& fbank, Random& random) {
  check_fbank(fbank);
  constexpr int64_t kBlock = 512;  // draws, each of which serves two cells with 24 bits
  const auto strength = static_cast<float>(random.uniform() / 10.0) * 0x1p-24f;
  float* cells = fbank.data_ptr<float>();
  std::array<uint64_t, kBlock> draws{};
  for (int64_t start = 0; start < fbank.numel(); start += 2 * kBlock) {
    const int64_t count = std::min(2 * kBlock, fbank.numel() - start);
    for (int64_t i = 0; i < (count + 1) / 2; ++i) draws[static_cast<size_t>(i)] = random();
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t draw = draws[static_cast<size_t>(i / 2)];
      const auto bits = static_cast<int32_t>(i % 2 == 0 ? draw >> 40 : draw >> 16 & 0xffffff);
      cells[start + i] += static_cast<float>(bits) * strength;
    }
  }
}

torch::Tensor roll_time(const torch::Tensor& fbank, Random& random) {
  check_fbank(fbank);
  const int64_t num_frames = fbank.size(0);
  if (num_frames == 0) return fbank;
  return at::roll(fbank, random.integer(-num_frames, num_frames - 1), 0);
}

}  // namespace cavmae
