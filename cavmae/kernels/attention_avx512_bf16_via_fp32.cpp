// attention_avx512_bf16.cpp on an AVX-512 that lacks the instructions for bf16. Slow: it is a test of that
// code.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "cavmae/kernels/attention_kernel.h"
#include "cavmae/kernels/simd_avx512.h"

namespace cavmae::kernels {
namespace {

struct ViaFp32 {
  static __m512 lower(__m512i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
  static __m512 upper(__m512i x) {
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  // As VDPBF16PS: first the products of the upper halves.
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(lower(a), lower(b), _mm512_fmadd_ps(upper(a), upper(b), sum));
  }
  static __m256i round(__m512 x) { return Avx512Floats::round_to_bf16(x); }
  static __m512i round(__m512 left, __m512 right) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(round(left)), round(right), 1);
  }
};

}  // namespace

HeadKernel avx512_bf16_via_fp32_head_kernel() {
  return make_head_kernel<Avx512, Avx512Pairs<ViaFp32>>();
}
}  // namespace cavmae::kernels
#endif
