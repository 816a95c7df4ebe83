// What the kernels' arrays hold, and how a result goes into one.
#pragma once

#include <bit>
#include <cstdint>

namespace cavmae::kernels {

enum class Element { f32, bf16 };

struct Bf16 {
  uint16_t bits;
};

// To the nearest, ties to even; what is not a number stays so.
constexpr Bf16 round_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return {static_cast<uint16_t>(value != value ? 0x7fc0u : rounded)};
}

constexpr int64_t bytes_of(Element element) {
  return element == Element::f32 ? 4 : 2;
}

// Whether a result is added to what its array holds or replaces it.
enum class Accumulate { no, yes };

}  // namespace cavmae::kernels
