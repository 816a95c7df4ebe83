#include "cavmae/kernels/emulated_tiles.h"

#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae::kernels::emulated_tiles_test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

uint16_t bf16(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

// One row of `pairs` pairs times one column of them, onto `sum`.
float product(const std::vector<float>& a, const std::vector<float>& b, float sum) {
  TileShapes shapes;
  const auto pairs = static_cast<uint8_t>(a.size() / 2);
  shapes.rows[0] = 1, shapes.bytes[0] = 4;
  shapes.rows[1] = 1, shapes.bytes[1] = static_cast<uint16_t>(4 * pairs);
  shapes.rows[2] = pairs, shapes.bytes[2] = 4;
  std::vector<uint16_t> a16, b16;
  for (const float value : a) a16.push_back(bf16(value));
  for (const float value : b) b16.push_back(bf16(value));
  EmulatedTiles::configure(shapes);
  EmulatedTiles::load<0>(&sum, 4);
  EmulatedTiles::load<1>(a16.data(), 0);
  EmulatedTiles::load<2>(b16.data(), 4);
  EmulatedTiles::multiply<0, 1, 2>();
  EmulatedTiles::store<0>(&sum, 4);
  EmulatedTiles::release();
  return sum;
}

TEST(EmulatedTiles, SumThePairsHalvesApart) {
  EXPECT_EQ(product({1, 2, 3, 4}, {5, 6, 7, 8}, 0.5f), 70.5f);
  // 2^24 + 1 is no float: with 1 added to each half first, 2^24 + 2 would be.
  EXPECT_EQ(product({0x1p24f, 1, 1, 0}, {1, 1, 1, 0}, 0), 0x1p24f);
  EXPECT_EQ(product({1, 0x1p24f, 1, -0x1p24f}, {1, 1, 1, 1}, 0), 2.0f);
}

TEST(EmulatedTiles, RoundOnceAndTakeDenormalsForZero) {
  // A product of two factors is not rounded before it is added, even where no float holds it.
  EXPECT_EQ(product({0x1p-70f, 0, 0x1p-70f, 0}, {0x1p-70f, 0, 0x1p-70f, 0}, 0), 0.0f);
  EXPECT_EQ(product({-0x1p127f, 0, 0x1p64f, 0}, {1, 0, 0x1p64f, 0}, 0), 0x1p127f);
  EXPECT_EQ(product({std::bit_cast<float>(0x00400000), 0}, {0x1p100f, 0}, 1), 1.0f);
  EXPECT_EQ(product({1, 0}, {1, 0}, std::bit_cast<float>(0x00000001)), 1.0f);
}

TEST(EmulatedTiles, InfinitiesAndNoNumbersAreThoseOfFloats) {
  EXPECT_EQ(product({kInf, 0}, {1, 0}, -5), kInf);
  EXPECT_TRUE(std::isnan(product({kInf, 0}, {0, 0}, 0)));
  EXPECT_TRUE(std::isnan(product({kInf, kInf}, {1, -1}, 0)));
}

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
}  // namespace cavmae::kernels::emulated_tiles_test
