// The attention of one head for AVX-512 with its instructions for bf16.
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
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")
#include "cavmae/kernels/attention_kernel.h"
#include "cavmae/kernels/simd_avx512.h"
#include "cavmae/kernels/simd_avx512_bf16.h"

namespace cavmae::kernels {
HeadKernel avx512_bf16_head_kernel() {
  return make_head_kernel<Avx512, Avx512Pairs<Avx512Bf16>>();
}
}  // namespace cavmae::kernels
#endif
