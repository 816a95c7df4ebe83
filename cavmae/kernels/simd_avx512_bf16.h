// The instructions of AVX512-BF16 that Avx512Pairs (simd_avx512.h) takes. Included after the pragma that
// allows them.
#pragma once

namespace cavmae::kernels {
namespace {

struct Avx512Bf16 {
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  static __m256i round(__m512 x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }
  static __m512i round(__m512 left, __m512 right) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left));
  }
};

}  // namespace
}  // namespace cavmae::kernels
