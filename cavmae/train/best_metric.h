// What picks the best checkpoint of a run. A free function; safe from any thread.
#pragma once

#include "cavmae/train/run_options.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct Judgement {
  double value = 0.0;
  bool higher_is_better = false;
};

// The value of `metric`, or the loss where the validation has no such value.
Judgement judge_validation(const ValidationResult& result, BestMetric metric);

}  // namespace cavmae
