// Sixteen floats in plain C++: what attention on tiles takes of Avx512Pairs<Avx512Bf16> (simd_avx512.h),
// equal to it bit for bit.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cavmae/kernels/types.h"

namespace cavmae::kernels {
namespace {

struct PlainPairs {
  static constexpr int kLanes = 16;
  using Vec = float __attribute__((vector_size(64)));
  using Bits = int32_t __attribute__((vector_size(64)));
  using Unit = uint32_t;

  template <class Function>
  static Vec each_lane(const Function& value_of) {
    Vec x;
    for (int i = 0; i < kLanes; ++i) x[i] = value_of(i);
    return x;
  }
  static Vec set(float x) {
    return each_lane([&](int) { return x; });
  }
  static Vec load_floats(const float* from) {
    Vec x;
    std::memcpy(&x, from, sizeof(x));
    return x;
  }
  static void store(float* to, Vec x) { std::memcpy(to, &x, sizeof(x)); }
  static Vec max(Vec a, Vec b) {
    return each_lane([&](int i) { return a[i] > b[i] ? a[i] : b[i]; });
  }
  static Vec multiply_subtract(Vec a, Vec b, Vec c) {
    return each_lane([&](int i) { return std::fma(a[i], b[i], -c[i]); });
  }
  // The first n lanes of x, `rest` in the others.
  static Vec keep_first(Vec x, int64_t n, float rest) {
    return each_lane([&](int i) { return i < n ? x[i] : rest; });
  }

  static Vec exp2(Vec x) {
    return each_lane([&](int i) { return exp2(x[i]); });
  }

  static void store_units(Unit* to, Vec left, Vec right) {
    uint16_t rounded[2 * kLanes];
    for (int i = 0; i < kLanes; ++i) rounded[i] = round(left[i]), rounded[kLanes + i] = round(right[i]);
    std::memcpy(to, rounded, sizeof(rounded));
  }
  // Neighbours of two rows make the units of `to`.
  static void stack(const Unit* row, const Unit* next_row, Unit* to) {
    uint16_t first[2 * kLanes], second[2 * kLanes], stacked[4 * kLanes];
    std::memcpy(first, row, sizeof(first));
    std::memcpy(second, next_row, sizeof(second));
    for (int i = 0; i < 2 * kLanes; ++i) stacked[2 * i] = first[i], stacked[2 * i + 1] = second[i];
    std::memcpy(to, stacked, sizeof(stacked));
  }

  static Vec zip_low(Vec a, Vec b) {
    return each_lane([&](int i) { return i % 2 == 0 ? a[i / 2] : b[i / 2]; });
  }
  static Vec zip_high(Vec a, Vec b) {
    return each_lane([&](int i) { return i % 2 == 0 ? a[kLanes / 2 + i / 2] : b[kLanes / 2 + i / 2]; });
  }

 private:
  // What is above the next lower integer, rounded down as VREDUCEPS does.
  static float fraction(float x) {
    if (std::isinf(x)) return 0.0f;
    const float whole = std::floor(x), f = x - whole;
    return f + whole > x ? std::nextafter(f, 0.0f) : f;
  }
  static float exp2(float x) {
    constexpr float kPastEveryFloat = 1000.0f;
    if (std::isnan(x)) return x;
    const float f = fraction(x);
    float p = 0.07802452726f;
    p = std::fma(p, f, 0.2260671487f);
    p = std::fma(p, f, 0.6958335427f);
    p = std::fma(p, f, 0.9999252186f);
    return std::ldexp(p, static_cast<int>(std::floor(std::clamp(x, -kPastEveryFloat, kPastEveryFloat))));
  }
  // As the instruction: denormals become zero.
  static uint16_t round(float x) {
    constexpr uint32_t kExponent = 0x7f800000, kSign = 0x80000000;
    const auto bits = std::bit_cast<uint32_t>(x);
    return round_to_bf16((bits & kExponent) == 0 ? std::bit_cast<float>(bits & kSign) : x).bits;
  }
};

}  // namespace
}  // namespace cavmae::kernels
