#include "cavmae/models/resize_positions.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/pretrained.h"
#include "cavmae/nn/position_embedding.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsNear;
using testing_support::random_model;
using testing_support::small_config;

// Keys' cubic with a = -0.75.
double cubic(double x) {
  constexpr double a = -0.75;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// One axis: where the output's place lies between the input's, edges repeated.
struct Tap {
  int64_t index = 0;
  double weight = 0;
};
std::vector<Tap> taps(int64_t place, int64_t from, int64_t to) {
  const double at =
      (static_cast<double>(place) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
  const auto first = static_cast<int64_t>(std::floor(at)) - 1;
  std::vector<Tap> out;
  for (int64_t i = first; i < first + 4; ++i)
    out.push_back({std::clamp<int64_t>(i, 0, from - 1), cubic(at - static_cast<double>(i))});
  return out;
}

torch::Tensor plain_resize(const torch::Tensor& table, const GridChange& grids) {
  const int64_t width = table.size(2);
  const auto in = table.view({grids.from.rows, grids.from.columns, width}).to(torch::kFloat64);
  auto out = torch::zeros({grids.to.rows, grids.to.columns, width}, torch::kFloat64);
  for (int64_t row = 0; row < grids.to.rows; ++row)
    for (int64_t column = 0; column < grids.to.columns; ++column)
      for (const Tap& y : taps(row, grids.from.rows, grids.to.rows))
        for (const Tap& x : taps(column, grids.from.columns, grids.to.columns))
          out[row][column] += in[y.index][x.index] * (y.weight * x.weight);
  return out.view({1, grids.to.size(), width});
}

torch::Tensor resize(const torch::Tensor& table, const GridChange& grids,
                     PositionFit fit = PositionFit::interpolate, const std::string& name = "pos_embed_a") {
  return resize_positions(table, name, grids, fit).table;
}

torch::Tensor random_table(const PatchGrid& grid) {
  return torch::empty({1, grid.size(), 8}).normal_(0, 1, at::detail::createCPUGenerator(1));
}

// Shorter sound keeps the positions of its first columns, to the bit; everything else is interpolated.
TEST(ResizePositions, TrainedOnesAreTrimmedInTime) {
  const GridChange shorter{.from = {.rows = 4, .columns = 6}, .to = {.rows = 4, .columns = 3}};
  const torch::Tensor table = random_table(shorter.from);
  const auto grid = table.view({4, 6, 8});
  EXPECT_TRUE(resize(table, shorter, PositionFit::trim).equal(grid.narrow(1, 0, 3).reshape({1, 12, 8})));
  EXPECT_EQ(resize_positions(table, "decoder_pos_embed_a", shorter, PositionFit::trim).how,
            "trimmed to the first 3 of 6 columns");
  const GridChange narrower{.from = {.rows = 4, .columns = 6}, .to = {.rows = 2, .columns = 3}};
  EXPECT_THAT(resize(table, narrower, PositionFit::trim),
              IsNear(plain_resize(grid.narrow(1, 0, 3).reshape({1, 12, 8}), {{4, 3}, {2, 3}}), 1e-5));
  const GridChange longer{.from = {.rows = 4, .columns = 6}, .to = {.rows = 4, .columns = 9}};
  EXPECT_THAT(resize(table, longer, PositionFit::trim), IsNear(plain_resize(table, longer), 1e-5));
  const GridChange picture{.from = {.rows = 4, .columns = 4}, .to = {.rows = 2, .columns = 2}};
  EXPECT_THAT(resize(random_table(picture.from), picture, PositionFit::trim, "pos_embed_v"),
              IsNear(plain_resize(random_table(picture.from), picture), 1e-5));
}

// Of the table alone: the grid that its fixed positions were computed for, also after some training.
TEST(SincosGrid, IsSeenInATable) {
  for (const PatchGrid grid :
       {PatchGrid{8, 64}, PatchGrid{4, 25}, PatchGrid{8, 8}, PatchGrid{1, 12}, PatchGrid{25, 4}}) {
    const torch::Tensor table = sincos_positions(32, grid);
    for (const double trained : {0.0, 0.1}) {
      const auto found =
          sincos_grid(table + trained * torch::randn(table.sizes(), at::detail::createCPUGenerator(2)), 8);
      ASSERT_TRUE(found.has_value()) << grid.rows << " x " << grid.columns;
      EXPECT_EQ(found->rows, grid.rows);
      EXPECT_EQ(found->columns, grid.columns);
    }
  }
  EXPECT_FALSE(sincos_grid(0.02 * torch::randn({1, 512, 32}), 8).has_value());
  EXPECT_FALSE(sincos_grid(torch::empty({1, 512, 32}, torch::kMeta), 8).has_value());
}

TEST(ResizePositions, FixedOnesAreComputedAnew) {
  const GridChange grids{.from = {.rows = 2, .columns = 6}, .to = {.rows = 2, .columns = 9}};
  EXPECT_TRUE(resize(sincos_positions(24, grids.from), grids).equal(sincos_positions(24, grids.to)));
  const auto half = sincos_positions(24, grids.from).to(torch::kFloat16);
  EXPECT_TRUE(resize(half, grids).equal(sincos_positions(24, grids.to)));
}

TEST(ResizePositions, TrainedOnesAreInterpolatedOnTheirGrid) {
  for (const GridChange grids : {GridChange{{2, 6}, {2, 9}}, GridChange{{5, 5}, {3, 3}},
                                 GridChange{{1, 4}, {3, 2}}, GridChange{{3, 3}, {3, 3}}}) {
    const auto table =
        torch::empty({1, grids.from.size(), 8}).normal_(0, 1, at::detail::createCPUGenerator(1));
    EXPECT_THAT(resize(table, grids), IsNear(plain_resize(table, grids), 1e-5));
  }
}

TEST(GridChange, ComesFromTheNetworkOrFromTheLength) {
  CavMaeConfig from = small_config(), to = small_config();
  from.num_mel_bins = 64;
  from.num_fbank_frames = 48;  // 4 x 3, where 2 x 6 would have as many
  to.num_fbank_frames = 160;
  const PositionTable table{.name = "pos_embed_a", .length = 12, .where = "file"};
  const GridChange stated = grid_change(table, from, to), guessed = grid_change(table, std::nullopt, to);
  EXPECT_EQ(stated.from.rows, 4);
  EXPECT_EQ(guessed.from.rows, 2);
  EXPECT_EQ(guessed.from.columns, 6);
  EXPECT_EQ(guessed.to.columns, 10);
  const auto refuse = [&](const PositionTable& bad) -> std::string {
    try {
      grid_change(bad, std::nullopt, to);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(refuse({.name = "pos_embed_a", .length = 13, .where = "file"}),
              AllOf(HasSubstr("'pos_embed_a' has 13"), HasSubstr("2 rows")));
  EXPECT_THAT(refuse({.name = "decoder_pos_embed_v", .length = 12, .where = "file"}), HasSubstr("square"));
}

class OtherInputs : public ::testing::TestWithParam<bool> {};

TEST_P(OtherInputs, LoadWithTheirPositionsFitted) {
  TemporaryFolder folder;
  CavMaeConfig config = small_config();
  config.train_positions = GetParam();
  auto model = random_model(config, 1);
  save_model(folder / "model.safetensors", model,
             InputSpec{.num_fbank_frames = 96, .num_mel_bins = 32, .image_size = 48});
  const InputShape shape{.num_fbank_frames = 128, .image_size = 64, .window_seconds = 1.5};
  try {
    load_pretrained(folder / "model.safetensors", {.shape = shape});
    FAIL() << "no error";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'pos_embed_a'"), HasSubstr("'decoder_pos_embed_v'"),
                                    HasSubstr("--resize-positions")));
  }
  const Pretrained loaded =
      load_pretrained(folder / "model.safetensors", {.shape = shape, .positions = PositionFit::interpolate});
  EXPECT_EQ(loaded.spec.num_fbank_frames, 128);
  EXPECT_EQ(loaded.spec.image_size, 64);
  EXPECT_EQ(loaded.spec.window_seconds, 1.5);
  EXPECT_EQ(loaded.report.resized.size(), 4u);
  CavMae network = loaded.network();
  const auto ours = network->named_parameters(), before = model->named_parameters();
  const PatchGrid sound{.rows = 2, .columns = 8}, picture{.rows = 4, .columns = 4};
  if (GetParam()) {
    EXPECT_THAT(ours["pos_embed_a"],
                IsNear(plain_resize(before["pos_embed_a"].detach(), {{2, 6}, sound}), 1e-5));
    EXPECT_THAT(ours["decoder_pos_embed_v"],
                IsNear(plain_resize(before["decoder_pos_embed_v"].detach(), {{3, 3}, picture}), 1e-5));
  } else {
    EXPECT_TRUE(ours["pos_embed_a"].equal(sincos_positions(24, sound)));
    EXPECT_TRUE(ours["decoder_pos_embed_v"].equal(sincos_positions(16, picture)));
  }
  EXPECT_TRUE(ours["blocks_u.0.attn.qkv.weight"].equal(before["blocks_u.0.attn.qkv.weight"]));
  const Inputs inputs = testing_support::random_inputs(network->config(), 2, 3);
  const torch::NoGradGuard no_grad;
  EXPECT_EQ(network->embed(inputs).audio.sizes(), (std::vector<int64_t>{2, 24}));
}

INSTANTIATE_TEST_SUITE_P(Positions, OtherInputs, ::testing::Values(false, true),
                         [](const auto& chosen) { return chosen.param ? "trained" : "fixed"; });

TEST(InputShape, ShapesThatAreNotWholePatchesAreRefused) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 1);
  save_model(folder / "model.safetensors", model, InputSpec{});
  EXPECT_THROW(load_pretrained(folder / "model.safetensors",
                               {.shape = {.num_fbank_frames = 100}, .positions = PositionFit::interpolate}),
               ConfigError);
}

}  // namespace
}  // namespace cavmae
