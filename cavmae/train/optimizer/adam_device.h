// Adam's step and the gradient's norm on a GPU, by LibTorch's own fused operators. Free functions; one owner
// of the parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/train/optimizer/adam_kernel.h"

namespace cavmae {

struct OptimizerOptions;

// One parameter's update, which is its `step`-th (from 1). All float, of one shape, dense, on one device.
struct DeviceUpdate {
  torch::Tensor parameter, gradient, exp_avg, exp_avg_sq;
  double lr = 0.0;
  int64_t step = 0;
};

struct DeviceGradients {
  double scale = 1.0;  // multiplies them before anything else; they are left scaled
  GradientUse use = GradientUse::keep;
};

// at::_fused_adam_: LibTorch has it for CUDA, from 2.4 on for the CPU too. Nothing waits for the device.
void adam_update_on_device(const std::vector<DeviceUpdate>& updates, const OptimizerOptions& options,
                           const DeviceGradients& gradients);

// The 2-norm over all of them, summed in float. Waits for the device.
double norm_on_device(const std::vector<torch::Tensor>& gradients);

}  // namespace cavmae
