#include "cavmae/nn/linear_passes.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/golden.h"
#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae::linear_passes_test {
namespace {

using kernels::Accumulate;
using kernels::Element;
using kernels::MatmulBackend;
using kernels::PackedWeight;

using testing_support::IsNear;

torch::Tensor wide(const torch::Tensor& x) {
  return x.to(torch::kFloat32);
}
torch::Tensor rounded(const torch::Tensor& x) {
  return wide(x.to(torch::kBFloat16));
}

struct Case {
  Element element;
  const MatmulBackend* backend;
  int64_t n, k, m;

  torch::Tensor elements(const torch::Tensor& x) const { return x.to(scalar_type(element)); }
  // A parameter as matmuls see it.
  torch::Tensor seen(const torch::Tensor& weight) const {
    return element == Element::f32 ? weight : rounded(weight);
  }
  double exact() const { return 1e-5; }                                       // sums are float
  double stored() const { return element == Element::f32 ? exact() : 4e-3; }  // half of 2^-7
};

std::vector<Case> cases(const std::function<bool(const MatmulBackend&)>& computes) {
  std::vector<Case> all;
  for (const auto element : {Element::f32, Element::bf16})
    for (const auto* backend : kernels::usable_matmul_backends(element)) {
      if (!computes(*backend)) continue;
      for (const auto& [n, k, m] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                    {5, 7, 3},
                                    {33, 64, 96},
                                    {130, 100, 50},
                                    {1500, 48, 33}})
        all.push_back({element, backend, n, k, m});
    }
  return all;
}

class LinearPassesOnEvery : public ::testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  torch::Tensor x = c.elements(normal({c.n, c.k}, 1)), g = c.elements(normal({c.n, c.m}, 2));
  torch::Tensor parameter = normal({c.m, c.k}, 3), bias = normal({c.m}, 4), residual = normal({c.n, c.m}, 5);
};

TEST_P(LinearPassesOnEvery, ForwardIsTheTwins) {
  const auto product = wide(x).mm(c.seen(parameter).t());
  auto y = torch::empty({c.n, c.m});
  linear_forward({.x = x, .weight = whole_weight(parameter), .bias = bias, .residual = residual, .y = y},
                 c.backend);
  EXPECT_THAT(y, IsNear(product + bias + residual, c.exact()));
  linear_forward({.x = x, .weight = whole_weight(parameter), .bias = {}, .residual = {}, .y = y}, c.backend);
  EXPECT_THAT(y, IsNear(product, c.exact()));
  auto stored = torch::empty({c.n, c.m}, x.options());
  linear_forward({.x = x, .weight = whole_weight(parameter), .bias = bias, .residual = {}, .y = stored},
                 c.backend);
  EXPECT_THAT(wide(stored), IsNear(product + bias, c.stored()));
}

TEST_P(LinearPassesOnEvery, DgradIsTheTwins) {
  const auto expected = wide(g).mm(c.seen(parameter));
  auto dx = torch::empty({c.n, c.k}), stored = torch::empty({c.n, c.k}, x.options());
  linear_dgrad({.g = g, .weight = whole_weight(parameter), .dx = dx}, c.backend);
  EXPECT_THAT(dx, IsNear(expected, c.exact()));
  linear_dgrad({.g = g, .weight = whole_weight(parameter), .dx = stored}, c.backend);
  EXPECT_THAT(wide(stored), IsNear(expected, c.stored()));
}

class LinearWgradOnEvery : public LinearPassesOnEvery {};

TEST_P(LinearWgradOnEvery, ReplacesOrAdds) {
  const auto expected = wide(g).t().mm(wide(x));
  auto d_weight = torch::full({c.m, c.k}, NAN);
  linear_wgrad({.g = g, .x = x, .d_weight = d_weight, .accumulate = Accumulate::no}, c.backend);
  EXPECT_THAT(d_weight, IsNear(expected, c.exact()));
  linear_wgrad({.g = g, .x = x, .d_weight = d_weight, .accumulate = Accumulate::yes}, c.backend);
  EXPECT_THAT(d_weight, IsNear(expected * 2, c.exact()));
}

TEST_P(LinearPassesOnEvery, TakeSomeRowsOfAWeight) {
  const auto all = normal({c.m + 3, c.k}, 6);
  Weight some = whole_weight(all, std::make_shared<PackedWeight>());
  some.first_row = 2;
  some.rows = c.m;
  const auto part = c.seen(all.narrow(0, 2, c.m));
  auto y = torch::empty({c.n, c.m}), dx = torch::empty({c.n, c.k});
  linear_forward({.x = x, .weight = some, .bias = {}, .residual = {}, .y = y}, c.backend);
  EXPECT_THAT(y, IsNear(wide(x).mm(part.t()), c.exact()));
  linear_dgrad({.g = g, .weight = some, .dx = dx}, c.backend);
  EXPECT_THAT(dx, IsNear(wide(g).mm(part), c.exact()));
}

// A file's values, and those of the memory that it is mapped to once they have changed.
TEST_P(LinearPassesOnEvery, TakeRowsOfAWeightInAFile) {
  const TemporaryFolder folder;
  write_safetensors(folder / "w.safetensors", {{"first", normal({5}, 7)}, {"w", normal({c.m + 3, c.k}, 6)}});
  const auto all = map_safetensors(folder / "w.safetensors", FileOnceMapped::stays_open).at("w");
  Weight some = whole_weight(all, std::make_shared<PackedWeight>());
  some.first_row = 2;
  some.rows = c.m;
  auto y = torch::empty({c.n, c.m});
  for (int change = 0; change < 2; ++change) {
    if (change == 1) all.mul_(-3);
    linear_forward({.x = x, .weight = some, .bias = {}, .residual = {}, .y = y}, c.backend);
    EXPECT_THAT(y, IsNear(wide(x).mm(c.seen(all.narrow(0, 2, c.m)).t()), c.exact()));
  }
}

TEST_P(LinearPassesOnEvery, SeeAWeightThatChanged) {
  const auto packed = std::make_shared<PackedWeight>();
  auto y = torch::empty({c.n, c.m}), dx = torch::empty({c.n, c.k});
  const auto run = [&] {
    linear_forward({.x = x, .weight = whole_weight(parameter, packed), .bias = {}, .residual = {}, .y = y},
                   c.backend);
    linear_dgrad({.g = g, .weight = whole_weight(parameter, packed), .dx = dx}, c.backend);
  };
  run();
  parameter.mul_(-3);
  run();
  EXPECT_THAT(y, IsNear(wide(x).mm(c.seen(parameter).t()), c.exact()));
  EXPECT_THAT(dx, IsNear(wide(g).mm(c.seen(parameter)), c.exact()));
}

TEST_P(LinearPassesOnEvery, PackAgainWhatWasReleased) {
  const auto packed = std::make_shared<PackedWeight>();
  auto y = torch::empty({c.n, c.m});
  for (int i = 0; i < 2; ++i) {
    y.fill_(NAN);
    linear_forward({.x = x, .weight = whole_weight(parameter, packed), .bias = {}, .residual = {}, .y = y},
                   c.backend);
    EXPECT_THAT(y, IsNear(wide(x).mm(c.seen(parameter).t()), c.exact()));
    packed->release();
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& tested) {
  const Case& c = tested.param;
  std::string backend = c.backend->name;
  std::ranges::replace(backend, ' ', '_');
  return backend + (c.element == Element::f32 ? "_f32_" : "_bf16_") + std::to_string(c.n) + "x" +
         std::to_string(c.k) + "x" + std::to_string(c.m);
}
INSTANTIATE_TEST_SUITE_P(Backends, LinearPassesOnEvery,
                         ::testing::ValuesIn(cases([](const auto& b) { return b.forward != nullptr; })),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Backends, LinearWgradOnEvery,
                         ::testing::ValuesIn(cases([](const auto& b) { return b.wgrad != nullptr; })),
                         name_of);

TEST(LinearPasses, NoRowsGiveAZeroWgrad) {
  auto d_weight = torch::ones({2, 3});
  linear_wgrad({.g = torch::empty({0, 2}), .x = torch::empty({0, 3}), .d_weight = d_weight});
  EXPECT_TRUE(d_weight.equal(torch::zeros({2, 3})));
}

TEST(LinearPasses, SayWhichOperandDoesNotFit) {
  const auto weight = normal({3, 4}, 7);
  EXPECT_THROW(
      linear_dgrad({.g = normal({2, 4}, 8), .weight = whole_weight(weight), .dx = torch::empty({2, 4})}),
      Error);
  EXPECT_THROW(
      linear_dgrad({.g = normal({3, 2}, 8).t(), .weight = whole_weight(weight), .dx = torch::empty({2, 4})}),
      Error);
}

TEST(LinearPasses, TheChosenBackendsAreAmongTheUsable) {
  for (const auto element : {Element::f32, Element::bf16}) {
    const auto usable = kernels::usable_matmul_backends(element);
    const auto& best = kernels::best_matmul_backends(element);
    for (const MatmulBackend* backend : {best.forward, best.dgrad, best.wgrad})
      EXPECT_THAT(usable, ::testing::Contains(backend));
  }
}

}  // namespace
}  // namespace cavmae::linear_passes_test
