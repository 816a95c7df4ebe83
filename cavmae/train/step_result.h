// What a batch gave, and sums over batches. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"
#include "cavmae/metrics/metric_values.h"

namespace cavmae {

// A term of a loss: weight * value. Everywhere it is recorded it is called "loss_NAME".
struct LossTerm {
  std::string name;
  torch::Tensor value;  // float [], with gradient, before its weight
  double weight = 1.0;
};

struct StepResult {
  torch::Tensor loss;                // float [], with gradient
  std::vector<LossTerm> terms = {};  // that it is the sum of; empty where it has no parts
  // What else is measured, by metric: float [], no gradient.
  std::vector<std::pair<std::string, torch::Tensor>> values = {};
};

// The sum of weight * value, float []; neighbours of one weight are added before they are weighted.
torch::Tensor weighted_sum(const std::vector<LossTerm>& terms);

// "loss", "loss_NAME" of each term, and the other values, read from the device at once.
MetricValues values_of(const StepResult& result);

// Sums of the results of several batches, weighted by their clips.
struct StepMeans {
  int64_t clips = 0;
  MetricValues values;

  void add(const StepResult& result, int64_t batch) { add(values_of(result), batch); }
  void add(const MetricValues& of_batch, int64_t batch);
  void add(const StepMeans& other);
  StepMeans mean() const;

  // {"clips": .., KEY: SUM, ..} as a checkpoint keeps it.
  Json to_json() const;
  void from_json(const Json& json, const std::string& where);
};

}  // namespace cavmae
