#include "cavmae/core/beta_distribution.h"

#include <cmath>
#include <utility>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

TEST(BetaDistribution, GammaHasItsShapeAsMeanAndVariance) {
  Random random(4);
  constexpr int kDraws = 100'000;
  for (const double shape : {0.3, 1.0, 10.0}) {
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = draw_gamma(random, shape);
      ASSERT_TRUE(std::isfinite(x) && x >= 0);
      sum += x, squares += x * x;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, shape, 5 * std::sqrt(shape / kDraws));
    EXPECT_NEAR((squares / kDraws - mean * mean) / shape, 1.0, 0.06);
  }
  EXPECT_THROW(draw_gamma(random, 0), Error);
}

TEST(BetaDistribution, BetaHasItsMeanVarianceAndRange) {
  Random random(5);
  constexpr int kDraws = 50'000;
  for (const auto& [a, b] : {std::pair{10.0, 10.0}, {2.0, 6.0}, {0.2, 0.2}}) {
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = draw_beta(random, a, b);
      ASSERT_TRUE(x >= 0 && x <= 1);
      sum += x, squares += x * x;
    }
    const double mean = sum / kDraws, variance = a * b / ((a + b) * (a + b) * (a + b + 1));
    EXPECT_NEAR(mean, a / (a + b), 5 * std::sqrt(variance / kDraws));
    EXPECT_NEAR((squares / kDraws - mean * mean) / variance, 1.0, 0.05);
  }
}

}  // namespace
}  // namespace cavmae
