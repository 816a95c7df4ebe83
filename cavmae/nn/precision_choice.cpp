#include "cavmae/nn/precision_choice.h"

#include <algorithm>
#include <cstdlib>

#include "cavmae/kernels/matmul.h"
#include "cavmae/machine/gpu.h"

namespace cavmae {

bool bf16_is_faster(torch::Device device) {
  if (device.is_cpu()) return kernels::bf16_matmul_is_faster();
  constexpr double kLeastCapability = 8.0;
  const std::vector<Gpu> gpus = list_gpus();
  const auto index = static_cast<size_t>(std::max<int>(0, device.index()));
  return index < gpus.size() &&
         std::strtod(gpus[index].compute_capability.c_str(), nullptr) >= kLeastCapability;
}

Precision resolve_precision(PrecisionChoice choice, torch::Device device) {
  if (choice == PrecisionChoice::automatic) return bf16_is_faster(device) ? Precision::bf16 : Precision::fp32;
  return choice == PrecisionChoice::bf16 ? Precision::bf16 : Precision::fp32;
}

}  // namespace cavmae
