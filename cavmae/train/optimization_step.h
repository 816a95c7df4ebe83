// One optimizer step from a group of batches: forward, backward, clipping, Adam. One owner.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct StepOutcome {
  StepMeans sums;              // over the clips of the group
  double gradient_norm = 0.0;  // of the mean gradient, before clipping
  // What was not finite ("the loss (nan)"), or empty. Then nothing was changed: parameters, optimizer and
  // generator are as they were before the step.
  std::string not_finite;
};

class OptimizationStep {
 public:
  OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer, torch::Generator generator);

  // The gradients of the batches are averaged; the contrastive loss stays within a batch.
  StepOutcome take(const std::vector<Batch>& group, double lr);

  Task& task() { return *task_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }
  torch::Generator& generator() { return generator_; }  // of the task

 private:
  StepOutcome accumulate(const std::vector<Batch>& group);

  std::shared_ptr<Task> task_;
  std::optional<double> clip_gradient_norm_;
  Adam adam_;
  torch::Generator generator_;
};

}  // namespace cavmae
