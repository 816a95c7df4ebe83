#include "cavmae/train/optimization_step.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "cavmae/core/profile_range.h"
#include "cavmae/train/profile_ranges.h"

namespace cavmae {

OptimizationStep::OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer,
                                   torch::Generator generator, World& world)
    : task_(std::move(task)),
      clip_gradient_norm_(optimizer.clip_gradient_norm),
      adam_(task_->parameter_groups(), optimizer),
      generator_(std::move(generator)),
      world_(world) {}

StepOutcome OptimizationStep::take(const std::vector<Batch>& group, double lr) {
  const torch::Tensor generator_before = generator_.get_state();
  StepOutcome outcome = accumulate(group);
  if (world_.size() > 1) sum_gradients_of_ranks(outcome);
  const ProfileRange range(ranges::kOptimizer);
  double scale = 1.0 / (static_cast<double>(group.size()) * static_cast<double>(world_.size()));
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
    // After the backward pass, so that a GPU has work while this thread waits for the numbers.
    const MetricValues values = values_of(result);
    const double loss = values.at("loss");
    // Goes on: the other ranks wait for what this one has to give in the rest of the step.
    if (!std::isfinite(loss) && outcome.not_finite.empty())
      outcome.not_finite = fmt::format("the loss ({})", loss);
    outcome.sums.add(values, static_cast<int64_t>(batch.indices.size()));
  }
  return outcome;
}

// A loss that is not finite spoils the sum, so that every rank sees a norm that is not finite.
void OptimizationStep::sum_gradients_of_ranks(const StepOutcome& outcome) {
  const torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> gradients = adam_.gradients();
  if (!outcome.not_finite.empty()) gradients.front().fill_(std::numeric_limits<float>::quiet_NaN());
  for (const torch::Tensor& gradient : gradients) world_.all_reduce(gradient);
}

}  // namespace cavmae
