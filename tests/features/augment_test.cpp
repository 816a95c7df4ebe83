#include "cavmae/features/augment.h"

#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/features/fbank.h"

namespace cavmae {
namespace {

FinishOptions options_for(const torch::Tensor& fbank, Random* noise, Random* roll) {
  return {.num_frames = fbank.size(0), .mean = 0.0, .std = 1.0, .noise = noise, .roll = roll};
}

torch::Tensor noise_of(Random& random, int64_t num_frames, int64_t num_bins) {
  const torch::Tensor silence = torch::zeros({num_frames, num_bins});
  return finish_fbank(silence, options_for(silence, &random, nullptr));
}

TEST(Noise, IsUniformBetweenZeroAndItsStrength) {
  bool strong = false, weak = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed), twin(seed);
    const double strength = twin.uniform() / 10.0;
    const torch::Tensor noise = noise_of(random, 64, 129);
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

TEST(Noise, NeighboursAreIndependent) {
  Random random(3);
  const torch::Tensor noise = noise_of(random, 512, 128);
  const torch::Tensor flat = (noise - noise.mean()).flatten();
  const double variance = flat.square().mean().item<double>();
  for (const int64_t lag : {1, 2, 128})
    EXPECT_NEAR((flat.slice(0, lag) * flat.slice(0, 0, -lag)).mean().item<double>() / variance, 0.0, 0.02);
}

TEST(Noise, DependsOnTheGeneratorAlone) {
  Random first(7), second(7), other(8);
  const torch::Tensor a = noise_of(first, 10, 3);
  EXPECT_TRUE(at::equal(a, noise_of(second, 10, 3)));
  EXPECT_FALSE(at::equal(a, noise_of(other, 10, 3)));
}

TEST(Roll, RollsFramesCircularly) {
  const torch::Tensor fbank = at::arange(8, torch::kFloat32).view({8, 1}).repeat({1, 2});
  std::set<int64_t> shifts;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed), twin(seed);
    const int64_t shift = twin.integer(-8, 7);
    shifts.insert(shift);
    const torch::Tensor rolled = finish_fbank(fbank, options_for(fbank, nullptr, &random));
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

// One pass does what the plain steps do one after another, to the last bit.
TEST(FinishFbank, EqualsPadNormaliseNoiseRoll) {
  for (const auto& [have, want, bins] : std::vector<std::array<int64_t, 3>>{
           {5, 9, 7}, {9, 5, 7}, {6, 6, 8}, {0, 4, 3}, {1, 1, 1}, {998, 1024, 128}}) {
    const torch::Tensor fbank = torch::randn({have, bins}) * 4 - 5;
    Random noise(have), noise_twin(have), roll(want), roll_twin(want);
    const torch::Tensor finished = finish_fbank(
        fbank, {.num_frames = want, .mean = -5.081, .std = 4.4849, .noise = &noise, .roll = &roll});
    const torch::Tensor normalised = (fit_frames(fbank, want) - -5.081) / 4.4849;
    const torch::Tensor expected =
        at::roll(normalised + noise_of(noise_twin, want, bins), roll_twin.integer(-want, want - 1), 0);
    EXPECT_TRUE(at::equal(finished, expected)) << have << " " << want << " " << bins;
  }
}

TEST(FinishFbank, EmptyAndWrongShapes) {
  Random random(1);
  const torch::Tensor empty = torch::zeros({0, 128});
  EXPECT_EQ(finish_fbank(empty, options_for(empty, &random, &random)).numel(), 0);
  const torch::Tensor wrong = torch::zeros({4, 6}).t();
  EXPECT_THROW(finish_fbank(wrong, options_for(wrong, nullptr, nullptr)), Error);
}

TEST(SpecAugment, EmptyAndWrongShapes) {
  Random random(1);
  torch::Tensor empty = torch::zeros({0, 128});
  mask_times(empty, 5, random);
  mask_frequencies(empty, 5, random);
  torch::Tensor wrong = torch::zeros({4, 6}).t();
  EXPECT_THROW(mask_times(wrong, 2, random), Error);
}

}  // namespace
}  // namespace cavmae
