#include "cavmae/kernels/in_use.h"

#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/wgrad_gemm.h"

namespace cavmae::kernels {

std::vector<KernelInUse> kernels_in_use() {
  const auto name = [](const char* version) -> std::string { return version == nullptr ? "none" : version; };
  const MatmulBackends &f32 = best_matmul_backends(Element::f32), &bf16 = best_matmul_backends(Element::bf16);
  return {{"matmul in fp32", f32.forward->name},
          {"matmul in bf16", bf16.forward->name},
          {"wgrad in fp32", f32.wgrad->name},
          {"wgrad in bf16", bf16.wgrad->name},
          {"wgrad_gemm", name(wgrad_gemm_in_use())},
          {"weight packing", weight_packing_in_use()},
          {"attention in fp32", best_attention_kernel(Element::f32).name},
          {"attention in bf16", best_attention_kernel(Element::bf16).name},
          {"rows", best_row_kernels().name}};
}

}  // namespace cavmae::kernels
