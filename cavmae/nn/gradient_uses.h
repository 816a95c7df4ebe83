// Which parameters a backward pass is about to give gradients to, and when each has its last. Free functions.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cavmae/core/torch.h"

namespace cavmae {

// Note [Uses of a parameter]: a parameter's gradient is complete when each node of the graph that gives it
// one has run: a fused node for the parameters that it was made with, autograd's accumulation for any other.
// The nodes are counted in the very graph that is differentiated, so that a layer that several streams go
// through is complete after the last of them, and a parameter that this loss does not reach at once.
// Accumulation runs once for all of autograd's own uses.

// A node that gives parameters their gradients itself, see Note [Gradients in place].
class GradientWriter {
 public:
  virtual ~GradientWriter() = default;
  // Those that require a gradient.
  virtual std::vector<torch::Tensor> parameters() const = 0;
};

// How many nodes of the graph behind `loss` give each of the parameters a gradient. `used` is called with the
// parameter's index for each such node once it has run, in the thread that runs it, whether or not any
// gradient came to it. Every node of a graph runs, so that a parameter is told as often as it is counted.
std::vector<int64_t> watch_uses(const torch::Tensor& loss, const std::vector<torch::Tensor>& parameters,
                                const std::function<void(size_t parameter)>& used);

}  // namespace cavmae
