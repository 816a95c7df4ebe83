// The attention of one head for AVX2 and FMA.
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
#pragma GCC target("avx2,fma")
#include "cavmae/kernels/attention_kernel.h"
#include "cavmae/kernels/simd_avx2.h"

namespace cavmae::kernels {
HeadKernel avx2_head_kernel() {
  return make_head_kernel<Avx2, Avx2>();
}
}  // namespace cavmae::kernels
#endif
