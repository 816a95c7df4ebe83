#include "cavmae/nn/transformer_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/nn/patches.h"

#include "tests/support/golden.h"
#include "tests/support/normal.h"
#include "tests/support/plain_block.h"

namespace cavmae {
namespace {

using testing_support::IsNear;
using testing_support::Parameters;
using testing_support::plain_block;

template <class Module>
void randomize(Module& module, uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : module->parameters()) parameter.copy_(normal(parameter.sizes(), seed++) * 0.3);
}

BlockOptions options() {
  return {
      .width = 16, .heads = 2, .mlp_ratio = 3.0, .norms = {NormSet::joint, NormSet::audio, NormSet::video}};
}

void expect_same_gradients(const Parameters& ours, const Parameters& twins) {
  for (const auto& item : ours) {
    const auto& gradient = item.value().grad();
    const auto& expected = twins[item.key()].grad();
    ASSERT_EQ(gradient.defined(), expected.defined()) << item.key();
    if (expected.defined()) {
      EXPECT_THAT(gradient, IsNear(expected, 1e-5)) << item.key();
    }
  }
}

class BlockNorms : public ::testing::TestWithParam<std::pair<NormSet, const char*>> {};

TEST_P(BlockNorms, EqualsThePlainTwinInBothPasses) {
  const auto& [norms, suffix] = GetParam();
  Block block(options()), twin(options());
  randomize(block, 1);
  randomize(twin, 1);
  const auto x = normal({2, 9, 16}, 50).requires_grad_(), twin_x = x.detach().clone().requires_grad_();
  const auto gradient = normal({2, 9, 16}, 51);
  const auto result = block(x, norms, Precision::fp32);
  const auto expected = plain_block(twin->named_parameters(), "", twin_x, {.heads = 2, .norms = suffix});
  EXPECT_THAT(result, IsNear(expected, 1e-6));
  result.backward(gradient);
  expected.backward(gradient);
  EXPECT_THAT(x.grad(), IsNear(twin_x.grad(), 1e-5));
  expect_same_gradients(block->named_parameters(), twin->named_parameters());
}

TEST_P(BlockNorms, PickedTokensAreThoseOfTheWholeInBothPasses) {
  const auto& [norms, suffix] = GetParam();
  BlockStack stack(2, options()), twin(2, options());
  randomize(stack, 2);
  randomize(twin, 2);
  const auto x = normal({2, 9, 16}, 52).requires_grad_(), twin_x = x.detach().clone().requires_grad_();
  const auto ids = torch::tensor({{8, 1, 3, 0}, {2, 7, 5, 4}}, torch::kInt64);
  const auto gradient = normal({2, 4, 16}, 53);
  const auto result = stack->forward_picked(x, ids, norms, Precision::fp32);
  const auto expected = pick_tokens(twin(twin_x, norms, Precision::fp32), ids);
  EXPECT_THAT(result, IsNear(expected, 1e-6));
  result.backward(gradient);
  expected.backward(gradient);
  EXPECT_THAT(x.grad(), IsNear(twin_x.grad(), 1e-5));
  expect_same_gradients(stack->named_parameters(), twin->named_parameters());
}

INSTANTIATE_TEST_SUITE_P(Sets, BlockNorms,
                         ::testing::Values(std::pair{NormSet::joint, ""}, std::pair{NormSet::audio, "_a"},
                                           std::pair{NormSet::video, "_v"}));

TEST(Block, RegistersOnlyTheNormsAskedFor) {
  Block block(BlockOptions{.width = 8, .heads = 2, .mlp_ratio = 4.0, .norms = {NormSet::audio}});
  const auto names = block->named_parameters();
  EXPECT_TRUE(names.contains("norm1_a.weight"));
  EXPECT_FALSE(names.contains("norm1.weight"));
  EXPECT_THROW(block(torch::zeros({1, 2, 8}), NormSet::joint, Precision::fp32), Error);
}

TEST(Block, LeavesItsInputAsItWas) {
  Block block(options());
  randomize(block, 3);
  const auto x = normal({1, 5, 16}, 54), before = x.clone();
  const torch::NoGradGuard no_grad;
  block(x, NormSet::joint, Precision::fp32);
  block->forward_picked(x, torch::tensor({{0, 2}}, torch::kInt64), NormSet::joint, Precision::fp32);
  EXPECT_TRUE(x.equal(before));
}

TEST(Block, Bf16IsCloseToFp32) {
  Block block(options());
  randomize(block, 4);
  const auto x = normal({2, 9, 16}, 55);
  EXPECT_THAT(block(x, NormSet::joint, Precision::bf16),
              IsNear(block(x, NormSet::joint, Precision::fp32), 2e-2));
}

TEST(BlockStack, WithoutBlocksPassesTokensOn) {
  BlockStack stack(0, options());
  const auto x = normal({2, 4, 16}, 56);
  const auto ids = torch::tensor({{1}, {3}}, torch::kInt64);
  EXPECT_TRUE(stack(x, NormSet::joint, Precision::fp32).equal(x));
  EXPECT_TRUE(stack->forward_picked(x, ids, NormSet::joint, Precision::fp32).equal(pick_tokens(x, ids)));
}

}  // namespace
}  // namespace cavmae
