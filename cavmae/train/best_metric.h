// What picks the best checkpoint of a run. Free functions; safe from any thread.
#pragma once

#include <optional>

#include "cavmae/train/run_options.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct BestMetricValue {
  double value = 0.0;
  bool higher_is_better = false;
};

// The value of `metric`, or the loss where the validation has no such value.
BestMetricValue best_metric(const ValidationResult& result, BestMetric metric);

// Whether it is better than the best value so far, if there is one.
bool is_best(const BestMetricValue& now, const std::optional<double>& best);

}  // namespace cavmae
