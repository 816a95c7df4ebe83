#include "cavmae/train/task.h"

namespace cavmae {

MetricValues values_of(const ValidationResult& result) {
  MetricValues values = result.losses.values;
  if (result.retrieval) values.append(values_of(*result.retrieval));
  if (result.classification) values.append(result.classification->values);
  return values;
}

}  // namespace cavmae
