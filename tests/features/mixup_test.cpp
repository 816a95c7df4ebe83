#include "cavmae/features/mixup.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

std::vector<double> values(const torch::Tensor& x) {
  const auto wide = x.to(torch::kFloat64).contiguous();
  return {wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel()};
}

double mean(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

// Sample by sample, in double.
std::vector<double> mix_one_by_one(const torch::Tensor& first, const torch::Tensor& second, double share) {
  const auto a = values(first), b = values(second);
  const double mean_a = mean(a), mean_b = mean(b);
  std::vector<double> mix;
  for (size_t i = 0; i < a.size(); ++i)
    mix.push_back(share * (a[i] - mean_a) + (i < b.size() ? (1 - share) * (b[i] - mean_b) : 0.0));
  const double mean_mix = mean(mix);
  for (double& v : mix) v -= mean_mix;
  return mix;
}

TEST(MixWaveforms, EqualBruteForceForAnyLengths) {
  torch::manual_seed(1);
  for (const int64_t n : {1, 400, 1001}) {
    for (const int64_t m : {1, 400, 777, 1500}) {
      const auto first = torch::rand({n}) + 0.3, second = torch::randn({m}) - 0.7;
      const auto expected = mix_one_by_one(first, second, 0.37);
      const auto actual = values(mix_waveforms(first, second, 0.37));
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 1e-5) << n << " " << m;
    }
  }
}

TEST(MixWaveforms, LeavesItsInputsAlone) {
  const auto first = torch::rand({8}), second = torch::rand({8});
  const auto a = first.clone(), b = second.clone();
  mix_waveforms(first, second, 0.5);
  mix_pictures(first, second, 0.5);
  EXPECT_TRUE(at::equal(first, a) && at::equal(second, b));
}

TEST(MixPictures, AddUpInTheirShares) {
  const auto first = torch::rand({2, 3, 5, 5}), second = torch::rand({2, 3, 5, 5});
  EXPECT_TRUE(at::allclose(mix_pictures(first, second, 0.2), 0.2 * first + 0.8 * second));
  EXPECT_TRUE(at::equal(mix_pictures(first, second, 1.0), first));
}

TEST(Mixup, WrongShapesAreErrors) {
  EXPECT_THROW(mix_waveforms(torch::rand({0}), torch::rand({3}), 0.5), Error);
  EXPECT_THROW(mix_waveforms(torch::rand({2, 3}), torch::rand({3}), 0.5), Error);
  EXPECT_THROW(mix_pictures(torch::rand({3, 4, 4}), torch::rand({3, 5, 5}), 0.5), Error);
}

}  // namespace
}  // namespace cavmae
