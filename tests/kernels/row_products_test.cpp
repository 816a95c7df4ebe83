#include "cavmae/kernels/row_products.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/core/torch.h"

#include "tests/support/normal.h"

namespace cavmae::kernels {
namespace {

const HalfBits* bits_of(const torch::Tensor& half) {
  return reinterpret_cast<const HalfBits*>(half.data_ptr<at::Half>());
}

TEST(HalfNumbers, AreTheFloatsThatTheyStandFor) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float expected = static_cast<float>(at::Half(static_cast<uint16_t>(bits), at::Half::from_bits()));
    const float number = float_of_half(static_cast<HalfBits>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(number)) << bits;
    } else {
      ASSERT_EQ(number, expected) << bits;
      ASSERT_EQ(std::signbit(number), std::signbit(expected)) << bits;
    }
  }
}

// Widths beside the numbers of lanes, rows with gaps between them, all of them and picked ones.
TEST(RowProducts, OfEveryVersionEqualTheSumsInDouble) {
  for (const int64_t width : {1, 7, 8, 31, 32, 33, 100, 768}) {
    const torch::Tensor wide = normal({40, width + 3}, static_cast<uint64_t>(width));
    const torch::Tensor vector = normal({width}, 99);
    for (const torch::ScalarType type : {torch::kFloat32, torch::kFloat16}) {
      const torch::Tensor rows = wide.to(type), exact = rows.narrow(1, 0, width).to(torch::kFloat64);
      const std::vector<int64_t> picked = {3, 0, 39, 17, 17};
      for (const bool is_picked : {false, true}) {
        const torch::Tensor of = is_picked ? exact.index_select(0, torch::tensor(picked)) : exact;
        const torch::Tensor expected = of.matmul(vector.to(torch::kFloat64)), lengths = of.square().sum(1);
        for (const RowProductsVersion* version : usable_row_products()) {
          torch::Tensor products = torch::empty({of.size(0)}), squares = torch::empty({of.size(0)});
          const auto run = [&](auto function, auto numbers) {
            function({.rows = numbers,
                      .stride = width + 3,
                      .width = width,
                      .num_rows = of.size(0),
                      .indices = is_picked ? picked.data() : nullptr},
                     vector.data_ptr<float>(), products.data_ptr<float>(), squares.data_ptr<float>());
          };
          if (type == torch::kFloat32)
            run(version->functions.of_floats, static_cast<const float*>(rows.data_ptr<float>()));
          else
            run(version->functions.of_halfs, bits_of(rows));
          const double tolerance = 1e-6 * static_cast<double>(width + 1);
          EXPECT_TRUE(torch::allclose(products.to(torch::kFloat64), expected, 0, tolerance))
              << version->name << width;
          EXPECT_TRUE(torch::allclose(squares.to(torch::kFloat64), lengths, 1e-5, 1e-6))
              << version->name << width;
        }
      }
    }
  }
}

TEST(RowProducts, InDoubleAreTheSameBitsInEveryVersion) {
  for (const int64_t width : {1, 7, 8, 33, 768}) {
    const torch::Tensor rows = normal({9, width}, static_cast<uint64_t>(width)), vector = normal({width}, 3);
    const torch::Tensor halfs = rows.to(torch::kFloat16);
    for (const bool is_half : {false, true}) {
      const torch::Tensor exact = (is_half ? halfs : rows).to(torch::kFloat64);
      std::vector<double> first_products, first_squares;
      for (const RowProductsVersion* version : usable_row_products()) {
        std::vector<double> products(9), squares(9);
        if (is_half)
          version->functions.exact_of_halfs(
              {.rows = bits_of(halfs), .stride = width, .width = width, .num_rows = 9},
              vector.data_ptr<float>(), products.data(), squares.data());
        else
          version->functions.exact_of_floats(
              {.rows = rows.data_ptr<float>(), .stride = width, .width = width, .num_rows = 9},
              vector.data_ptr<float>(), products.data(), squares.data());
        if (first_products.empty()) first_products = products, first_squares = squares;
        EXPECT_EQ(products, first_products) << version->name;
        EXPECT_EQ(squares, first_squares) << version->name;
        EXPECT_TRUE(torch::allclose(torch::tensor(products, torch::kFloat64),
                                    exact.matmul(vector.to(torch::kFloat64)), 0,
                                    1e-12 * static_cast<double>(width + 8)));
      }
    }
  }
}

TEST(RowProducts, TellWhatIsNotFinite) {
  torch::Tensor rows = normal({3, 20}, 1);
  rows[1][13] = std::numeric_limits<float>::quiet_NaN();
  rows[2][2] = std::numeric_limits<float>::infinity();
  const torch::Tensor halfs = rows.to(torch::kFloat16), vector = normal({20}, 2);
  for (const RowProductsVersion* version : usable_row_products()) {
    float products[3], squares[3];
    version->functions.of_halfs({.rows = bits_of(halfs), .stride = 20, .width = 20, .num_rows = 3},
                                vector.data_ptr<float>(), products, squares);
    EXPECT_TRUE(std::isfinite(squares[0])) << version->name;
    EXPECT_TRUE(std::isnan(squares[1])) << version->name;
    EXPECT_TRUE(std::isinf(squares[2])) << version->name;
  }
}

}  // namespace
}  // namespace cavmae::kernels
