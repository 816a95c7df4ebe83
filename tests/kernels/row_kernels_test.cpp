#include "cavmae/kernels/row_kernels.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/parallel.h"

#include "tests/support/elements.h"
#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae::kernels::row_kernels_test {
namespace {

using testing_support::bf16_of;
using testing_support::IsNear;
using testing_support::type_of;

struct Case {
  const RowKernelVersion* version;
  Element element;
  int64_t rows, width;

  torch::Tensor elements(const torch::Tensor& x) const { return x.to(type_of(element)); }
  double tolerance() const { return element == Element::f32 ? 2e-6 : 4e-3; }  // bf16: half of 2^-7
  // Of a sum of GELU's gradients before they are rounded: the kernel for bf16 computes them to 1e-4.
  double summed_gelu() const { return element == Element::f32 ? 1e-5 : 1e-4; }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto* version : usable_row_kernels())
    for (const auto element : {Element::f32, Element::bf16})
      for (const auto& [rows, width] :
           {std::pair<int64_t, int64_t>{1, 5}, {3, 7}, {64, 16}, {65, 33}, {130, 100}, {200, 512}})
        all.push_back({version, element, rows, width});
  return all;
}

class RowKernelsOnEvery : public ::testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  const RowKernels& kernels = c.version->functions();
};

TEST_P(RowKernelsOnEvery, LayerNormAndItsGradientsAreTheTwins) {
  const auto x = normal({c.rows, c.width}, 1).mul_(3).add_(0.5).requires_grad_();
  const auto weight = normal({c.width}, 2).requires_grad_(), bias = normal({c.width}, 3).requires_grad_();
  const auto g = c.elements(normal({c.rows, c.width}, 4)), residual = normal({c.rows, c.width}, 5);
  const auto expected = at::layer_norm(x, {c.width}, weight, bias, 1e-5);
  expected.backward(g.to(torch::kFloat32));
  auto y = torch::empty_like(g), y_again = torch::empty_like(g), dx = torch::empty_like(residual);
  auto rounded = torch::empty_like(g), mean = torch::empty({c.rows}), rstd = torch::empty({c.rows});
  auto d_weight = torch::ones({c.width}), d_bias = torch::ones({c.width}), sums = torch::empty({c.width});
  layer_norm_forward({.x = x.data_ptr<float>(),
                      .weight = weight.data_ptr<float>(),
                      .bias = bias.data_ptr<float>(),
                      .y = y.data_ptr(),
                      .mean = mean.data_ptr<float>(),
                      .rstd = rstd.data_ptr<float>(),
                      .rows = c.rows,
                      .width = c.width,
                      .element = c.element},
                     kernels);
  layer_norm_backward({.x = x.data_ptr<float>(),
                       .weight = weight.data_ptr<float>(),
                       .bias = bias.data_ptr<float>(),
                       .mean = mean.data_ptr<float>(),
                       .rstd = rstd.data_ptr<float>(),
                       .g = g.data_ptr(),
                       .residual = residual.data_ptr<float>(),
                       .dx = dx.data_ptr<float>(),
                       .dx_rounded = rounded.data_ptr(),
                       .y = y_again.data_ptr(),
                       .d_weight = d_weight.data_ptr<float>(),
                       .d_bias = d_bias.data_ptr<float>(),
                       .dx_sums = sums.data_ptr<float>(),
                       .accumulate_norm = Accumulate::yes,
                       .rows = c.rows,
                       .width = c.width,
                       .element = c.element},
                      kernels);
  EXPECT_THAT(y.to(torch::kFloat32), IsNear(expected.detach(), c.tolerance()));
  EXPECT_THAT(y_again.to(torch::kFloat32), IsNear(expected.detach(), c.tolerance()));
  EXPECT_THAT(dx, IsNear(x.grad() + residual, 1e-5));
  EXPECT_TRUE(rounded.equal(c.elements(dx)));
  EXPECT_THAT(d_weight, IsNear(weight.grad() + 1, 1e-5));
  EXPECT_THAT(d_bias, IsNear(bias.grad() + 1, 1e-5));
  EXPECT_THAT(sums, IsNear(dx.sum(0), 1e-5));
}

TEST_P(RowKernelsOnEvery, GeluAndItsGradientAreTheTwins) {
  const auto x = c.elements(normal({c.rows, c.width}, 6).mul_(2));
  const auto g = c.elements(normal({c.rows, c.width}, 7));
  const auto exact_x = x.to(torch::kFloat32).requires_grad_();
  const auto expected = at::gelu(exact_x);
  expected.backward(g.to(torch::kFloat32));
  auto y = torch::empty_like(x), y_again = torch::empty_like(x), dx = torch::empty_like(x);
  auto sums = torch::ones({c.width});
  gelu_forward({.x = x.data_ptr(), .y = y.data_ptr(), .count = x.numel(), .element = c.element}, kernels);
  gelu_backward({.x = x.data_ptr(),
                 .g = g.data_ptr(),
                 .dx = dx.data_ptr(),
                 .y = y_again.data_ptr(),
                 .dx_sums = sums.data_ptr<float>(),
                 .accumulate = Accumulate::yes,
                 .rows = c.rows,
                 .width = c.width,
                 .element = c.element},
                kernels);
  EXPECT_THAT(y.to(torch::kFloat32), IsNear(expected.detach(), c.tolerance()));
  EXPECT_TRUE(y_again.equal(y));
  EXPECT_THAT(dx.to(torch::kFloat32), IsNear(exact_x.grad(), c.tolerance()));
  EXPECT_THAT(sums, IsNear(exact_x.grad().sum(0) + 1, c.summed_gelu()));
}

TEST_P(RowKernelsOnEvery, SumsAndRoundingAreTheTwins) {
  const auto x = normal({c.rows, c.width}, 8), rows = c.elements(x), residual = normal({c.rows, c.width}, 9);
  const auto bias = normal({c.width}, 10);
  auto sums = torch::empty({c.width}), rounded = torch::empty({c.rows, c.width}, torch::kBFloat16);
  sum_rows({.x = rows.data_ptr(),
            .rounded = bf16_of(rounded),
            .sums = sums.data_ptr<float>(),
            .rows = c.rows,
            .width = c.width,
            .element = c.element},
           kernels);
  EXPECT_THAT(sums, IsNear(rows.to(torch::kFloat32).sum(0), 1e-5));
  EXPECT_TRUE(rounded.equal(rows.to(torch::kBFloat16)));
  auto y = torch::empty_like(rows), wide = torch::empty_like(x), values = torch::empty_like(x);
  add_rows({.x = x.data_ptr<float>(),
            .bias = bias.data_ptr<float>(),
            .residual = residual.data_ptr<float>(),
            .y = y.data_ptr(),
            .rows = c.rows,
            .width = c.width,
            .element = c.element},
           kernels);
  EXPECT_TRUE(y.equal(c.elements(x + bias + residual)));
  round_to_bf16(x.data_ptr<float>(), bf16_of(rounded), x.numel(), kernels);
  EXPECT_TRUE(rounded.equal(x.to(torch::kBFloat16)));
  widen(bf16_of(rounded), wide.data_ptr<float>(), x.numel(), kernels);
  EXPECT_TRUE(wide.equal(rounded.to(torch::kFloat32)));
  round_to_bf16_values(x.data_ptr<float>(), values.data_ptr<float>(), x.numel(), kernels);
  EXPECT_TRUE(values.equal(wide));
}

std::string name_of(const ::testing::TestParamInfo<Case>& tested) {
  const Case& c = tested.param;
  return c.version->name + std::string(c.element == Element::f32 ? "_f32_" : "_bf16_") +
         std::to_string(c.rows) + "x" + std::to_string(c.width);
}
INSTANTIATE_TEST_SUITE_P(InstructionSets, RowKernelsOnEvery, ::testing::ValuesIn(cases()), name_of);

TEST(RowKernels, SumsDoNotDependOnTheNumberOfThreads) {
  const auto x = normal({1000, 96}, 11);
  const int before = at::get_num_threads();
  std::vector<torch::Tensor> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    results.push_back(torch::empty({96}));
    sum_rows({.x = x.data_ptr(), .sums = results.back().data_ptr<float>(), .rows = 1000, .width = 96});
  }
  at::set_num_threads(before);
  EXPECT_TRUE(results[0].equal(results[1]));
  EXPECT_TRUE(results[0].equal(results[2]));
}

TEST(RowKernels, NoRowsGiveNoSums) {
  auto sums = torch::ones({5});
  sum_rows({.x = nullptr, .sums = sums.data_ptr<float>(), .rows = 0, .width = 5});
  EXPECT_TRUE(sums.equal(torch::zeros({5})));
}

TEST(RowKernels, GeluIsExactInBothTails) {
  const auto x = torch::tensor({-50.0f, -10.0f, -5.0f, -0.0f, 0.0f, 5.0f, 50.0f, INFINITY});
  for (const auto* version : usable_row_kernels()) {
    auto y = torch::empty_like(x);
    gelu_forward({.x = x.data_ptr(), .y = y.data_ptr(), .count = x.numel()}, version->functions());
    EXPECT_THAT(y.narrow(0, 0, 7), IsNear(at::gelu(x).narrow(0, 0, 7), 1e-6));
    EXPECT_EQ(y[7].item<float>(), INFINITY);
  }
}

TEST(RowKernels, GeluOfBf16IsRightInBothTails) {
  const auto x =
      torch::tensor({-50.0f, -10.0f, -4.0f, -2.5f, -0.0f, 0.0f, 4.0f, 50.0f, INFINITY}).to(torch::kBFloat16);
  const auto exact = at::gelu(x.to(torch::kFloat32)).narrow(0, 0, 8);
  for (const auto* version : usable_row_kernels()) {
    auto y = torch::empty_like(x);
    gelu_forward({.x = x.data_ptr(), .y = y.data_ptr(), .count = x.numel(), .element = Element::bf16},
                 version->functions());
    const auto difference = (y.to(torch::kFloat32).narrow(0, 0, 8) - exact).abs();
    EXPECT_TRUE((difference <= exact.abs() * 4e-3 + 1e-5).all().item<bool>()) << y;
    EXPECT_EQ(y[8].item<float>(), INFINITY);
  }
}

TEST(RowKernels, RoundingKeepsWhatIsNotANumber) {
  const auto x = torch::tensor({NAN, INFINITY, -INFINITY, 3.4e38f, 1e-40f});
  for (const auto* version : usable_row_kernels()) {
    auto y = torch::empty({5}, torch::kBFloat16);
    round_to_bf16(x.data_ptr<float>(), bf16_of(y), 5, version->functions());
    EXPECT_TRUE(std::isnan(y[0].item<float>()));
    EXPECT_TRUE(y.narrow(0, 1, 3).equal(x.to(torch::kBFloat16).narrow(0, 1, 3)));
    // Instructions for bf16 take what is below the least normal number for nothing.
    EXPECT_NEAR(y[4].item<float>(), 1e-40f, version->needs == Isa::avx512_bf16 ? 1e-40f : 5e-41f);
  }
}

}  // namespace
}  // namespace cavmae::kernels::row_kernels_test
