#include "cavmae/features/augment.h"

#include <set>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

TEST(AddNoise, IsUniformBetweenZeroAndItsStrength) {
  bool strong = false, weak = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed), twin(seed);
    const double strength = twin.uniform() / 10.0;
    torch::Tensor noise = torch::zeros({64, 129});
    add_noise(noise, random);
    EXPECT_GE(noise.min().item<double>(), 0.0);
    EXPECT_LT(noise.max().item<double>(), strength + 1e-7);
    EXPECT_GT(noise.max().item<double>(), strength * 0.99);
    EXPECT_NEAR(noise.mean().item<double>(), strength / 2, strength * 0.02);
    EXPECT_NEAR(noise.var().item<double>(), strength * strength / 12, strength * strength * 0.005);
    strong = strong || strength > 0.08;
    weak = weak || strength < 0.02;
  }
  EXPECT_TRUE(strong && weak);
}

TEST(AddNoise, NeighboursAreIndependent) {
  Random random(3);
  torch::Tensor noise = torch::zeros({512, 128});
  add_noise(noise, random);
  const torch::Tensor flat = (noise - noise.mean()).flatten();
  const double variance = flat.square().mean().item<double>();
  for (const int64_t lag : {1, 2, 128})
    EXPECT_NEAR((flat.slice(0, lag) * flat.slice(0, 0, -lag)).mean().item<double>() / variance, 0.0, 0.02);
}

TEST(AddNoise, DependsOnTheGeneratorAlone) {
  Random first(7), second(7), other(8);
  torch::Tensor a = torch::ones({10, 3}), b = torch::ones({10, 3}), c = torch::ones({10, 3});
  add_noise(a, first);
  add_noise(b, second);
  add_noise(c, other);
  EXPECT_TRUE(at::equal(a, b));
  EXPECT_FALSE(at::equal(a, c));
}

TEST(RollTime, RollsFramesCircularly) {
  const torch::Tensor fbank = at::arange(8, torch::kFloat32).view({8, 1}).repeat({1, 2});
  std::set<int64_t> shifts;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed), twin(seed);
    const int64_t shift = twin.integer(-8, 7);
    shifts.insert(shift);
    const torch::Tensor rolled = roll_time(fbank, random);
    for (int64_t t = 0; t < 8; ++t) EXPECT_EQ(rolled[(t + shift + 8) % 8][1].item<int64_t>(), t);
  }
  EXPECT_EQ(shifts.size(), 16u) << "every shift of [-T, T) is drawn";
}

// Where a mask lies along `dim`, or an empty place; everything else must be untouched.
struct Masked {
  int64_t start = 0, width = 0;
};
Masked masked_along(int64_t dim, const torch::Tensor& fbank) {
  const auto hidden = fbank.eq(0).all(1 - dim);
  EXPECT_EQ(fbank.eq(0).sum().item<int64_t>(), hidden.sum().item<int64_t>() * fbank.size(1 - dim));
  const auto places = hidden.nonzero();
  if (places.size(0) == 0) return {};
  const Masked masked{.start = places[0][0].item<int64_t>(), .width = places.size(0)};
  EXPECT_EQ(places[-1][0].item<int64_t>(), masked.start + masked.width - 1) << "one stretch";
  return masked;
}

TEST(SpecAugment, MasksAreDrawnAsTorchaudioDrawsThem) {
  const torch::Tensor ones = torch::ones({50, 21});
  for (const int64_t dim : {0, 1}) {
    const auto size = static_cast<double>(ones.size(dim));
    const int64_t widest = dim == 0 ? 30 : 8;
    std::set<int64_t> widths, starts;
    for (uint64_t seed = 0; seed < 600; ++seed) {
      Random random(seed), twin(seed);
      torch::Tensor fbank = ones.clone();
      dim == 0 ? mask_times(fbank, widest, random) : mask_frequencies(fbank, widest, random);
      const double width = twin.uniform() * static_cast<double>(widest),
                   start = twin.uniform() * (size - width);
      const Masked masked = masked_along(dim, fbank);
      EXPECT_EQ(masked.width, static_cast<int64_t>(width));
      EXPECT_EQ(masked.start, masked.width > 0 ? static_cast<int64_t>(start) : 0);
      widths.insert(masked.width);
      starts.insert(masked.start);
    }
    EXPECT_EQ(*widths.begin(), 0);
    EXPECT_EQ(*widths.rbegin(), widest - 1) << "the parameter itself is never reached";
    EXPECT_EQ(static_cast<int64_t>(widths.size()), widest);
    EXPECT_GE(static_cast<double>(starts.size()), 0.6 * size);
  }
}

TEST(SpecAugment, MaskWiderThanTheFilterbankStaysInside) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    torch::Tensor fbank = torch::ones({5, 3});
    mask_times(fbank, 192, random);
    EXPECT_LT(masked_along(0, fbank).width, 5);
  }
}

TEST(Augment, EmptyAndOddShapes) {
  Random random(1);
  torch::Tensor empty = torch::zeros({0, 128});
  add_noise(empty, random);
  EXPECT_EQ(roll_time(empty, random).numel(), 0);
  mask_times(empty, 5, random);
  mask_frequencies(empty, 5, random);
  torch::Tensor wrong = torch::zeros({4, 6}).t();
  EXPECT_THROW(add_noise(wrong, random), Error);
  EXPECT_THROW(mask_times(wrong, 2, random), Error);
}

}  // namespace
}  // namespace cavmae
