#include "cavmae/nn/linear.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae {
namespace {

using testing_support::IsNear;
using testing_support::relative_error;

torch::Tensor rounded(const torch::Tensor& x) {
  return x.to(torch::kBFloat16).to(torch::kFloat32);
}

struct Layer {
  torch::Tensor x = normal({3, 7, 20}, 1).requires_grad_();
  torch::Tensor weight = normal({9, 20}, 2).requires_grad_();
  torch::Tensor bias = normal({9}, 3).requires_grad_();
  torch::Tensor gradient = normal({3, 7, 9}, 4);
};

// What the products of rounded factors are, written out.
TEST(LinearBf16, ViaFp32IsTheMatmulOfRoundedFactors) {
  Layer layer;
  const auto result = linear_bf16(layer.x, layer.weight, layer.bias, Bf16Matmul::via_fp32);
  result.backward(layer.gradient);
  const auto x = rounded(layer.x.detach()), weight = rounded(layer.weight.detach());
  const auto gradient = rounded(layer.gradient);
  EXPECT_THAT(result, IsNear(x.matmul(weight.t()) + layer.bias.detach(), 1e-6));
  EXPECT_THAT(layer.x.grad(), IsNear(gradient.matmul(weight), 1e-6));
  EXPECT_THAT(layer.weight.grad(), IsNear(gradient.flatten(0, 1).t().mm(x.flatten(0, 1)), 1e-6));
  EXPECT_THAT(layer.bias.grad(), IsNear(layer.gradient.sum(torch::IntArrayRef{0, 1}), 1e-6));
}

class LinearBf16Matmul : public ::testing::TestWithParam<Bf16Matmul> {};

TEST_P(LinearBf16Matmul, IsCloseToFp32AndFloatEverywhere) {
  Layer ours, exact;
  const auto result = linear_bf16(ours.x, ours.weight, ours.bias, GetParam());
  const auto expected = linear(exact.x, exact.weight, exact.bias, Precision::fp32);
  result.backward(ours.gradient);
  expected.backward(exact.gradient);
  EXPECT_THAT(result, IsNear(expected.detach(), 1e-2));
  EXPECT_THAT(ours.x.grad(), IsNear(exact.x.grad(), 1e-2));
  EXPECT_THAT(ours.weight.grad(), IsNear(exact.weight.grad(), 1e-2));
  EXPECT_THAT(ours.bias.grad(), IsNear(exact.bias.grad(), 1e-6));
  for (const auto& tensor : {result, ours.x.grad(), ours.weight.grad(), ours.bias.grad()})
    EXPECT_EQ(tensor.scalar_type(), torch::kFloat32);
  EXPECT_GT(relative_error(result, expected.detach()), 1e-5) << "nothing was rounded";
}

TEST_P(LinearBf16Matmul, TakesRowsAndNoGradients) {
  Layer layer;
  const auto rows = layer.x.flatten(0, 1);
  const auto result = linear_bf16(rows, layer.weight, layer.bias, GetParam());
  EXPECT_TRUE(result.view({3, 7, 9}).equal(linear_bf16(layer.x, layer.weight, layer.bias, GetParam())));
  const auto constant = linear_bf16(rows.detach(), layer.weight, layer.bias, GetParam());
  constant.sum().backward();
  EXPECT_TRUE(layer.weight.grad().defined());
  EXPECT_FALSE(layer.x.grad().defined());
}

TEST(LinearInBf16, ReturnsBf16CloseToFp32AndFloatGradientsOfParameters) {
  Layer ours, exact;
  const auto result = linear_in_bf16(ours.x, ours.weight, ours.bias);
  const auto expected = linear(exact.x, exact.weight, exact.bias, Precision::fp32);
  EXPECT_EQ(result.scalar_type(), torch::kBFloat16);
  EXPECT_THAT(result, IsNear(expected.detach(), 1e-2));
  result.backward(ours.gradient.to(torch::kBFloat16));
  expected.backward(exact.gradient);
  EXPECT_THAT(ours.x.grad(), IsNear(exact.x.grad(), 1e-2));
  EXPECT_THAT(ours.weight.grad(), IsNear(exact.weight.grad(), 1e-2));
  EXPECT_EQ(ours.weight.grad().scalar_type(), torch::kFloat32);
  EXPECT_EQ(ours.bias.grad().scalar_type(), torch::kFloat32);
}

TEST(UnfusedLinear, TheResultsTypeIsTheCallers) {
  const Layer layer;
  const auto type_of = [&](Kernels kernels, Precision precision, ResultType result) {
    RuntimeOptions runtime;
    runtime.kernels = kernels;
    return unfused_linear(layer.x, layer.weight, layer.bias, Compute(precision, runtime), result)
        .scalar_type();
  };
  EXPECT_EQ(type_of(Kernels::library, Precision::bf16, ResultType::as_computed), torch::kBFloat16);
  EXPECT_EQ(type_of(Kernels::library, Precision::bf16, ResultType::fp32), torch::kFloat32);
  EXPECT_EQ(type_of(Kernels::library, Precision::fp32, ResultType::as_computed), torch::kFloat32);
  EXPECT_EQ(type_of(Kernels::plain, Precision::bf16, ResultType::as_computed), torch::kFloat32);
}

// The module's fused kernels and their twin, with an input of three dimensions.
TEST(LinearLayer, EveryKindOfKernelsIsThePlainTwinInBothPasses) {
  for (const auto& [precision, tolerance] :
       {std::pair{Precision::fp32, 1e-5}, std::pair{Precision::bf16, 1e-2}}) {
    std::map<Kernels, std::vector<torch::Tensor>> results;
    for (const auto kernels : {Kernels::fused, Kernels::library, Kernels::plain}) {
      Linear layer(20, 9);
      const torch::NoGradGuard no_grad;
      layer->weight.copy_(normal({9, 20}, 2));
      layer->bias.copy_(normal({9}, 3));
      const torch::AutoGradMode with_grad(true);
      const auto x = normal({3, 7, 20}, 1).requires_grad_();
      const auto y = layer(x, Compute(precision, {.kernels = kernels, .recompute = false}));
      y.backward(normal({3, 7, 9}, 4));
      results[kernels] = {y.detach(), x.grad(), layer->weight.grad(), layer->bias.grad()};
    }
    for (const auto kernels : {Kernels::fused, Kernels::library})
      for (size_t i = 0; i < results[kernels].size(); ++i)
        EXPECT_THAT(results[kernels][i], IsNear(results[Kernels::plain][i], tolerance)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearBf16Matmul, ::testing::Values(Bf16Matmul::native, Bf16Matmul::via_fp32));

}  // namespace
}  // namespace cavmae
