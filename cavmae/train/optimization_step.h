// One optimizer step from a group of batches: forward, backward, the sum over the ranks, clipping, Adam. One
// owner.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/dist/world.h"
#include "cavmae/train/gradient_exchange.h"
#include "cavmae/train/optimizer/adam.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct StepOutcome {
  StepMeans sums;                 // over the group's clips of all ranks; 0 clips: nothing was changed
  double gradient_norm = 0.0;     // of the mean gradient, before clipping
  double exchange_seconds = 0.0;  // that this rank waited for others and for what all exchange
  // What was not finite ("the loss (nan)"), or empty; on all ranks or on none. Then nothing was changed:
  // parameters, optimizer and generator are as they were before the step.
  std::string not_finite;
};

class OptimizationStep {
 public:
  // `world` outlives this. Ranks that begin with the same parameters keep the same.
  OptimizationStep(std::shared_ptr<Task> task, const OptimizerOptions& optimizer, torch::Generator generator,
                   World& world, const ExchangeOptions& exchange = {});

  // Learns from the mean over the clips of all batches and ranks. Every rank has as many batches, of which it
  // may hold a part, also an empty one.
  StepOutcome take(const std::vector<Batch>& group, double lr);

  Task& task() { return *task_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }
  torch::Generator& generator() { return generator_; }  // of the task

 private:
  // What the batches gave; `weight`: by how many clips' worth the gradients are too large.
  struct Accumulated {
    StepMeans sums;
    double weight = 0.0;
    std::vector<double> written = {};  // as GradientExchange has it
  };
  Accumulated accumulate(const std::vector<Batch>& group);
  void sum_over_ranks(Accumulated& own);

  std::shared_ptr<Task> task_;
  std::optional<double> clip_gradient_norm_;
  Adam adam_;
  torch::Generator generator_;
  World& world_;
  GradientExchange exchange_;
  std::vector<std::string> keys_;  // of what is measured, the same on all ranks
};

}  // namespace cavmae
