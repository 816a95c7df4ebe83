#include "cavmae/isa/emulated_tiles.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr int kTiles = 8, kMaxRows = 16, kMaxBytes = 64, kMaxColumns = 16;
constexpr uint32_t kExponent = 0x7f800000, kSign = 0x80000000;

struct Tiles {
  TileShapes shapes;
  bool configured = false;
  alignas(64) uint8_t rows[kTiles][kMaxRows][kMaxBytes] = {};
};

Tiles& tiles() {
  thread_local Tiles own;
  return own;
}

Tiles& configured(int tile) {
  Tiles& own = tiles();
  CAVMAE_CHECK(own.configured && own.shapes.rows[tile] > 0, "tile ", tile, " is used without a shape");
  return own;
}

// Denormals are zero, whatever the thread's mode says.
float flushed(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return (bits & kExponent) == 0 ? std::bit_cast<float>(bits & kSign) : value;
}

float widened(const uint8_t* bf16) {
  uint16_t bits;
  std::memcpy(&bits, bf16, sizeof(bits));
  return flushed(std::bit_cast<float>(uint32_t{bits} << 16));
}

// a b + c, rounded once: the product of two bf16 has 16 digits, which a float holds unless it is too small or
// too large.
float multiply_add(float a, float b, float c) {
  const float product = a * b;
  const uint32_t exponent = std::bit_cast<uint32_t>(product) & kExponent;
  const bool exact = (exponent != 0 && exponent != kExponent) || a == 0 || b == 0;
  return flushed(exact ? product + c : std::fma(a, b, c));
}

}  // namespace

void EmulatedTiles::configure(const TileShapes& shapes) {
  Tiles& own = tiles();
  for (int tile = 0; tile < kTiles; ++tile)
    CAVMAE_CHECK(shapes.rows[tile] <= kMaxRows && shapes.bytes[tile] <= kMaxBytes &&
                     (shapes.rows[tile] == 0) == (shapes.bytes[tile] == 0),
                 "tile ", tile, " cannot have ", int{shapes.rows[tile]}, " rows of ", shapes.bytes[tile],
                 " bytes");
  own.shapes = shapes;
  own.configured = true;
  std::memset(own.rows, 0, sizeof(own.rows));
}

void EmulatedTiles::release() {
  tiles().configured = false;
}

void EmulatedTiles::zero_tile(int tile) {
  std::memset(configured(tile).rows[tile], 0, sizeof(Tiles::rows[0]));
}

// What lies past the shape becomes zero.
void EmulatedTiles::load_tile(int tile, const void* rows, int64_t stride) {
  zero_tile(tile);
  Tiles& own = tiles();
  for (int row = 0; row < own.shapes.rows[tile]; ++row)
    std::memcpy(own.rows[tile][row], static_cast<const char*>(rows) + row * stride, own.shapes.bytes[tile]);
}

void EmulatedTiles::store_tile(int tile, void* rows, int64_t stride) {
  const Tiles& own = configured(tile);
  for (int row = 0; row < own.shapes.rows[tile]; ++row)
    std::memcpy(static_cast<char*>(rows) + row * stride, own.rows[tile][row], own.shapes.bytes[tile]);
}

// The first and the second of all pairs are summed apart, from zero, by fused multiply-adds; their sum is
// then added to C.
void EmulatedTiles::multiply_tiles(int c, int a, int b) {
  Tiles& own = configured(c);
  const TileShapes& shapes = own.shapes;
  const int rows = shapes.rows[c], columns = shapes.bytes[c] / 4, pairs = shapes.bytes[a] / 4;
  CAVMAE_CHECK(rows == shapes.rows[a] && shapes.bytes[c] == shapes.bytes[b] && pairs == shapes.rows[b],
               "tiles ", c, ", ", a, " and ", b, " do not fit for a product");
  float first_of_b[kMaxRows][kMaxColumns], second_of_b[kMaxRows][kMaxColumns];
  for (int pair = 0; pair < pairs; ++pair)
    for (int column = 0; column < columns; ++column) {
      first_of_b[pair][column] = widened(&own.rows[b][pair][4 * column]);
      second_of_b[pair][column] = widened(&own.rows[b][pair][4 * column + 2]);
    }
  for (int row = 0; row < rows; ++row) {
    float first[kMaxColumns] = {}, second[kMaxColumns] = {};
    for (int pair = 0; pair < pairs; ++pair) {
      const float first_of_a = widened(&own.rows[a][row][4 * pair]);
      const float second_of_a = widened(&own.rows[a][row][4 * pair + 2]);
      for (int column = 0; column < columns; ++column) {
        first[column] = multiply_add(first_of_a, first_of_b[pair][column], first[column]);
        second[column] = multiply_add(second_of_a, second_of_b[pair][column], second[column]);
      }
    }
    for (int column = 0; column < columns; ++column) {
      float sum;
      std::memcpy(&sum, &own.rows[c][row][4 * column], sizeof(sum));
      sum = flushed(flushed(sum) + flushed(first[column] + second[column]));
      std::memcpy(&own.rows[c][row][4 * column], &sum, sizeof(sum));
    }
  }
}

}  // namespace cavmae
