#include "cavmae/train/optimization_step.h"

#include <cmath>

#include <fmt/format.h>

#include "cavmae/core/profile_range.h"
#include "cavmae/train/profile_ranges.h"

namespace cavmae {

OptimizationStep::OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer,
                                   torch::Generator generator)
    : task_(std::move(task)),
      clip_gradient_norm_(optimizer.clip_gradient_norm),
      adam_(task_->parameter_groups(), optimizer),
      generator_(std::move(generator)) {}

StepOutcome OptimizationStep::take(const std::vector<Batch>& group, double lr) {
  const torch::Tensor generator_before = generator_.get_state();
  StepOutcome outcome = accumulate(group);
  const ProfileRange range(ranges::kOptimizer);
  double scale = 1.0 / static_cast<double>(group.size());
  if (outcome.not_finite.empty()) {
    outcome.gradient_norm = adam_.gradient_norm() * scale;
    if (!std::isfinite(outcome.gradient_norm)) outcome.not_finite = "the gradient";
  }
  if (outcome.not_finite.empty()) {
    if (clip_gradient_norm_ && outcome.gradient_norm > *clip_gradient_norm_)
      scale *= *clip_gradient_norm_ / outcome.gradient_norm;
    adam_.step({.lr = lr, .gradient_scale = scale, .gradients = GradientUse::keep});
  } else {
    generator_.set_state(generator_before);
  }
  // Not kept for the next step: its first backward then takes over new memory instead of adding to zeros.
  adam_.release_gradients();
  return outcome;
}

StepOutcome OptimizationStep::accumulate(const std::vector<Batch>& group) {
  StepOutcome outcome;
  for (const Batch& batch : group) {
    const StepResult result = task_->training_forward(batch, generator_);
    {
      const ProfileRange range(ranges::kBackward);
      result.loss.backward();
    }
    // After the backward pass, so that a GPU has work while this thread waits for the number.
    const auto loss = result.loss.item<double>();
    if (!std::isfinite(loss)) {
      outcome.not_finite = fmt::format("the loss ({})", loss);
      break;
    }
    outcome.sums.add(result, static_cast<int64_t>(batch.indices.size()));
  }
  return outcome;
}

}  // namespace cavmae
