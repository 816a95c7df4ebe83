// The filterbank for AVX2: eight lanes. Run only where usable_isa() allows it.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "cavmae/features/fbank_plan.h"
#include "cavmae/isa/isa.h"

#ifdef CAVMAE_X86_KERNELS
// After every other header: their inline functions stay fit for any processor. FMA is left out on purpose,
// see Note [Rounding of the filterbank].
#pragma GCC target("avx2")
#define CAVMAE_LANES 8
#define CAVMAE_FBANK_FUNCTION compute_fbank_avx2
#include "cavmae/features/fbank_kernel.h"
#endif
