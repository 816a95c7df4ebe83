// The row kernels for AVX-512: sixteen lanes. Run only where usable_instructions() allows them.
#include <cmath>
#include <cstring>
#include <utility>

#include "cavmae/kernels/row_kernels_tables.h"

#if defined(__x86_64__) && !defined(__clang__)  // Clang does not know the pragma
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define CAVMAE_LANES 16
#define CAVMAE_ROW_KERNELS row_kernels_avx512
#include "cavmae/kernels/row_kernels_simd.h"
#else
namespace cavmae::kernels {
const RowKernels& row_kernels_avx512() {
  return row_kernels_baseline();
}
}  // namespace cavmae::kernels
#endif
