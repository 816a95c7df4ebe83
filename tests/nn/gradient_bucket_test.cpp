#include "cavmae/nn/gradient_bucket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/nn/gradient_target.h"
#include "cavmae/nn/linear.h"

#include "tests/support/normal.h"

namespace cavmae::gradient_bucket_test {
namespace {

using kernels::Accumulate;

Linear random_layer() {
  Linear layer(40, 9);
  const torch::NoGradGuard no_grad;
  layer->weight.copy_(normal({9, 40}, 1));
  layer->bias.copy_(normal({9}, 2));
  return layer;
}

// So many backward passes of different inputs.
void run_backward(Linear& layer, Precision precision, int passes) {
  for (int i = 0; i < passes; ++i)
    layer(normal({3, 7, 40}, 3 + static_cast<uint64_t>(i)), Compute(precision))
        .backward(normal({3, 7, 9}, 8));
}

TEST(GradientBucket, TwoParametersInItHaveTheGradientsThatTheyHaveWithout) {
  for (const auto precision : {Precision::fp32, Precision::bf16})
    for (const int passes : {1, 2}) {
      Linear expected = random_layer(), layer = random_layer();
      run_backward(expected, precision, passes);
      GradientBucket bucket({layer->weight, layer->bias});
      for (int step = 0; step < 2; ++step) {  // what the first left does not show in the second
        bucket.prepare();
        run_backward(layer, precision, passes);
        EXPECT_TRUE(layer->weight.grad().equal(expected->weight.grad()));
        EXPECT_TRUE(layer->bias.grad().equal(expected->bias.grad()));
      }
      EXPECT_TRUE(bucket.flat().narrow(0, 0, 360).equal(expected->weight.grad().flatten()));
      EXPECT_TRUE(bucket.flat().narrow(0, 368, 9).equal(expected->bias.grad()));
      EXPECT_EQ(bucket.flat().numel(), 368 + 16);
    }
}

TEST(GradientBucket, KnowsWhichGradientsWereWritten) {
  const auto by_autograd = torch::zeros({3}).requires_grad_(), by_block = torch::zeros({2}).requires_grad_(),
             unused = torch::zeros({2}).requires_grad_();
  GradientBucket bucket({by_autograd, by_block, unused});
  for (int step = 0; step < 2; ++step) {
    bucket.prepare();
    EXPECT_THAT(bucket.written(), ::testing::ElementsAre(false, false, false));
    by_autograd.sum().backward();
    gradient_target(by_block);
    EXPECT_THAT(bucket.written(), ::testing::ElementsAre(true, true, false));
  }
}

TEST(GradientBucket, AFreshGradientIsWrittenAndThenAddedTo) {
  const auto parameter = torch::zeros({3, 5}).requires_grad_();
  GradientBucket bucket({parameter});
  bucket.prepare();
  EXPECT_EQ(gradient_target(parameter).accumulate, Accumulate::no);
  EXPECT_EQ(gradient_target(parameter).accumulate, Accumulate::yes);
  bucket.prepare();
  const auto target = gradient_target(parameter);
  EXPECT_EQ(target.accumulate, Accumulate::no);
  EXPECT_EQ(target.data(), bucket.flat().data_ptr<float>());
}

TEST(GradientBucket, AGradientThatAutogradAddedToIsNotFresh) {
  const auto parameter = torch::zeros({4}).requires_grad_();
  GradientBucket bucket({parameter});
  bucket.prepare();
  (parameter * 3).sum().backward();
  EXPECT_TRUE(bucket.flat().narrow(0, 0, 4).equal(torch::full({4}, 3.0f)));
  EXPECT_EQ(gradient_target(parameter).accumulate, Accumulate::yes);
}

TEST(GradientBucket, WhatNothingWroteToIsZero) {
  const auto used = torch::zeros({4}).requires_grad_(), unused = torch::zeros({20}).requires_grad_();
  GradientBucket bucket({used, unused});
  bucket.prepare();
  used.sum().backward();
  EXPECT_TRUE(unused.grad().equal(torch::zeros({20})));
}

TEST(GradientBucket, OtherGradientsAreAddedTo) {
  const auto parameter = torch::zeros({4}).requires_grad_();
  EXPECT_EQ(gradient_target(parameter).accumulate, Accumulate::no) << "there was none";
  EXPECT_EQ(gradient_target(parameter).accumulate, Accumulate::yes);
}

TEST(GradientBucket, FrozenParametersAreLeftOutAndOtherTypesRefused) {
  const auto frozen = torch::zeros({4});
  EXPECT_EQ(GradientBucket({frozen}).flat().numel(), 0);
  EXPECT_THROW(GradientBucket({torch::zeros({4}, torch::kDouble).requires_grad_()}), Error);
}

}  // namespace
}  // namespace cavmae::gradient_bucket_test
