#include "cavmae/losses/classification.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/golden.h"

namespace cavmae {
namespace {

using testing_support::IsNear;

struct LossAndGradient {
  double loss = 0;
  torch::Tensor gradient;  // double [B, C]
};

// Value by value, in double, from the definitions in the header.
LossAndGradient one_by_one(ClassificationLoss kind, const torch::Tensor& logits,
                           const torch::Tensor& targets) {
  const int64_t clips = logits.size(0), classes = logits.size(1);
  LossAndGradient out{.loss = 0, .gradient = torch::zeros({clips, classes}, torch::kFloat64)};
  auto gradient = out.gradient.accessor<double, 2>();
  const auto x = logits.accessor<float, 2>(), t = targets.accessor<float, 2>();
  for (int64_t i = 0; i < clips; ++i) {
    double sum_exp = 0, sum_target = 0;
    for (int64_t c = 0; c < classes; ++c) {
      sum_exp += std::exp(double{x[i][c]});
      sum_target += t[i][c];
    }
    for (int64_t c = 0; c < classes; ++c) {
      if (kind == ClassificationLoss::bce) {
        const double p = 1 / (1 + std::exp(-double{x[i][c]})),
                     share = 1.0 / static_cast<double>(clips * classes);
        out.loss -= share * (t[i][c] * std::log(p) + (1 - t[i][c]) * std::log(1 - p));
        gradient[i][c] = share * (p - t[i][c]);
      } else {
        const double p = std::exp(double{x[i][c]}) / sum_exp, share = 1.0 / static_cast<double>(clips);
        out.loss -= share * t[i][c] * std::log(p);
        gradient[i][c] = share * (p * sum_target - t[i][c]);
      }
    }
  }
  return out;
}

TEST(ClassificationLoss, EqualsBruteForceForwardAndBackward) {
  torch::manual_seed(1);
  for (const auto kind : {ClassificationLoss::bce, ClassificationLoss::ce}) {
    for (const int64_t clips : {1, 5}) {
      for (const int64_t classes : {1, 7}) {
        const auto logits = (3 * torch::randn({clips, classes})).requires_grad_();
        const auto targets = torch::rand({clips, classes});  // soft, and no distribution
        const auto loss = classification_loss(kind, logits, targets);
        loss.backward();
        const auto expected = one_by_one(kind, logits.detach(), targets);
        EXPECT_NEAR(loss.item<double>(), expected.loss, 1e-5 * std::max(1.0, expected.loss));
        EXPECT_LT((logits.grad() - expected.gradient).abs().max().item<double>(), 1e-6);
      }
    }
  }
}

TEST(ClassificationLoss, LargeLogitsStayFinite) {
  const auto logits = torch::tensor({{200.0f, -200.0f}});
  const auto targets = torch::tensor({{0.0f, 1.0f}});
  EXPECT_NEAR(classification_loss(ClassificationLoss::bce, logits, targets).item<double>(), 200.0, 1e-3);
  EXPECT_NEAR(classification_loss(ClassificationLoss::ce, logits, targets).item<double>(), 400.0, 1e-3);
}

TEST(ClassificationLoss, LowPrecisionLogitsAreSummedInFloat) {
  const auto logits = torch::randn({4, 3}).to(torch::kBFloat16);
  const auto targets = torch::rand({4, 3});
  for (const auto kind : {ClassificationLoss::bce, ClassificationLoss::ce})
    EXPECT_TRUE(at::equal(classification_loss(kind, logits, targets),
                          classification_loss(kind, logits.to(torch::kFloat32), targets)));
}

TEST(ClassificationLoss, SizesThatDifferAreAnError) {
  EXPECT_THROW(classification_loss(ClassificationLoss::ce, torch::zeros({2, 3}), torch::zeros({2, 4})),
               Error);
}

}  // namespace
}  // namespace cavmae
