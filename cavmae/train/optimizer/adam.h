// Adam with L2 weight decay added to the gradient (Kingma and Ba, ICLR 2015; the arithmetic and the state of
// torch.optim.Adam), fused into one pass over all parameters; on a GPU LibTorch's fused operator. Not AdamW.
// One owner; no thread besides it may touch the parameters during a step.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/train/optimizer/adam_kernel.h"

namespace cavmae {

struct OptimizerOptions {
  double beta1 = 0.95;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 5e-7;
  std::optional<double> clip_gradient_norm;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("beta1", o.beta1, "Adam's decay of the gradient's mean");
    v("beta2", o.beta2, "Adam's decay of the squared gradient's mean");
    v("epsilon", o.epsilon, "added to Adam's denominator");
    v("weight_decay", o.weight_decay, "L2 weight decay, added to the gradient");
    v("clip_gradient_norm", o.clip_gradient_norm, "scale the gradient down to this norm ('none': never)");
  }
};

// Parameters that share a learning rate: lr * lr_scale.
struct ParameterGroup {
  NamedTensors
      parameters;  // float, contiguous, on one device; those that do not require a gradient are left out
  double lr_scale = 1.0;
};

struct AdamStep {
  double lr = 0.0;
  double gradient_scale = 1.0;                // 1 / micro batches, and what clipping asks for
  GradientUse gradients = GradientUse::keep;  // what is left in them afterwards
};

class Adam {
 public:
  Adam(std::vector<ParameterGroup> groups, const OptimizerOptions& options);

  // Updates every parameter that has a gradient. The result does not depend on the number of threads.
  void step(const AdamStep& step);
  // Lets go of every gradient's memory.
  void release_gradients();

  // Every parameter's gradient, in the order of the groups; those in use, not copies.
  std::vector<torch::Tensor> gradients() const;

  // The 2-norm over every gradient; on the CPU in double and in one order whatever the number of threads.
  double gradient_norm() const;

  // NAME.exp_avg and NAME.exp_avg_sq (float, the parameter's shape) and NAME.step (int64 []) of every
  // parameter that was updated at least once. The tensors are those in use, not copies.
  NamedTensors state() const;
  // Takes copies. Throws CheckpointError naming the first tensor that does not fit or does not belong.
  void load_state(const TensorFile& file);

  // Bytes that state() will take on the disk once every parameter was updated.
  int64_t state_bytes() const;

 private:
  struct Slot {
    std::string name;
    torch::Tensor parameter;
    double lr_scale = 1.0;
    torch::Tensor exp_avg, exp_avg_sq;  // undefined before the first update
    int64_t step = 0;
  };
  static void prepare(Slot& slot);  // for its next update
  bool on_cpu() const;
  void step_on_device(const AdamStep& step);

  OptimizerOptions options_;
  std::vector<Slot> slots_;
};

}  // namespace cavmae
