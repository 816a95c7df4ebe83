// The row kernels for AVX-512 with its instructions for bf16: sixteen lanes. Run only where
// usable_isa() allows them.
#include <cmath>
#include <cstring>
#include <utility>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16")
#define CAVMAE_LANES 16
#define CAVMAE_BF16_INSTRUCTIONS
#define CAVMAE_ROW_KERNELS row_kernels_avx512_bf16
#include "cavmae/kernels/row_kernels_simd.h"
#endif
