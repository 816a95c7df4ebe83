// The row kernels for AVX2 and FMA: eight lanes. Run only where usable_instructions() allows them.
#include <cmath>
#include <cstring>
#include <utility>

#include "cavmae/kernels/row_kernels_tables.h"

#if defined(__x86_64__) && !defined(__clang__)  // Clang does not know the pragma
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx2,fma")
#define CAVMAE_LANES 8
#define CAVMAE_ROW_KERNELS row_kernels_avx2
#include "cavmae/kernels/row_kernels_simd.h"
#else
namespace cavmae::kernels {
const RowKernels& row_kernels_avx2() {
  return row_kernels_baseline();
}
}  // namespace cavmae::kernels
#endif
