// One optimizer step from a group of batches: forward, backward, the mean over the ranks, clipping, Adam. One
// owner.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/dist/world.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct StepOutcome {
  StepMeans sums;              // over the clips of the group
  double gradient_norm = 0.0;  // of the mean gradient, before clipping
  // What was not finite ("the loss (nan)"), or empty; on all ranks or on none. Then nothing was changed:
  // parameters, optimizer and generator are as they were before the step.
  std::string not_finite;
};

class OptimizationStep {
 public:
  // `world` outlives this. Ranks that begin with the same parameters keep the same.
  OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer, torch::Generator generator,
                   World& world);

  // The gradients of the batches and of the ranks are averaged; the contrastive loss is that of one batch of
  // each rank. Every rank has as many batches.
  StepOutcome take(const std::vector<Batch>& group, double lr);

  Task& task() { return *task_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }
  torch::Generator& generator() { return generator_; }  // of the task

 private:
  StepOutcome accumulate(const std::vector<Batch>& group);
  void sum_gradients_of_ranks(const StepOutcome& outcome);

  std::shared_ptr<Task> task_;
  std::optional<double> clip_gradient_norm_;
  Adam adam_;
  torch::Generator generator_;
  World& world_;
};

}  // namespace cavmae
