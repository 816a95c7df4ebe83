#include "cavmae/kernels/tile_matmul.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/torch.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/buffer.h"

#include "tests/support/elements.h"
#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae::kernels::tile_matmul_test {
namespace {

using testing_support::bf16_of;
using testing_support::IsNear;

using Sizes = std::tuple<int64_t, int64_t, int64_t>;  // n, k, m

std::vector<const TileKernels*> kernels_here() {
  std::vector<const TileKernels*> kernels = {&emulated_tile_kernels()};
#ifdef CAVMAE_X86_KERNELS
  if (tiles_trouble().empty()) kernels.push_back(&native_tile_kernels());
#endif
  return kernels;
}

torch::Tensor rounded_normal(at::IntArrayRef sizes, uint64_t seed) {
  return normal(sizes, seed).to(torch::kBFloat16);
}

// Results lie between rows that nothing may write to.
class Guarded {
 public:
  Guarded(int64_t rows, int64_t columns, torch::ScalarType type)
      : all_(torch::full({rows + 2, columns}, 7, type)), rows_(all_.narrow(0, 1, rows)) {
    rows_.fill_(NAN);
  }
  Matrix matrix() const {
    return {rows_.data_ptr(), rows_.size(0), rows_.size(1),
            rows_.scalar_type() == torch::kFloat32 ? Element::f32 : Element::bf16};
  }
  torch::Tensor checked() const {
    EXPECT_TRUE((all_[0] == 7).all().item<bool>() && (all_[-1] == 7).all().item<bool>())
        << "written past the result";
    return rows_.to(torch::kFloat32);
  }
  torch::Tensor rows() const { return rows_; }

 private:
  torch::Tensor all_, rows_;
};

ConstMatrix matrix_of(const torch::Tensor& t) {
  return {bf16_of(t), t.size(0), t.size(1), Element::bf16};
}

class TileMatmul : public ::testing::TestWithParam<Sizes> {
 protected:
  void SetUp() override {
    const auto [n, k, m] = GetParam();
    x = rounded_normal({n, k}, 1), g = rounded_normal({n, m}, 2);
    weight = normal({m, k}, 3), bias = normal({m}, 4), residual = normal({n, m}, 5);
    rounded = weight.to(torch::kBFloat16).to(torch::kFloat32);
  }
  WeightRows weight_rows() const {
    return {.data = weight.data_ptr<float>(), .rows = weight.size(0), .columns = weight.size(1)};
  }
  torch::Tensor forward(const TileKernels& kernels, torch::ScalarType type) const {
    const Guarded y(x.size(0), weight.size(0), type);
    tile_forward({.x = matrix_of(x),
                  .weight = weight_rows(),
                  .bias = bias.data_ptr<float>(),
                  .residual = type == torch::kFloat32 ? residual.data_ptr<float>() : nullptr,
                  .y = y.matrix()},
                 kernels);
    return y.checked();
  }
  torch::Tensor dgrad(const TileKernels& kernels, torch::ScalarType type) const {
    const Guarded dx(g.size(0), weight.size(1), type);
    tile_dgrad({.g = matrix_of(g), .weight = weight_rows(), .dx = dx.matrix()}, kernels);
    return dx.checked();
  }
  torch::Tensor wgrad(const TileKernels& kernels, Accumulate accumulate) const {
    const Guarded d_weight(weight.size(0), weight.size(1), torch::kFloat32);
    if (accumulate == Accumulate::yes) d_weight.rows().fill_(1);
    tile_wgrad({.g = matrix_of(g),
                .x = matrix_of(x),
                .d_weight = d_weight.rows().data_ptr<float>(),
                .accumulate = accumulate},
               kernels);
    return d_weight.checked();
  }
  std::vector<torch::Tensor> all(const TileKernels& kernels) const {
    return {forward(kernels, torch::kFloat32), forward(kernels, torch::kBFloat16),
            dgrad(kernels, torch::kFloat32),   dgrad(kernels, torch::kBFloat16),
            wgrad(kernels, Accumulate::no),    wgrad(kernels, Accumulate::yes)};
  }
  torch::Tensor x, g, weight, bias, residual, rounded;
};

TEST_P(TileMatmul, IsTheTwin) {
  const auto wide_x = x.to(torch::kFloat32), wide_g = g.to(torch::kFloat32);
  const auto y = wide_x.mm(rounded.t()) + bias, dx = wide_g.mm(rounded), d_weight = wide_g.t().mm(wide_x);
  for (const TileKernels* kernels : kernels_here()) {
    const auto results = all(*kernels);
    EXPECT_THAT(results[0], IsNear(y + residual, 1e-5)) << kernels->name;
    EXPECT_THAT(results[1], IsNear(y.to(torch::kBFloat16).to(torch::kFloat32), 4e-3)) << kernels->name;
    EXPECT_THAT(results[2], IsNear(dx, 1e-5)) << kernels->name;
    EXPECT_THAT(results[3], IsNear(dx.to(torch::kBFloat16).to(torch::kFloat32), 4e-3)) << kernels->name;
    EXPECT_THAT(results[4], IsNear(d_weight, 1e-5)) << kernels->name;
    EXPECT_THAT(results[5], IsNear(d_weight + 1, 1e-5)) << kernels->name;
  }
}

TEST_P(TileMatmul, IsBitForBitTheSameOnEveryKindOfTilesAndAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const auto expected = all(emulated_tile_kernels());
  for (const int threads : {1, 2, 5})
    for (const TileKernels* kernels : kernels_here()) {
      at::set_num_threads(threads);
      const auto results = all(*kernels);
      for (size_t i = 0; i < results.size(); ++i)
        EXPECT_TRUE(results[i].equal(expected[i])) << i << ", " << threads << " threads, " << kernels->name;
    }
  at::set_num_threads(before);
}

// Less than a tile, edges in every direction, rows that are copied, several pieces, slices of K; weight
// gradients that go past the cache, of whole blocks and with edges.
INSTANTIATE_TEST_SUITE_P(Sizes, TileMatmul,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{5, 33, 17}, Sizes{31, 64, 32},
                                           Sizes{32, 32, 32}, Sizes{33, 32, 64}, Sizes{70, 96, 100},
                                           Sizes{200, 40, 33}, Sizes{590, 64, 300}, Sizes{40, 900, 70},
                                           Sizes{96, 1200, 40}, Sizes{300, 1700, 32}, Sizes{40, 512, 544},
                                           Sizes{33, 528, 530}));

#ifdef CAVMAE_X86_KERNELS
TEST(TilePacking, ByAvx512IsTheTwins) {
  if (!usable_isa().has(Isa::avx512)) GTEST_SKIP() << "this process may not use AVX-512";
  constexpr decltype(&TilePackers::rows_as_a) kWays[] = {&TilePackers::columns_as_a, &TilePackers::rows_as_b,
                                                         &TilePackers::rows_as_a, &TilePackers::columns_as_b};
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{1, 1}, {32, 32}, {33, 31}, {64, 100}, {95, 16}}) {
    const auto all = rounded_normal({rows, columns + 5}, 1);
    const auto packed_by = [&](auto pack) {
      auto packed =
          torch::full({tile_blocks(rows) * tile_blocks(columns), kTileStepUnits}, NAN, torch::kBFloat16);
      const Buffer aligned(packed.numel() * 2);
      pack({.data = bf16_of(all),
            .row_stride = columns + 5,
            .rows = rows,
            .columns = columns,
            .packed = aligned.as<Bf16>()},
           0, tile_blocks(rows));
      std::memcpy(packed.data_ptr(), aligned.data(), static_cast<size_t>(packed.numel()) * 2);
      return packed;
    };
    for (const auto way : kWays)
      EXPECT_TRUE(packed_by(avx512_tile_packers().*way).equal(packed_by(plain_tile_packers().*way)))
          << rows << ' ' << columns;
  }
}
#endif

TEST(TileGrid, CoversEveryBlockOnceWithAllThreads) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{5664, 512}, {1, 3000}, {100, 100}, {3072, 768}})
    for (const int64_t threads : {1, 2, 7, 16}) {
      TileProduct product;
      product.a.rows = n, product.c.columns = m;
      const TileGrid grid(product, threads);
      int64_t covered = 0;
      for (int64_t part = 0; part < grid.of_rows * grid.of_panels; ++part) {
        const TileRegion region = grid.region(product, part);
        EXPECT_GT(region.end_block, region.first_block);
        EXPECT_GT(region.end_panel, region.first_panel);
        covered += (region.end_block - region.first_block) * (region.end_panel - region.first_panel);
      }
      EXPECT_EQ(covered, product.row_blocks() * product.panels());
      EXPECT_LE(grid.of_rows * grid.of_panels, threads);
    }
}

}  // namespace
}  // namespace cavmae::kernels::tile_matmul_test
