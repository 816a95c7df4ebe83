// What the kernels' arrays hold, and how a result goes into one.
#pragma once

#include <cstdint>

namespace cavmae::kernels {

enum class Element { f32, bf16 };

struct Bf16 {
  uint16_t bits;
};

constexpr int64_t bytes_of(Element element) {
  return element == Element::f32 ? 4 : 2;
}

// Whether a result is added to what its array holds or replaces it.
enum class Accumulate { no, yes };

}  // namespace cavmae::kernels
