// The filterbank for AVX2: eight lanes. Run only where has_avx2() of cpu_features.h.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "cavmae/features/fbank_plan.h"

#if defined(__x86_64__) && !defined(__clang__)  // Clang does not know the pragma
// After every other header: their inline functions stay fit for any processor. FMA is left out on purpose,
// see Note [Rounding of the filterbank].
#pragma GCC target("avx2")
#define CAVMAE_LANES 8
#define CAVMAE_FBANK_FUNCTION compute_fbank_avx2
#include "cavmae/features/fbank_kernel.h"
#else
namespace cavmae {
void compute_fbank_avx2(const FbankPlan& plan, const FbankTask& task) {
  compute_fbank_baseline(plan, task);
}
}  // namespace cavmae
#endif
