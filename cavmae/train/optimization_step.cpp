#include "cavmae/train/optimization_step.h"

#include <cmath>

#include <fmt/format.h>

#include "cavmae/nn/profile_range.h"
#include "cavmae/train/profile_ranges.h"
#include "cavmae/train/validation.h"

namespace cavmae {
namespace {

// A batch's weight in the gradient: its clips over those of a full part, the same measure on every rank. 1
// where every clip of the part could be read.
double weight_of(const Batch& batch, const World& world) {
  const auto clips = static_cast<double>(batch.indices.size());
  return batch.size == 0 ? 1.0 : clips * static_cast<double>(world.size()) / static_cast<double>(batch.size);
}

}  // namespace

OptimizationStep::OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer,
                                   torch::Generator generator, World& world, const ExchangeOptions& exchange)
    : task_(std::move(task)),
      clip_gradient_norm_(optimizer.clip_gradient_norm),
      adam_(task_->parameter_groups(), optimizer),
      generator_(std::move(generator)),
      world_(world),
      exchange_(task_->model()->parameters(), exchange, world) {}

StepOutcome OptimizationStep::take(const std::vector<Batch>& group, double lr) {
  const torch::Tensor generator_before = generator_.get_state();
  const double exchanged_before = world_.exchange_seconds();
  exchange_.prepare();
  Accumulated accumulated = accumulate(group);
  if (world_.size() > 1) {
    exchange_.begin_rest();
    sum_over_ranks(accumulated);
    exchange_.sum(accumulated.written);
  }
  StepOutcome outcome;
  outcome.exchange_seconds = world_.exchange_seconds() - exchanged_before;
  outcome.sums = std::move(accumulated.sums);
  // What a rank's loss was spoils the sum, so that every rank sees it.
  const double loss = outcome.sums.values.find("loss").value_or(0.0);
  if (!std::isfinite(loss)) outcome.not_finite = fmt::format("the loss ({})", loss);
  if (outcome.not_finite.empty() && outcome.sums.clips > 0) {
    const ProfileRange range(ranges::kOptimizer);
    double scale = 1.0 / accumulated.weight;
    outcome.gradient_norm = adam_.gradient_norm() * scale;
    if (!std::isfinite(outcome.gradient_norm)) {
      outcome.not_finite = "the gradient";
    } else {
      if (clip_gradient_norm_ && outcome.gradient_norm > *clip_gradient_norm_)
        scale *= *clip_gradient_norm_ / outcome.gradient_norm;
      adam_.step({.lr = lr, .gradient_scale = scale, .gradients = GradientUse::keep});
    }
  }
  if (!outcome.not_finite.empty()) generator_.set_state(generator_before);
  // Not kept for the next step: its first backward then takes over new memory instead of adding to zeros.
  adam_.release_gradients();
  return outcome;
}

OptimizationStep::Accumulated OptimizationStep::accumulate(const std::vector<Batch>& group) {
  Accumulated out;
  for (const Batch& batch : group) {
    const StepResult result = task_->training_forward(batch, generator_);
    if (batch.empty()) continue;
    const double weight = weight_of(batch, world_);
    {
      const ProfileRange range(ranges::kBackward);
      const torch::Tensor loss = weight == 1.0 ? result.loss : result.loss * weight;
      if (&batch == &group.back()) exchange_.overlap(loss);
      loss.backward();
    }
    out.weight += weight;
    // After the backward pass, so that a GPU has work while this thread waits for the numbers. A loss that is
    // not finite does not end it here: the other ranks wait for what this one has to give in the rest of the
    // step.
    out.sums.add(values_of(result), static_cast<int64_t>(batch.indices.size()));
  }
  return out;
}

// One small reduction a step. The keys are known after the first, and a rank without clips learns them there.
void OptimizationStep::sum_over_ranks(Accumulated& own) {
  if (keys_.empty())
    for (const auto& [key, value] : sum_of_ranks(world_, own.sums).values) keys_.push_back(key);
  std::vector<double> numbers = {own.weight, static_cast<double>(own.sums.clips)};
  for (const std::string& key : keys_) numbers.push_back(own.sums.values.find(key).value_or(0.0));
  const std::vector<double> written = exchange_.written();
  numbers.insert(numbers.end(), written.begin(), written.end());
  const torch::Tensor sums = torch::tensor(numbers, torch::kFloat64);
  world_.all_reduce(sums);
  const double* sum = sums.data_ptr<double>();
  own.weight = *sum++;
  own.sums.clips = static_cast<int64_t>(*sum++);
  own.sums.values = {};
  for (const std::string& key : keys_) own.sums.values.set(key, *sum++);
  own.written.assign(sum, sum + written.size());
}

}  // namespace cavmae
