#include "cavmae/nn/patches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/nn/patch_embedding.h"
#include "cavmae/nn/position_embedding.h"

#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae {
namespace {

using testing_support::IsNear;

TEST(CutPatches, JoinUndoesIt) {
  for (const int64_t channels : {1, 3}) {
    const auto pictures = normal({2, channels, 12, 20}, 1);
    const auto patches = cut_patches(pictures, 4, PatchOrder::channels_last);
    EXPECT_EQ(patches.sizes(), (std::vector<int64_t>{2, 15, 16 * channels}));
    EXPECT_TRUE(join_patches(patches, {.rows = 3, .columns = 5}, 4).equal(pictures));
  }
}

TEST(CutPatches, ValuesLieWhereTheOrderSays) {
  const auto pictures = normal({1, 3, 4, 6}, 2);
  const auto last = cut_patches(pictures, 2, PatchOrder::channels_last);
  const auto first = cut_patches(pictures, 2, PatchOrder::channels_first);
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t column = 0; column < 6; ++column)
      for (int64_t channel = 0; channel < 3; ++channel) {
        const int64_t token = row / 2 * 3 + column / 2, y = row % 2, x = column % 2;
        const float value = pictures[0][channel][row][column].item<float>();
        EXPECT_EQ(last[0][token][(y * 2 + x) * 3 + channel].item<float>(), value);
        EXPECT_EQ(first[0][token][(channel * 2 + y) * 2 + x].item<float>(), value);
      }
}

TEST(PatchEmbedding, EqualsAConvolution) {
  PatchEmbedding embedding(3, 4, 10);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : embedding->parameters()) parameter.copy_(normal(parameter.sizes(), 3));
  const auto named = embedding->named_parameters();
  EXPECT_EQ(named["proj.weight"].sizes(), (std::vector<int64_t>{10, 3, 4, 4}));
  const auto pictures = normal({2, 3, 8, 12}, 4);
  const auto expected =
      at::conv2d(pictures, named["proj.weight"], named["proj.bias"], /*stride=*/4).flatten(2).transpose(1, 2);
  const auto patches = cut_patches(pictures, 4, PatchOrder::channels_first);
  EXPECT_THAT(embedding(patches, Precision::fp32), IsNear(expected, 1e-6));
}

TEST(PickTokens, EqualsGatherInBothPasses) {
  const auto tokens = normal({2, 6, 3}, 5).requires_grad_();
  const auto twin = tokens.detach().clone().requires_grad_();
  const auto ids = torch::tensor({{4, 0, 5}, {1, 2, 3}}, torch::kInt64);
  const auto gradient = normal({2, 3, 3}, 6);
  const auto picked = pick_tokens(tokens, ids);
  const auto expected = twin.gather(1, ids.unsqueeze(2).expand({-1, -1, 3}));
  EXPECT_TRUE(picked.equal(expected));
  picked.backward(gradient);
  expected.backward(gradient);
  EXPECT_TRUE(tokens.grad().equal(twin.grad()));
}

TEST(PlaceTokens, EqualsScatterInBothPasses) {
  const auto tokens = normal({2, 3, 4}, 7).requires_grad_(), filler = normal({1, 1, 4}, 8).requires_grad_();
  const auto twin_tokens = tokens.detach().clone().requires_grad_();
  const auto twin_filler = filler.detach().clone().requires_grad_();
  const auto ids = torch::tensor({{4, 0, 5}, {1, 2, 3}}, torch::kInt64);
  const auto gradient = normal({2, 6, 4}, 9);
  const auto placed = place_tokens(tokens, filler, ids, 6);
  const auto expected =
      twin_filler.expand({2, 6, 4}).scatter(1, ids.unsqueeze(2).expand({-1, -1, 4}), twin_tokens);
  EXPECT_TRUE(placed.equal(expected));
  placed.backward(gradient);
  expected.backward(gradient);
  EXPECT_TRUE(tokens.grad().equal(twin_tokens.grad()));
  EXPECT_THAT(filler.grad(), IsNear(twin_filler.grad(), 1e-6));
}

TEST(SincosPositions, FirstHalfCodesTheColumn) {
  const auto table = sincos_positions(8, {.rows = 2, .columns = 3})[0];
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t column = 0; column < 3; ++column) {
      const auto code = table[row * 3 + column];
      const std::vector<double> expected = {
          std::sin(column), std::sin(column / 100.0), std::cos(column), std::cos(column / 100.0),
          std::sin(row),    std::sin(row / 100.0),    std::cos(row),    std::cos(row / 100.0)};
      for (int64_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(code[i].item<float>(), static_cast<float>(expected[i]));
    }
}

TEST(SincosPositions, AWidthWithoutQuartersIsAnError) {
  EXPECT_THROW(sincos_positions(10, {.rows = 1, .columns = 1}), Error);
}

}  // namespace
}  // namespace cavmae
