// The gradients of several parameters side by side in one flat tensor, as an exchange between processes wants
// them. One owner; a backward pass may write to it from several threads.
#pragma once

#include <vector>

#include "cavmae/core/torch.h"

namespace cavmae {

// Note [Fresh gradients]: Tensor::grad() that is defined is added to. One that prepare() has handed out is
// fresh until somebody asks gradient_target() for it, and is then written instead: a weight's gradient need
// not be read, and may pass the caches by. Fresh gradients hold zeros, so that autograd, which only ever
// adds, is right as well. The mark lies with the memory itself, in the context of its deleter, and goes when
// the tensor is changed in place.
class GradientBucket {
 public:
  // Of those that require a gradient: float, on the CPU.
  explicit GradientBucket(const std::vector<torch::Tensor>& parameters);

  // Before the first backward pass of a step: each parameter's grad() is its part of flat(), fresh.
  void prepare();
  // For each parameter that requires a gradient, whether a backward pass has given it one since prepare().
  std::vector<bool> written() const;
  // float [n]: the gradients in order, each from a cache line's beginning, zeros between.
  const torch::Tensor& flat() const { return flat_; }

 private:
  struct Part {
    torch::Tensor parameter;
    torch::Tensor gradient;  // of the parameter's shape, in flat_
  };
  std::vector<Part> parts_;
  torch::Tensor flat_;
};

// Whether a gradient was fresh; after the first answer it no longer is.
bool take_fresh(const torch::Tensor& gradient);

}  // namespace cavmae
