#include "cavmae/kernels/pack_weight.h"

#include <bit>
#include <cmath>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/torch.h"
#include "cavmae/kernels/buffer.h"

#include "tests/support/elements.h"
#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae::kernels::pack_weight_test {
namespace {

using Sizes = std::tuple<int64_t, int64_t, int64_t>;  // rows, columns, block columns

class PackWeight : public ::testing::TestWithParam<Sizes> {};

// Value by value, as the layout is described.
torch::Tensor packed_plainly(const torch::Tensor& factor, int64_t block_columns) {
  const int64_t depth = factor.size(0), width = factor.size(1);
  const int64_t down = (depth + kPackedBlockRows - 1) / kPackedBlockRows;
  const int64_t across = (width + block_columns - 1) / block_columns;
  auto packed = torch::zeros({across, down, kPackedBlockRows / 2, block_columns, 2}, torch::kBFloat16);
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t n = 0; n < width; ++n)
      packed[n / block_columns][k / kPackedBlockRows][k % kPackedBlockRows / 2][n % block_columns][k % 2] =
          factor[k][n];
  return packed;
}

TEST_P(PackWeight, PutsEveryValueInItsPlace) {
  const auto [rows, columns, block_columns] = GetParam();
  const auto weight = normal({rows, columns}, 1);
  for (const auto factor : {PackedFactor::transposed, PackedFactor::not_transposed}) {
    const auto expected =
        packed_plainly(factor == PackedFactor::transposed ? weight.t() : weight, block_columns);
    auto packed = torch::full_like(expected, NAN);
    pack_weight({.weight = weight.data_ptr<float>(),
                 .rows = rows,
                 .columns = columns,
                 .factor = factor,
                 .block_columns = block_columns,
                 .packed = testing_support::bf16_of(packed)});
    EXPECT_TRUE(packed.equal(expected))
        << (factor == PackedFactor::transposed ? "transposed" : "not transposed");
  }
}

// A forward pass's factor, with the same values and another memory.
TEST_P(PackWeight, ReadsWhatStandsInAFile) {
  const auto [rows, columns, block_columns] = GetParam();
  const auto weight = normal({rows, columns}, 1), memory = torch::full_like(weight, NAN);
  const TemporaryFolder folder;
  constexpr uint64_t kFirst = 12;
  write_file(
      folder / "weight",
      std::string(kFirst, 'x') + std::string(static_cast<const char*>(weight.data_ptr()), weight.nbytes()));
  const auto expected = packed_plainly(weight.t(), block_columns);
  auto packed = torch::full_like(expected, NAN);
  WeightPacking packing{.weight = memory.data_ptr<float>(),
                        .rows = rows,
                        .columns = columns,
                        .block_columns = block_columns,
                        .packed = testing_support::bf16_of(packed),
                        .in_file = PlaceInFile{.file = std::make_shared<const FileReader>(folder / "weight"),
                                               .position = kFirst}};
  pack_weight(packing);
  EXPECT_TRUE(packed.equal(expected));
  packing.in_file->position += 4;  // the last row would end behind the file
  EXPECT_THROW(pack_weight(packing), CheckpointError);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PackWeight,
                         ::testing::Values(Sizes{1, 1, 16}, Sizes{32, 64, 64}, Sizes{33, 31, 32},
                                           Sizes{50, 100, 48}, Sizes{67, 17, 64}, Sizes{96, 130, 16}));

// A weight that is no number must not become one.
TEST(PackWeight, WhatIsNoNumberStaysSo) {
  std::vector<float> weight(32, std::bit_cast<float>(0x7fffffffu));
  const Buffer aligned(kPackedBlockRows * 16 * 2);
  pack_weight(
      {.weight = weight.data(), .rows = 1, .columns = 32, .block_columns = 16, .packed = aligned.as<Bf16>()});
  const auto* const first = aligned.as<uint16_t>();
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(uint32_t{first[0]} << 16)));
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(uint32_t{first[1]} << 16)));
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(uint32_t{round_to_bf16(weight[0]).bits} << 16)));
}

TEST(PackWeight, RefusesBlocksThatAreNotOfVectors) {
  EXPECT_THROW(pack_weight({.rows = 1, .columns = 1, .block_columns = 20}), Error);
}

}  // namespace
}  // namespace cavmae::kernels::pack_weight_test
