// The resize for AVX2. Run only where usable_isa() allows it.
#include <cstdint>
#include <cstring>

#include "cavmae/isa/isa.h"
#include "cavmae/picture/resize_plan.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx2")
#define CAVMAE_RESIZE_AVX2
#define CAVMAE_RESIZE_ROWS resize_rows_avx2
#define CAVMAE_RESIZE_COLUMNS resize_columns_avx2
#include "cavmae/picture/resize_kernel.h"
#endif
