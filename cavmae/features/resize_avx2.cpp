// The resize for AVX2. Run only where has_avx2().
#include <cstdint>
#include <cstring>

#include "cavmae/features/resize_plan.h"

#if defined(__x86_64__) && !defined(__clang__)  // Clang does not know the pragma
#include <immintrin.h>
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx2")
#define CAVMAE_RESIZE_AVX2
#define CAVMAE_RESIZE_ROWS resize_rows_avx2
#define CAVMAE_RESIZE_COLUMNS resize_columns_avx2
#include "cavmae/features/resize_kernel.h"
#else
namespace cavmae {
void resize_rows_avx2(const ResizePass& pass) {
  resize_rows_baseline(pass);
}
void resize_columns_avx2(const ResizePass& pass) {
  resize_columns_baseline(pass);
}
}  // namespace cavmae
#endif
