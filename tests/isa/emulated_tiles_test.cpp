// Both kinds of tiles, the instructions where this process may use them, beside a definition of their
// product.
#include "cavmae/isa/emulated_tiles.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Factors of rows x pairs and of pairs x columns pairs of bf16, and sums of rows x columns floats.
struct TileOperands {
  int rows = 1, pairs = 1, columns = 1;
  std::vector<uint16_t> a = {}, b = {};
  std::vector<uint32_t> sums = {};
};

// On tiles of just that shape; what lies between the rows of `sums` stays as it is.
template <class Tiles>
std::vector<uint32_t> product_on(const TileOperands& of) {
  TileShapes shapes;
  const auto shape = [&](int tile, int rows, int columns) {
    shapes.rows[tile] = static_cast<uint8_t>(rows);
    shapes.bytes[tile] = static_cast<uint16_t>(4 * columns);
  };
  shape(0, of.rows, of.columns), shape(3, of.rows, of.pairs), shape(6, of.pairs, of.columns);
  constexpr int kGap = 3;
  constexpr uint32_t kBetween = 0x7fbadbad;
  const int stride = of.columns + kGap;
  std::vector<uint32_t> wide(static_cast<size_t>(of.rows * stride), kBetween), result;
  const auto row_of = [&](int row) { return wide.begin() + static_cast<int64_t>(row) * stride; };
  for (int row = 0; row < of.rows; ++row)
    std::copy_n(of.sums.begin() + static_cast<int64_t>(row) * of.columns, of.columns, row_of(row));
  Tiles::configure(shapes);
  Tiles::template load<0>(wide.data(), 4 * stride);
  Tiles::template load<3>(of.a.data(), 4 * of.pairs);
  Tiles::template load_past_l1<6>(of.b.data(), 4 * of.columns);
  Tiles::template multiply<0, 3, 6>();
  Tiles::template store<0>(wide.data(), 4 * stride);
  Tiles::release();
  for (int row = 0; row < of.rows; ++row) {
    result.insert(result.end(), row_of(row), row_of(row) + of.columns);
    for (int i = 0; i < kGap; ++i) EXPECT_EQ(*(row_of(row) + of.columns + i), kBetween);
  }
  return result;
}

float flushed_to_zero(float value) {
  return std::abs(value) < std::numeric_limits<float>::min() ? std::copysign(0.0F, value) : value;
}

// As Intel's manual has it: denormals are zero, of factors, sums and results; the first and the second of all
// pairs are summed apart by multiply-adds that round once, and then added to the sums.
std::vector<uint32_t> product_by_definition(const TileOperands& of) {
  const auto value = [](uint16_t bits) {
    return flushed_to_zero(std::bit_cast<float>(uint32_t{bits} << 16));
  };
  std::vector<uint32_t> result;
  for (int row = 0; row < of.rows; ++row)
    for (int column = 0; column < of.columns; ++column) {
      float halves[2] = {};
      for (int pair = 0; pair < of.pairs; ++pair)
        for (int half = 0; half < 2; ++half)
          halves[half] = flushed_to_zero(std::fma(
              value(of.a[static_cast<size_t>(2 * (row * of.pairs + pair) + half)]),
              value(of.b[static_cast<size_t>(2 * (pair * of.columns + column) + half)]), halves[half]));
      const float sum =
          flushed_to_zero(std::bit_cast<float>(of.sums[static_cast<size_t>(row * of.columns + column)]));
      result.push_back(
          std::bit_cast<uint32_t>(flushed_to_zero(sum + flushed_to_zero(halves[0] + halves[1]))));
    }
  return result;
}

// Of the values that are no numbers there are many, and which one an operation gives is nobody's promise.
uint32_t one_nan(uint32_t bits) {
  constexpr uint32_t kQuietNan = 0x7fc00000;
  return std::isnan(std::bit_cast<float>(bits)) ? kQuietNan : bits;
}

struct KindOfTiles {
  const char* name;
  std::vector<uint32_t> (*product)(const TileOperands&);
};
void PrintTo(const KindOfTiles& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<KindOfTiles> kinds_here() {
  std::vector<KindOfTiles> kinds = {{"emulated", product_on<EmulatedTiles>}};
#ifdef CAVMAE_X86_KERNELS
  if (tiles_trouble().empty()) kinds.push_back({"native", product_on<NativeTiles>});
#endif
  return kinds;
}

class TilesHere : public ::testing::TestWithParam<KindOfTiles> {
 protected:
  // One row of pairs times one column of them, onto `sum`.
  static float product(const std::vector<float>& a, const std::vector<float>& b, float sum) {
    const auto bf16 = [](const std::vector<float>& values) {
      std::vector<uint16_t> bits;
      for (const float value : values)
        bits.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
      return bits;
    };
    return std::bit_cast<float>(GetParam()
                                    .product({.pairs = static_cast<int>(a.size() / 2),
                                              .a = bf16(a),
                                              .b = bf16(b),
                                              .sums = {std::bit_cast<uint32_t>(sum)}})
                                    .front());
  }
};

TEST_P(TilesHere, SumThePairsHalvesApart) {
  EXPECT_EQ(product({1, 2, 3, 4}, {5, 6, 7, 8}, 0.5F), 70.5F);
  // 2^24 + 1 is no float: with 1 added to each half first, 2^24 + 2 would be.
  EXPECT_EQ(product({0x1p24F, 1, 1, 0}, {1, 1, 1, 0}, 0), 0x1p24F);
  EXPECT_EQ(product({1, 0x1p24F, 1, -0x1p24F}, {1, 1, 1, 1}, 0), 2.0F);
}

TEST_P(TilesHere, RoundOnceAndTakeDenormalsForZero) {
  // A product of two factors is not rounded before it is added, even where no float holds it.
  EXPECT_EQ(product({0x1p-70F, 0, 0x1p-70F, 0}, {0x1p-70F, 0, 0x1p-70F, 0}, 0), 0.0F);
  EXPECT_EQ(product({-0x1p127F, 0, 0x1p64F, 0}, {1, 0, 0x1p64F, 0}, 0), 0x1p127F);
  EXPECT_EQ(product({std::bit_cast<float>(0x00400000), 0}, {0x1p100F, 0}, 1), 1.0F);
  EXPECT_EQ(product({1, 0}, {1, 0}, std::bit_cast<float>(0x00000001)), 1.0F);
}

TEST_P(TilesHere, InfinitiesAndNoNumbersAreThoseOfFloats) {
  EXPECT_EQ(product({kInf, 0}, {1, 0}, -5), kInf);
  EXPECT_TRUE(std::isnan(product({kInf, 0}, {0, 0}, 0)));
  EXPECT_TRUE(std::isnan(product({kInf, kInf}, {1, -1}, 0)));
}

// Bits that are random: anywhere, so that infinities and no numbers are among them; of values so small that
// products and sums are denormal; of values near one.
TEST_P(TilesHere, AreTheDefinitionOfAnyBitsAndShapes) {
  std::mt19937 random(3);
  const auto up_to = [&](int most) { return 1 + static_cast<int>(random() % static_cast<unsigned>(most)); };
  size_t results = 0, numbers = 0;
  for (int i = 0; i < 1000; ++i) {
    TileOperands of{.rows = up_to(16), .pairs = up_to(16), .columns = up_to(16)};
    const int kind = i % 4;  // kinds 2 and 3 have sums of about one and of any size
    const auto factor = [&] {
      const auto bits = static_cast<uint16_t>(random());
      const unsigned sign_and_digits = bits & 0x807fU, exponent = (bits >> 7) & 0xff;
      if (kind == 0) return bits;
      return static_cast<uint16_t>(sign_and_digits | (kind == 1 ? exponent % 72 : 112 + exponent % 32) << 7);
    };
    of.a.resize(static_cast<size_t>(2 * of.rows * of.pairs));
    of.b.resize(static_cast<size_t>(2 * of.pairs * of.columns));
    of.sums.resize(static_cast<size_t>(of.rows * of.columns));
    for (uint16_t& bits : of.a) bits = factor();
    for (uint16_t& bits : of.b) bits = factor();
    for (uint32_t& bits : of.sums) {
      bits = static_cast<uint32_t>(random());
      if (kind == 1) bits &= 0x80ffffff;  // below 2^-125
      if (kind == 2) bits = (bits & 0x807fffff) | 0x3f800000;
    }
    if (i % 8 == 0) of.b[0] = 0x7f80;
    const auto expected = product_by_definition(of), found = GetParam().product(of);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t at = 0; at < found.size(); ++at) {
      ASSERT_EQ(one_nan(found[at]), one_nan(expected[at]))
          << of.rows << " x " << of.pairs << " x " << of.columns << ", product " << i << ", result " << at;
      numbers += std::isfinite(std::bit_cast<float>(found[at])) ? 1 : 0;
    }
    results += found.size();
  }
  EXPECT_GT(results, 40'000U);
  EXPECT_GT(numbers, results / 2) << "most products are of numbers";
  EXPECT_LT(numbers, results) << "some are not";
}

INSTANTIATE_TEST_SUITE_P(Kinds, TilesHere, ::testing::ValuesIn(kinds_here()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(EmulatedTiles, RefuseWhatWouldBeNoInstruction) {
  EmulatedTiles::release();
  EXPECT_THROW(EmulatedTiles::zero<0>(), Error);
  TileShapes shapes = TileShapes::all_whole();
  shapes.rows[3] = 17;
  EXPECT_THROW(EmulatedTiles::configure(shapes), Error);
  shapes.rows[3] = 8;
  EmulatedTiles::configure(shapes);
  EXPECT_THROW((EmulatedTiles::multiply<0, 1, 3>()), Error);
  EmulatedTiles::release();
}

}  // namespace
}  // namespace cavmae
