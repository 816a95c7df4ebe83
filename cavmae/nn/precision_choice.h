// Which precision a trained network is to compute in, where a program may leave that to the machine. Free
// functions, safe from several threads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/nn/precision.h"

namespace cavmae {

// automatic: bf16 where the device computes it faster than fp32, else fp32.
enum class PrecisionChoice { fp32, bf16, automatic };
inline std::vector<std::pair<PrecisionChoice, std::string>> option_names(PrecisionChoice) {
  return {
      {PrecisionChoice::fp32, "fp32"}, {PrecisionChoice::bf16, "bf16"}, {PrecisionChoice::automatic, "auto"}};
}

Precision resolve_precision(PrecisionChoice choice, torch::Device device);

// Whether the device computes products of bf16 faster than those of fp32: a processor on which another engine
// than widened fp32 is taken for them (Note [Engines]), a GPU of compute capability 8.0 or above.
bool bf16_is_faster(torch::Device device);

}  // namespace cavmae
