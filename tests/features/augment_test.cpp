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

TEST(Augment, EmptyAndOddShapes) {
  Random random(1);
  torch::Tensor empty = torch::zeros({0, 128});
  add_noise(empty, random);
  EXPECT_EQ(roll_time(empty, random).numel(), 0);
  torch::Tensor wrong = torch::zeros({4, 6}).t();
  EXPECT_THROW(add_noise(wrong, random), Error);
}

}  // namespace
}  // namespace cavmae
