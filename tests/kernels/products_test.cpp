#include "cavmae/kernels/products.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae::kernels::products_test {
namespace {

using testing_support::IsNear;

torch::Tensor wide(const torch::Tensor& x) {
  return x.to(torch::kFloat32);
}
torch::Tensor rounded(const torch::Tensor& x) {
  return wide(x.to(torch::kBFloat16));
}

struct Case {
  Element element;
  ProductEngine engine;
  int64_t n, k, m;

  torch::Tensor elements(const torch::Tensor& x) const { return x.to(scalar_type(element)); }
  // A parameter as the products see it.
  torch::Tensor seen(const torch::Tensor& weight) const {
    return element == Element::f32 ? weight : rounded(weight);
  }
  double exact() const { return 1e-5; }                                       // sums are float
  double stored() const { return element == Element::f32 ? exact() : 4e-3; }  // half of 2^-7
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto element : {Element::f32, Element::bf16})
    for (const auto engine : usable_product_engines(element))
      for (const auto& [n, k, m] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                    {5, 7, 3},
                                    {33, 64, 96},
                                    {130, 100, 50},
                                    {1500, 48, 33}})
        all.push_back({element, engine, n, k, m});
  return all;
}

class ProductsOnEvery : public ::testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  torch::Tensor x = c.elements(normal({c.n, c.k}, 1)), g = c.elements(normal({c.n, c.m}, 2));
  torch::Tensor parameter = normal({c.m, c.k}, 3), bias = normal({c.m}, 4), residual = normal({c.n, c.m}, 5);
};

TEST_P(ProductsOnEvery, ForwardIsTheTwins) {
  const auto product = wide(x).mm(c.seen(parameter).t());
  auto y = torch::empty({c.n, c.m});
  forward_product({.x = x, .weight = whole_weight(parameter), .bias = bias, .residual = residual, .y = y},
                  c.engine);
  EXPECT_THAT(y, IsNear(product + bias + residual, c.exact()));
  forward_product({.x = x, .weight = whole_weight(parameter), .bias = {}, .residual = {}, .y = y}, c.engine);
  EXPECT_THAT(y, IsNear(product, c.exact()));
  auto stored = torch::empty({c.n, c.m}, x.options());
  forward_product({.x = x, .weight = whole_weight(parameter), .bias = bias, .residual = {}, .y = stored},
                  c.engine);
  EXPECT_THAT(wide(stored), IsNear(product + bias, c.stored()));
}

TEST_P(ProductsOnEvery, InputGradientIsTheTwins) {
  const auto expected = wide(g).mm(c.seen(parameter));
  auto dx = torch::empty({c.n, c.k}), stored = torch::empty({c.n, c.k}, x.options());
  input_gradient({.g = g, .weight = whole_weight(parameter), .dx = dx}, c.engine);
  EXPECT_THAT(dx, IsNear(expected, c.exact()));
  input_gradient({.g = g, .weight = whole_weight(parameter), .dx = stored}, c.engine);
  EXPECT_THAT(wide(stored), IsNear(expected, c.stored()));
}

TEST_P(ProductsOnEvery, WeightGradientReplacesOrAdds) {
  const auto expected = wide(g).t().mm(wide(x));
  auto d_weight = torch::full({c.m, c.k}, NAN);
  weight_gradient({.g = g, .x = x, .d_weight = d_weight, .gather = Gather::replace}, c.engine);
  EXPECT_THAT(d_weight, IsNear(expected, c.exact()));
  weight_gradient({.g = g, .x = x, .d_weight = d_weight, .gather = Gather::add}, c.engine);
  EXPECT_THAT(d_weight, IsNear(expected * 2, c.exact()));
}

TEST_P(ProductsOnEvery, TakeSomeRowsOfAWeight) {
  const auto all = normal({c.m + 3, c.k}, 6);
  Weight some = whole_weight(all, std::make_shared<PackedWeight>());
  some.first_row = 2;
  some.rows = c.m;
  const auto part = c.seen(all.narrow(0, 2, c.m));
  auto y = torch::empty({c.n, c.m}), dx = torch::empty({c.n, c.k});
  forward_product({.x = x, .weight = some, .bias = {}, .residual = {}, .y = y}, c.engine);
  EXPECT_THAT(y, IsNear(wide(x).mm(part.t()), c.exact()));
  input_gradient({.g = g, .weight = some, .dx = dx}, c.engine);
  EXPECT_THAT(dx, IsNear(wide(g).mm(part), c.exact()));
}

TEST_P(ProductsOnEvery, SeeAWeightThatChanged) {
  const auto packed = std::make_shared<PackedWeight>();
  auto y = torch::empty({c.n, c.m}), dx = torch::empty({c.n, c.k});
  const auto run = [&] {
    forward_product({.x = x, .weight = whole_weight(parameter, packed), .bias = {}, .residual = {}, .y = y},
                    c.engine);
    input_gradient({.g = g, .weight = whole_weight(parameter, packed), .dx = dx}, c.engine);
  };
  run();
  parameter.mul_(-3);
  run();
  EXPECT_THAT(y, IsNear(wide(x).mm(c.seen(parameter).t()), c.exact()));
  EXPECT_THAT(dx, IsNear(wide(g).mm(c.seen(parameter)), c.exact()));
}

TEST_P(ProductsOnEvery, PackAgainWhatWasReleased) {
  const auto packed = std::make_shared<PackedWeight>();
  auto y = torch::empty({c.n, c.m});
  for (int i = 0; i < 2; ++i) {
    y.fill_(NAN);
    forward_product({.x = x, .weight = whole_weight(parameter, packed), .bias = {}, .residual = {}, .y = y},
                    c.engine);
    EXPECT_THAT(y, IsNear(wide(x).mm(c.seen(parameter).t()), c.exact()));
    packed->release();
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& tested) {
  static constexpr const char* kEngines[] = {"blas", "onednn", "widened"};
  const Case& c = tested.param;
  return std::string(kEngines[static_cast<int>(c.engine)]) +
         (c.element == Element::f32 ? "_f32_" : "_bf16_") + std::to_string(c.n) + "x" + std::to_string(c.k) +
         "x" + std::to_string(c.m);
}
INSTANTIATE_TEST_SUITE_P(Engines, ProductsOnEvery, ::testing::ValuesIn(cases()), name_of);

TEST(Products, NoRowsGiveAZeroWeightGradient) {
  auto d_weight = torch::ones({2, 3});
  weight_gradient({.g = torch::empty({0, 2}), .x = torch::empty({0, 3}), .d_weight = d_weight});
  EXPECT_TRUE(d_weight.equal(torch::zeros({2, 3})));
}

TEST(Products, SayWhichOperandDoesNotFit) {
  const auto weight = normal({3, 4}, 7);
  EXPECT_THROW(
      input_gradient({.g = normal({2, 4}, 8), .weight = whole_weight(weight), .dx = torch::empty({2, 4})}),
      Error);
  EXPECT_THROW(input_gradient(
                   {.g = normal({3, 2}, 8).t(), .weight = whole_weight(weight), .dx = torch::empty({2, 4})}),
               Error);
}

TEST(Products, TheChosenEnginesAreAmongTheUsable) {
  for (const auto element : {Element::f32, Element::bf16}) {
    const auto usable = usable_product_engines(element);
    EXPECT_THAT(usable, ::testing::Contains(best_product_engine(element)));
  }
}

}  // namespace
}  // namespace cavmae::kernels::products_test
