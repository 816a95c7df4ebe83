// What the program uses of LibTorch, and the only header that includes it: tensors, autograd and modules. It
// is precompiled; torch/torch.h would double what every translation unit costs. What differs between
// LibTorch's versions stands here too.
#pragma once

#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <torch/version.h>
