// Tensors as the plain arrays that kernels take.
#pragma once

#include "cavmae/core/torch.h"
#include "cavmae/kernels/types.h"

namespace cavmae::testing_support {

inline torch::ScalarType type_of(kernels::Element element) {
  return element == kernels::Element::f32 ? torch::kFloat32 : torch::kBFloat16;
}
inline kernels::Bf16* bf16_of(const torch::Tensor& x) {
  return static_cast<kernels::Bf16*>(x.data_ptr());
}

}  // namespace cavmae::testing_support
