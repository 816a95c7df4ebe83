// What the program uses of LibTorch, and the only header that includes it: tensors, autograd and modules. It
// is precompiled; torch/torch.h would double what every translation unit costs. What differs between
// LibTorch's versions stands here too.
#pragma once

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
#include <torch/version.h>

// Of torch/utils.h, whose profiler would cost every translation unit a second.
namespace torch {
using NoGradGuard = at::NoGradGuard;
using at::manual_seed;
}  // namespace torch
