#include "cavmae/nn/transformer_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/isa/isa.h"
#include "cavmae/nn/clip_groups.h"
#include "cavmae/nn/patches.h"

#include "tests/support/emulated_tiles.h"
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

RuntimeOptions runtime(Kernels kernels, bool recompute = false) {
  return {.kernels = kernels, .recompute = recompute};
}

struct Shape {
  int64_t clips, length, width, heads, picked;  // picked: 0: all tokens
  double mlp_ratio;
};

// What a pass through a block gives, and the gradients of its input and its parameters.
struct Passes {
  torch::Tensor result, of_x;
  std::vector<torch::Tensor> of_parameters;
};

Passes pass(const Shape& shape, const Compute& how, int backward_passes = 1) {
  Block block(BlockOptions{.width = shape.width, .heads = shape.heads, .mlp_ratio = shape.mlp_ratio});
  randomize(block, 5);
  const auto x = normal({shape.clips, shape.length, shape.width}, 60).requires_grad_();
  const auto ids = normal({shape.clips, shape.length}, 61)
                       .argsort(/*dim=*/int64_t{1}, /*descending=*/false)
                       .narrow(1, 0, shape.picked)
                       .contiguous();
  Passes out;
  for (int i = 0; i < backward_passes; ++i) {
    out.result = shape.picked == 0 ? block(x, NormSet::joint, how)
                                   : block->forward_picked(x, ids, NormSet::joint, how);
    out.result.backward(normal(out.result.sizes(), 62));
  }
  out.of_x = x.grad();
  for (const auto& parameter : block->parameters()) out.of_parameters.push_back(parameter.grad());
  return out;
}

void expect_near(const Passes& ours, const Passes& expected, double tolerance) {
  EXPECT_THAT(ours.result.detach(), IsNear(expected.result.detach(), tolerance));
  EXPECT_THAT(ours.of_x, IsNear(expected.of_x, tolerance));
  for (size_t i = 0; i < expected.of_parameters.size(); ++i)
    EXPECT_THAT(ours.of_parameters[i], IsNear(expected.of_parameters[i], tolerance)) << "parameter " << i;
}

class FusedBlock : public ::testing::TestWithParam<Shape> {};

TEST_P(FusedBlock, IsThePlainTwinInFp32) {
  expect_near(pass(GetParam(), {Precision::fp32, runtime(Kernels::fused)}),
              pass(GetParam(), {Precision::fp32, runtime(Kernels::plain)}), 1e-5);
}

TEST_P(FusedBlock, IsThePlainTwinToTheRoundingOfBf16) {
  expect_near(pass(GetParam(), {Precision::bf16, runtime(Kernels::fused)}),
              pass(GetParam(), {Precision::fp32, runtime(Kernels::plain)}), 4e-2);
}

TEST_P(FusedBlock, IsThePlainTwinOnEmulatedTiles) {
  const testing_support::OnEmulatedTiles on_tiles;
  expect_near(pass(GetParam(), {Precision::bf16, runtime(Kernels::fused)}),
              pass(GetParam(), {Precision::fp32, runtime(Kernels::plain)}), 4e-2);
}

TEST_P(FusedBlock, AddsGradientsToThoseThatAreThere) {
  for (const int64_t group_values : {int64_t{0}, GetParam().length * GetParam().width}) {
    Compute how(Precision::fp32, runtime(Kernels::fused));
    how.group_values = group_values;
    const Passes once = pass(GetParam(), how), twice = pass(GetParam(), how, 2);
    for (size_t i = 0; i < once.of_parameters.size(); ++i)
      EXPECT_THAT(twice.of_parameters[i], IsNear(once.of_parameters[i] * 2, 1e-6)) << "parameter " << i;
  }
}

TEST_P(FusedBlock, GivesTheSameBitsWhenItComputesAgain) {
  for (const auto precision : {Precision::fp32, Precision::bf16}) {
    const Passes kept = pass(GetParam(), {precision, runtime(Kernels::fused)});
    const Passes again = pass(GetParam(), {precision, runtime(Kernels::fused, /*recompute=*/true)});
    EXPECT_TRUE(again.result.equal(kept.result));
    EXPECT_TRUE(again.of_x.equal(kept.of_x));
    for (size_t i = 0; i < kept.of_parameters.size(); ++i)
      EXPECT_TRUE(again.of_parameters[i].equal(kept.of_parameters[i])) << "parameter " << i;
  }
}

TEST_P(FusedBlock, GroupsOfClipsGiveWhatAllGiveAtOnce) {
  for (const bool recompute : {false, true})
    for (const auto precision : {Precision::fp32, Precision::bf16}) {
      Compute how(precision, runtime(Kernels::fused, recompute));
      how.group_values = 0;
      const Passes at_once = pass(GetParam(), how);
      how.group_values = GetParam().length * GetParam().width;  // a clip each
      expect_near(pass(GetParam(), how), at_once, precision == Precision::fp32 ? 5e-6 : 1e-2);
      how.group_values = GetParam().length * GetParam().width * 3 / 2;  // two groups of three clips
      expect_near(pass(GetParam(), how), at_once, precision == Precision::fp32 ? 5e-6 : 1e-2);
    }
}

TEST_P(FusedBlock, GroupsOfClipsOnEmulatedTilesGiveWhatAllGiveAtOnce) {
  const testing_support::OnEmulatedTiles on_tiles;
  Compute how(Precision::bf16, runtime(Kernels::fused));
  how.group_values = 0;
  const Passes at_once = pass(GetParam(), how);
  how.group_values = GetParam().length * GetParam().width;
  expect_near(pass(GetParam(), how), at_once, 1e-3);
}

TEST(FusedBlock, NarrowOnesTakeGroupsSideBySideAndWideOnesDoNotWithoutTiles) {
  constexpr auto kFp32 = kernels::Element::f32;
  kernels::use_engines("forward=blas,dgrad=blas,wgrad=blas", kFp32);
  EXPECT_TRUE(groups_go_side_by_side(96, kFp32));
  EXPECT_GT(group_values_for(96, kFp32), 0);
  EXPECT_FALSE(groups_go_side_by_side(512, kFp32));
  EXPECT_EQ(group_values_for(512, kFp32), 0);
  kernels::use_engines("", kFp32);
}

// A narrow block's, which go side by side where each thread has one.
TEST(FusedBlock, GroupsOfClipsGiveTheSameBitsForAnyNumberOfThreads) {
#ifndef _OPENMP
  GTEST_SKIP() << "built without OpenMP, as for ThreadSanitizer: BLAS would share the products of one group";
#endif
  const Shape shape{7, 33, 64, 2, 0, 4.0};
  const testing_support::OnEmulatedTiles on_tiles;
  kernels::use_engines("forward=blas,dgrad=blas,wgrad=blas", kernels::Element::f32);
  for (const auto precision : {Precision::fp32, Precision::bf16}) {
    Compute how(precision, runtime(Kernels::fused));
    how.group_values = shape.length * shape.width;
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const Passes expected = pass(shape, how);
    for (const int count : {2, 3, 7}) {
      at::set_num_threads(count);
      const Passes ours = pass(shape, how);
      EXPECT_TRUE(ours.result.equal(expected.result)) << count;
      EXPECT_TRUE(ours.of_x.equal(expected.of_x)) << count;
      for (size_t i = 0; i < expected.of_parameters.size(); ++i)
        EXPECT_TRUE(ours.of_parameters[i].equal(expected.of_parameters[i])) << count << ", parameter " << i;
    }
    at::set_num_threads(threads);
  }
  kernels::use_engines("", kernels::Element::f32);
}

// What a GPU computes with, here on the CPU.
TEST_P(FusedBlock, LibraryKernelsAreThePlainTwin) {
  if (usable_isa() != isa_of_processor())
    GTEST_SKIP() << "LibTorch asks the processor for bf16, not oneDNN, which may not use it";
  const Passes expected = pass(GetParam(), {Precision::fp32, runtime(Kernels::plain)});
  expect_near(pass(GetParam(), {Precision::fp32, runtime(Kernels::library)}), expected, 1e-5);
  const Passes rounded = pass(GetParam(), {Precision::bf16, runtime(Kernels::library)});
  expect_near(rounded, expected, 8e-2);  // on the CPU LibTorch rounds attention's weights, too
  EXPECT_EQ(rounded.result.scalar_type(), torch::kFloat32) << "the residual stream stays float";
  EXPECT_EQ(rounded.of_parameters[0].scalar_type(), torch::kFloat32);
}

INSTANTIATE_TEST_SUITE_P(Shapes, FusedBlock,
                         ::testing::Values(Shape{1, 1, 8, 1, 0, 2.0}, Shape{2, 9, 16, 2, 0, 3.0},
                                           Shape{3, 13, 60, 5, 0, 1.3}, Shape{2, 70, 64, 2, 0, 4.0},
                                           Shape{2, 9, 16, 2, 4, 3.0}, Shape{3, 77, 96, 3, 50, 4.0},
                                           Shape{2, 5, 24, 3, 1, 2.0}, Shape{6, 9, 320, 5, 4, 2.0}));

TEST(FusedBlock, WithoutGradientsGivesTheSameBits) {
  Block block(options());
  randomize(block, 6);
  const auto x = normal({2, 9, 16}, 63).requires_grad_();
  for (const auto precision : {Precision::fp32, Precision::bf16}) {
    const auto recorded = block(x, NormSet::audio, precision);
    const torch::NoGradGuard no_grad;
    const auto result = block(x, NormSet::audio, precision);
    EXPECT_FALSE(result.requires_grad());
    EXPECT_TRUE(result.equal(recorded));
  }
}

// All clips at once, and a clip a group.
class FusedBlockInGroups : public ::testing::TestWithParam<int64_t> {
 protected:
  FusedBlockInGroups() { how.group_values = GetParam(); }
  Compute how{Precision::fp32, runtime(Kernels::fused)};
};
INSTANTIATE_TEST_SUITE_P(Sizes, FusedBlockInGroups, ::testing::Values(0, 9 * 16));

TEST_P(FusedBlockInGroups, LeavesFrozenParametersWithoutGradients) {
  Block block(options()), twin(options());
  randomize(block, 7);
  randomize(twin, 7);
  for (auto* module : {&block, &twin})
    for (auto& item : (*module)->named_parameters())
      if (item.key() == "norm2.weight" || item.key() == "attn.qkv.bias" || item.key() == "mlp.fc1.weight" ||
          item.key() == "mlp.fc1.bias")
        item.value().set_requires_grad(false);
  const auto x = normal({2, 9, 16}, 64), gradient = normal({2, 9, 16}, 65);
  block(x, NormSet::joint, how).backward(gradient);
  twin(x, NormSet::joint, Compute(Precision::fp32, runtime(Kernels::plain))).backward(gradient);
  expect_same_gradients(block->named_parameters(), twin->named_parameters());
}

TEST_P(FusedBlockInGroups, AddsOneNormsGradientWhereTheOthersIsNew) {
  Block block(options()), twin(options());
  randomize(block, 8);
  randomize(twin, 8);
  for (auto* module : {&block, &twin})
    (*module)->named_parameters()["norm1.bias"].mutable_grad() = torch::ones({16});
  const auto x = normal({2, 9, 16}, 66), gradient = normal({2, 9, 16}, 67);
  block(x, NormSet::joint, how).backward(gradient);
  twin(x, NormSet::joint, Compute(Precision::fp32, runtime(Kernels::plain))).backward(gradient);
  expect_same_gradients(block->named_parameters(), twin->named_parameters());
}

TEST(FusedBlock, RefusesASecondBackwardPass) {
  Block block(options());
  randomize(block, 9);
  const auto result = block(normal({2, 9, 16}, 68), NormSet::joint, Precision::fp32).sum();
  result.backward();
  EXPECT_ANY_THROW(result.backward());
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
