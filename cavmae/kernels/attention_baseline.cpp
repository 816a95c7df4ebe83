// The attention of one head for every processor.
#include "cavmae/kernels/attention_head.h"
#include "cavmae/kernels/attention_kernel.h"
#include "cavmae/kernels/simd_baseline.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {

HeadKernel baseline_head_kernel() {
  return make_head_kernel<Baseline, Baseline>();
}

}  // namespace cavmae::kernels
