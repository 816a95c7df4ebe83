#include "cavmae/kernels/in_use.h"

#include "cavmae/kernels/code_assignment.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/row_products.h"

namespace cavmae::kernels {

std::vector<KernelInUse> kernels_in_use() {
  std::vector<KernelInUse> in_use;
  for (const Element element : {Element::f32, Element::bf16}) {
    const std::string kind = element == Element::f32 ? " in fp32" : " in bf16";
    const MatmulBackends& matmul = best_matmul_backends(element);
    in_use.push_back({"forward" + kind, matmul.forward->name, matmul.why_forward});
    in_use.push_back({"dgrad" + kind, matmul.dgrad->name, matmul.why_dgrad});
    in_use.push_back({"wgrad" + kind, matmul.wgrad->name, matmul.why_wgrad});
    in_use.push_back(
        {"attention" + kind, best_attention_kernel(element).name, why_best_attention_kernel(element)});
  }
  in_use.push_back({"weight packing", weight_packing_in_use()});
  in_use.push_back({"rows", best_row_kernels().name});
  in_use.push_back({"products of rows", best_row_products().name});
  in_use.push_back({"codes of rows", best_code_assignment().name});
  return in_use;
}

}  // namespace cavmae::kernels
