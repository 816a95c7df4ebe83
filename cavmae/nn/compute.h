// How a network computes: its precision, and what changes speed and memory but not the mathematics. None of
// it is part of a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/machine/device.h"
#include "cavmae/nn/precision.h"

namespace cavmae {

// `fused`: the project's own kernels, which are for the CPU; a GPU computes by `library` instead: LibTorch's
// fused attention, and in bf16 activations that stay bf16 from one layer of a block to the next. `plain`:
// LibTorch's operators one by one, the twin that both are compared with.
enum class Kernels { fused, library, plain };
inline std::vector<std::pair<Kernels, std::string>> option_names(Kernels) {
  return {{Kernels::fused, "fused"}, {Kernels::library, "library"}, {Kernels::plain, "plain"}};
}

struct RuntimeOptions {
  Kernels kernels = Kernels::fused;
  std::string engine = {};
  bool recompute = false;
  std::string device = DeviceOptions{}.device;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kernels", o.kernels,
      "what computes the network: the project's own kernels (on a GPU: library), LibTorch's fused ones, "
      "or its operators one by one");
    v("engine", o.engine,
      "which of the project's kernels computes a job, JOB=NAME,...: forward, dgrad, wgrad, attention by a name "
      "that `cavmae info --machine` prints; what is not named is chosen for the processor, and a resumed run "
      "keeps what it began with");
    v("recompute", o.recompute,
      "keep a layer's input alone and compute the rest again in the backward pass: less memory, the same "
      "numbers, a third more time (fused kernels only)");
    visit_device(o, v);
  }
};

// Of these what a command that trains nothing has flags for.
struct InferenceOptions {
  std::string device = DeviceOptions{}.device;
  std::string engine = {};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    visit_device(o, v);
    v("engine", o.engine,
      "which of the project's kernels computes a job, JOB=NAME,...: forward, dgrad, wgrad, attention by a name "
      "that `cavmae info --machine` prints; what is not named is chosen for the processor");
  }
  RuntimeOptions runtime() const {
    RuntimeOptions out;
    out.device = device;
    out.engine = engine;
    return out;
  }
};

struct Compute {
  Precision precision = Precision::fp32;
  RuntimeOptions runtime = {};
  // About so many values of a block's input are computed with at a time, Note [Groups of clips]; 0: all.
  // None: as the kernels want it.
  std::optional<int64_t> group_values = {};

  Compute() = default;
  Compute(Precision in) : precision(in) {}  // NOLINT: a precision is a way to compute
  Compute(Precision in, const RuntimeOptions& options) : precision(in), runtime(options) {}
};

}  // namespace cavmae
