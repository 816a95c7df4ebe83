// Eight floats with AVX2 and FMA, as Note [Attention kernel] wants them.
#pragma once

#include <cstdint>

namespace cavmae::kernels {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8, kDepth = 1, kRows = 6;
  static constexpr int kKeyBlock = 96, kQueryBlock = 96;
  using Vec = __m256;
  using Bits = int32_t __attribute__((vector_size(sizeof(Vec))));
  using Operand = __m256;
  using Unit = float;

  static Vec set(float x) { return _mm256_set1_ps(x); }
  static Vec load_floats(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Vec x) { _mm256_storeu_ps(to, x); }
  static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
  static Vec multiply_subtract(Vec a, Vec b, Vec c) { return _mm256_fmsub_ps(a, b, c); }

  static Operand load(const Unit* from) { return _mm256_loadu_ps(from); }
  static Operand broadcast(const Unit* from) { return _mm256_broadcast_ss(from); }
  static Vec dot(Vec sum, Operand a, Operand b) { return _mm256_fmadd_ps(a, b, sum); }
  static Vec load_bits(const Unit* from) { return _mm256_loadu_ps(from); }
  static void store_bits(Unit* to, Vec x) { _mm256_storeu_ps(to, x); }
  static void store_units(Unit* to, Vec x) { _mm256_storeu_ps(to, x); }
  static void store_units(Unit* to, Vec left, Vec right) {
    _mm256_storeu_ps(to, left);
    _mm256_storeu_ps(to + kLanes, right);
  }

  // The first n lanes of x, `rest` in the others.
  static Vec keep_first(Vec x, int64_t n, float rest) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i kept =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < kLanes ? n : kLanes)), lanes);
    return _mm256_blendv_ps(set(rest), x, _mm256_castsi256_ps(kept));
  }

  // 2^x to 1e-7 for x up to 127; at least 2^-126. A number that is none stays so.
  static Vec exp2(Vec x) {
    const Vec magic = set(12582912.0f + 127.0f);  // its last bits hold the integer part and float's bias
    const Vec bounded = _mm256_max_ps(set(-126.0f), x);
    const Vec shifted = bounded + magic;
    const Vec f = bounded - (shifted - magic);  // -0.5 to 0.5
    Vec p = set(0.001327647263f);               // the polynomial of least relative error
    p = _mm256_fmadd_ps(p, f, set(0.009675541343f));
    p = _mm256_fmadd_ps(p, f, set(0.05550713272f));
    p = _mm256_fmadd_ps(p, f, set(0.2402211972f));
    p = _mm256_fmadd_ps(p, f, set(0.6931469671f));
    p = _mm256_fmadd_ps(p, f, set(1.000000072f));
    return p * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
  }

  static Vec precise_exp2(Vec x) { return exp2(x); }

  static Vec zip_low(Vec a, Vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
  }
  static Vec zip_high(Vec a, Vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
  }

  static Vec widen(const uint16_t* from) {
    const __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
  }
  // To the nearest, halves to even; a number that is none stays so.
  static void narrow(uint16_t* to, Vec x) {
    const __m256i bits = _mm256_castps_si256(x), one = _mm256_set1_epi32(1);
    const __m256i half =
        _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(_mm256_srli_epi32(bits, 16), one));
    const __m256i rounded = _mm256_add_epi32(bits, half);
    const __m256i none = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i kept =
        _mm256_srli_epi32(_mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc00000), none), 16);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(kept, kept), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(words));
  }
};

}  // namespace
}  // namespace cavmae::kernels
