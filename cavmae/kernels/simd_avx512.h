// Sixteen floats with AVX-512 F, BW, DQ and VL, as Note [Attention kernel] wants them: products of floats,
// and products of pairs in bf16 by whatever instructions the including file has.
#pragma once

#include <cstdint>

namespace cavmae::kernels {
namespace {

struct Avx512Floats {
  static constexpr int kLanes = 16, kRows = 12;
  static constexpr int kKeyBlock = 96, kQueryBlock = 96;
  using Vec = __m512;
  using Bits = int32_t __attribute__((vector_size(sizeof(Vec))));

  static Vec set(float x) { return _mm512_set1_ps(x); }
  static Vec load_floats(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Vec x) { _mm512_storeu_ps(to, x); }
  static Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  static Vec multiply_subtract(Vec a, Vec b, Vec c) { return _mm512_fmsub_ps(a, b, c); }

  // The first n lanes of x, `rest` in the others.
  static Vec keep_first(Vec x, int64_t n, float rest) {
    const auto kept = static_cast<__mmask16>(n < kLanes ? (1u << n) - 1 : 0xffffu);
    return _mm512_mask_mov_ps(set(rest), kept, x);
  }

  // What is above the next lower integer, 0 to 1: the other part is what scalef() takes.
  static Vec fraction(Vec x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }

  // 2^x to 1e-7. A number that is none stays so.
  static Vec precise_exp2(Vec x) {
    const Vec f = fraction(x);
    Vec p = set(0.001877576766f);  // the polynomial of least relative error
    p = _mm512_fmadd_ps(p, f, set(0.008989339877f));
    p = _mm512_fmadd_ps(p, f, set(0.05582631823f));
    p = _mm512_fmadd_ps(p, f, set(0.240153617f));
    p = _mm512_fmadd_ps(p, f, set(0.6931530732f));
    p = _mm512_fmadd_ps(p, f, set(0.9999999251f));
    return _mm512_scalef_ps(p, x);
  }

  static Vec zip_low(Vec a, Vec b) {
    const __m512i lanes = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, lanes, b);
  }
  static Vec zip_high(Vec a, Vec b) {
    const __m512i lanes = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, lanes, b);
  }

  static Vec widen(const uint16_t* from) {
    const __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
  }
  // To the nearest, halves to even; a number that is none stays so.
  static __m256i round_to_bf16(Vec x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 none = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i kept = _mm512_mask_mov_epi32(rounded, none, _mm512_set1_epi32(0x7fc00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
  }
};

// Products of floats.
struct Avx512 : Avx512Floats {
  static constexpr int kDepth = 1;
  using Operand = Vec;
  using Unit = float;

  static Operand load(const Unit* from) { return load_floats(from); }
  static Operand broadcast(const Unit* from) { return set(*from); }
  static Vec dot(Vec sum, Operand a, Operand b) { return _mm512_fmadd_ps(a, b, sum); }
  static Vec load_bits(const Unit* from) { return load_floats(from); }
  static void store_bits(Unit* to, Vec x) { store(to, x); }
  static void store_units(Unit* to, Vec x) { store(to, x); }
  static void store_units(Unit* to, Vec left, Vec right) {
    store(to, left);
    store(to + kLanes, right);
  }

  static Vec exp2(Vec x) { return precise_exp2(x); }
  static void narrow(uint16_t* to, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), round_to_bf16(x));
  }
};

// Products of pairs in bf16. `Instructions` has
//   __m512 dot(__m512 sum, __m512i a, __m512i b)   sum + both products of each pair
//   __m256i round(__m512)                          to bf16
//   __m512i round(__m512 left, __m512 right)
template <class Instructions>
struct Avx512Pairs : Avx512Floats {
  static constexpr int kDepth = 2;
  using Operand = __m512i;
  using Unit = uint32_t;

  static Operand load(const Unit* from) { return _mm512_loadu_si512(from); }
  static Operand broadcast(const Unit* from) { return _mm512_set1_epi32(static_cast<int>(*from)); }
  static Vec dot(Vec sum, Operand a, Operand b) { return Instructions::dot(sum, a, b); }
  static Vec load_bits(const Unit* from) { return _mm512_castsi512_ps(load(from)); }
  static void store_bits(Unit* to, Vec x) { _mm512_storeu_si512(to, _mm512_castps_si512(x)); }
  static void store_units(Unit* to, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Instructions::round(x));
  }
  static void store_units(Unit* to, Vec left, Vec right) {
    _mm512_storeu_si512(to, Instructions::round(left, right));
  }
  // Neighbours of two rows make the units of `to`.
  static void stack(const Unit* row, const Unit* next_row, Unit* to) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7,
                                         38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    const __m512i a = load(row), b = load(next_row);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, low, b));
    _mm512_storeu_si512(to + kLanes, _mm512_permutex2var_epi16(a, high, b));
  }

  // 2^x to 8e-5, a 25th of bf16's rounding. A number that is none stays so.
  static Vec exp2(Vec x) {
    const Vec f = fraction(x);
    Vec p = set(0.07802452726f);  // the polynomial of least relative error
    p = _mm512_fmadd_ps(p, f, set(0.2260671487f));
    p = _mm512_fmadd_ps(p, f, set(0.6958335427f));
    p = _mm512_fmadd_ps(p, f, set(0.9999252186f));
    return _mm512_scalef_ps(p, x);
  }

  static void narrow(uint16_t* to, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Instructions::round(x));
  }
};

}  // namespace
}  // namespace cavmae::kernels
