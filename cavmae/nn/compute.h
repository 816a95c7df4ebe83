// How a network computes: its precision, and what changes speed and memory but not the mathematics. None of
// it is part of a model.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/nn/precision.h"

namespace cavmae {

// `plain`: LibTorch's own operators under its autograd, the twin that the fused kernels are compared with.
enum class Kernels { fused, plain };
inline std::vector<std::pair<Kernels, std::string>> option_names(Kernels) {
  return {{Kernels::fused, "fused"}, {Kernels::plain, "plain"}};
}

struct RuntimeOptions {
  Kernels kernels = Kernels::fused;
  bool recompute = false;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kernels", o.kernels, "what computes the network: the project's own kernels, or LibTorch's");
    v("recompute", o.recompute,
      "keep a layer's input alone and compute the rest again in the backward pass: less memory, the same "
      "numbers, a third more time (fused kernels only)");
  }
};

struct Compute {
  Precision precision = Precision::fp32;
  RuntimeOptions runtime = {};

  Compute() = default;
  Compute(Precision in) : precision(in) {}  // NOLINT: a precision is a way to compute
  Compute(Precision in, const RuntimeOptions& options) : precision(in), runtime(options) {}
};

}  // namespace cavmae
