// One optimizer step from a group of batches: masks, forward, backward, clipping, Adam. One owner.
#pragma once

#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/train/adam.h"
#include "cavmae/train/pretraining_task.h"

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
  OptimizationStep(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks,
                   const OptimizerOptions& optimizer, torch::Generator generator);

  // The gradients of the batches are averaged; the contrastive loss stays within a batch.
  StepOutcome take(const std::vector<Batch>& group, double lr);

  PretrainingTask& task() { return task_; }
  const PretrainingTask& task() const { return task_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }
  torch::Generator& generator() { return generator_; }  // of the masks

 private:
  StepOutcome accumulate(const std::vector<Batch>& group);

  PretrainingTask task_;
  std::optional<double> clip_gradient_norm_;
  Adam adam_;
  torch::Generator generator_;
};

// The inputs of a batch; a modality that the network lacks is left out.
Inputs inputs_of(const Batch& batch, const CavMaeConfig& config);

}  // namespace cavmae
