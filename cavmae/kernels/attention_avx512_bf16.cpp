// The attention of one head for AVX-512 with its instructions for bf16.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/versions.h"
#include "cavmae/machine/isa.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")
#include "cavmae/kernels/attention_kernel.h"
#include "cavmae/kernels/simd_avx512.h"

namespace cavmae::kernels {
namespace {

struct Native {
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  static __m256i round(__m512 x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }
  static __m512i round(__m512 left, __m512 right) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left));
  }
};

}  // namespace

HeadKernel avx512_bf16_head_kernel() {
  return make_head_kernel<Avx512, Avx512Pairs<Native>>();
}
}  // namespace cavmae::kernels
#endif
