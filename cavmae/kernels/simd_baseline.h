// Four floats on any processor, as Note [Attention kernel] wants them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace cavmae::kernels {
namespace {

struct Baseline {
  static constexpr int kLanes = 4, kDepth = 1, kRows = 6;
  static constexpr int kKeyBlock = 48, kQueryBlock = 48;
  using Vec = float __attribute__((vector_size(16)));
  using Bits = int32_t __attribute__((vector_size(16)));
  using Operand = Vec;
  using Unit = float;

  static Vec set(float x) { return Vec{x, x, x, x}; }
  static Vec load_floats(const float* from) {
    Vec x;
    std::memcpy(&x, from, sizeof(x));
    return x;
  }
  static void store(float* to, Vec x) { std::memcpy(to, &x, sizeof(x)); }
  static Vec select(Bits chosen, Vec a, Vec b) {
    return reinterpret_cast<Vec>((chosen & reinterpret_cast<Bits>(a)) |
                                 (~chosen & reinterpret_cast<Bits>(b)));
  }
  static Vec max(Vec a, Vec b) { return select(a > b, a, b); }
  static Vec multiply_subtract(Vec a, Vec b, Vec c) { return a * b - c; }

  static Operand load(const Unit* from) { return load_floats(from); }
  static Operand broadcast(const Unit* from) { return set(*from); }
  static Vec dot(Vec sum, Operand a, Operand b) { return sum + a * b; }
  static Vec load_bits(const Unit* from) { return load_floats(from); }
  static void store_bits(Unit* to, Vec x) { store(to, x); }
  static void store_units(Unit* to, Vec x) { store(to, x); }
  static void store_units(Unit* to, Vec left, Vec right) {
    store(to, left);
    store(to + kLanes, right);
  }

  // The first n lanes of x, `rest` in the others.
  static Vec keep_first(Vec x, int64_t n, float rest) {
    const auto kept = static_cast<int32_t>(n < kLanes ? n : kLanes);
    return select(Bits{0, 1, 2, 3} < Bits{kept, kept, kept, kept}, x, set(rest));
  }

  // 2^x to 2e-7 for x up to 127; at least 2^-126. A number that is none stays so.
  static Vec exp2(Vec x) {
    const Vec magic = set(12582912.0f + 127.0f);  // its last bits hold the integer part and float's bias
    const Vec bounded = max(set(-126.0f), x);
    const Vec shifted = bounded + magic;
    const Vec f = bounded - (shifted - magic);  // -0.5 to 0.5
    Vec p = set(0.001327647263f);               // the polynomial of least relative error
    p = p * f + 0.009675541343f;
    p = p * f + 0.05550713272f;
    p = p * f + 0.2402211972f;
    p = p * f + 0.6931469671f;
    p = p * f + 1.000000072f;
    return p * reinterpret_cast<Vec>(reinterpret_cast<Bits>(shifted) << 23);
  }

  static Vec precise_exp2(Vec x) { return exp2(x); }

  static Vec zip_low(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
  static Vec zip_high(Vec a, Vec b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }

  static Vec widen(const uint16_t* from) {
    return reinterpret_cast<Vec>(Bits{from[0], from[1], from[2], from[3]} << 16);
  }
  // To the nearest, halves to even; a number that is none stays so.
  static void narrow(uint16_t* to, Vec x) {
    for (int i = 0; i < kLanes; ++i) {
      const float value = x[i];
      const auto bits = std::bit_cast<uint32_t>(value);
      to[i] = static_cast<uint16_t>(value != value ? 0x7fc0u : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
  }
};

}  // namespace
}  // namespace cavmae::kernels
