#include "cavmae/train/optimizer/adam_device.h"

#include <map>
#include <utility>

#include "cavmae/train/optimizer/adam.h"

namespace cavmae {
namespace {

// Parameters that share everything that the operator takes once.
struct UpdateGroup {
  std::vector<torch::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs;
};
using GroupKey = std::pair<double, int64_t>;  // lr, step

std::map<GroupKey, UpdateGroup> group_updates(const std::vector<DeviceUpdate>& updates) {
  std::map<GroupKey, UpdateGroup> groups;
  for (const DeviceUpdate& update : updates) {
    UpdateGroup& group = groups[{update.lr, update.step}];
    group.parameters.push_back(update.parameter);
    group.gradients.push_back(update.gradient);
    group.exp_avgs.push_back(update.exp_avg);
    group.exp_avg_sqs.push_back(update.exp_avg_sq);
  }
  return groups;
}

}  // namespace

void adam_update_on_device(const std::vector<DeviceUpdate>& updates, const OptimizerOptions& options,
                           const DeviceGradients& gradients) {
  if (updates.empty()) return;
  const auto on_device = updates.front().parameter.options().requires_grad(false);
  for (auto& [key, group] : group_updates(updates)) {
    const auto [lr, step] = key;
    const std::vector<torch::Tensor> steps(group.parameters.size(),
                                           at::full({}, static_cast<double>(step), on_device));
    const auto update = [&, lr = lr](const auto&... divisor) {
      at::_fused_adam_(group.parameters, group.gradients, group.exp_avgs, group.exp_avg_sqs,
                       /*max_exp_avg_sqs=*/{}, steps, lr, options.beta1, options.beta2, options.weight_decay,
                       options.epsilon, /*amsgrad=*/false, /*maximize=*/false, divisor...);
    };
    if (gradients.scale == 1.0) {
      update();
    } else {
      update(at::full({}, 1.0 / gradients.scale, on_device));  // it divides by its grad_scale
    }
    if (gradients.use == GradientUse::zero) at::_foreach_zero_(group.gradients);
  }
}

double norm_on_device(const std::vector<torch::Tensor>& gradients) {
  if (gradients.empty()) return 0.0;
  return at::stack(at::_foreach_norm(gradients, 2)).norm(2).item<double>();
}

}  // namespace cavmae
