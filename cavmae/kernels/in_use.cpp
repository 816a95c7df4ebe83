#include "cavmae/kernels/in_use.h"

#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/instruction_set.h"
#include "cavmae/kernels/products.h"

namespace cavmae::kernels {

std::vector<KernelInUse> kernels_in_use() {
  const auto product = [](Element element) { return product_engine_name(best_product_engine(element)); };
  const auto attention = [](Element element) {
    return attention_kernel_name(best_attention_kernel(element));
  };
  return {{"products in fp32", product(Element::f32)},
          {"products in bf16", product(Element::bf16)},
          {"attention in fp32", attention(Element::f32)},
          {"attention in bf16", attention(Element::bf16)},
          {"rows", instruction_set_name(usable_instructions())}};
}

}  // namespace cavmae::kernels
