#include "cavmae/nn/gradient_uses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/nn/linear.h"

#include "tests/support/normal.h"

namespace cavmae::gradient_uses_test {
namespace {

using ::testing::ElementsAre;

TEST(GradientUses, ANodeOfOursIsOneUseAndAutogradsAccumulationIsOneForAll) {
  Linear layer(8, 8), other(8, 8);
  const auto by_autograd = torch::ones({8}).requires_grad_(), unused = torch::ones({8}).requires_grad_();
  layer->bias.set_requires_grad(false);
  const std::vector<torch::Tensor> parameters = {layer->weight, layer->bias, by_autograd, unused,
                                                 other->weight};
  for (int pass = 0; pass < 2; ++pass) {  // a hook of the first does not tell in the second
    const auto x = normal({4, 8}, 1);
    const auto y = layer(layer(layer(x, Compute()) * by_autograd, Compute()) + by_autograd, Compute());
    std::vector<int64_t> told(parameters.size());
    const auto uses = watch_uses(y.sum(), parameters, [&](size_t parameter) { ++told[parameter]; });
    EXPECT_THAT(uses, ElementsAre(3, 0, 1, 0, 0));
    EXPECT_THAT(told, ElementsAre(0, 0, 0, 0, 0)) << "another node leads to the loss that is differentiated";
    std::fill(told.begin(), told.end(), 0);
    const auto loss = y.square().sum();
    EXPECT_THAT(watch_uses(loss, parameters, [&](size_t parameter) { ++told[parameter]; }),
                ElementsAre(3, 0, 1, 0, 0));
    loss.backward();
  }
}

TEST(GradientUses, TheLastUseIsToldWhenTheGradientIsComplete) {
  Linear layer(8, 8);
  const auto scale = torch::ones({8}).requires_grad_();
  const std::vector<torch::Tensor> parameters = {layer->weight, layer->bias, scale};
  const auto h = layer(normal({4, 8}, 1), Compute());
  const auto loss = (layer(h * scale, Compute()) * scale).square().sum();
  std::vector<int64_t> missing;
  std::vector<torch::Tensor> complete(parameters.size());
  missing = watch_uses(loss, parameters, [&](size_t parameter) {
    if (--missing[parameter] == 0) complete[parameter] = parameters[parameter].grad().clone();
  });
  EXPECT_THAT(missing, ElementsAre(2, 2, 1));
  loss.backward();
  EXPECT_THAT(missing, ElementsAre(0, 0, 0));
  for (size_t i = 0; i < parameters.size(); ++i) EXPECT_TRUE(complete[i].equal(parameters[i].grad())) << i;
}

}  // namespace
}  // namespace cavmae::gradient_uses_test
