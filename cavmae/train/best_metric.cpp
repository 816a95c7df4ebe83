#include "cavmae/train/best_metric.h"

#include <cmath>
#include <string>
#include <vector>

#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

// The metrics whose mean decides.
std::vector<std::string> keys_of(BestMetric metric) {
  switch (metric) {
    case BestMetric::retrieval:
      return {"audio_to_video_r1", "video_to_audio_r1"};
    case BestMetric::map:
      return {"map"};
    case BestMetric::accuracy:
      return {"top1"};
    case BestMetric::loss:
      break;
  }
  return {"loss"};
}

std::optional<double> mean_of(const MetricValues& values, const std::vector<std::string>& keys) {
  double sum = 0.0;
  for (const std::string& key : keys) {
    const std::optional<double> value = values.find(key);
    if (!value || !std::isfinite(*value)) return std::nullopt;
    sum += *value;
  }
  return sum / static_cast<double>(keys.size());
}

}  // namespace

BestMetricValue best_metric(const ValidationResult& result, BestMetric metric) {
  const MetricValues values = values_of(result);
  const std::vector<std::string> keys = keys_of(metric);
  if (const std::optional<double> mean = mean_of(values, keys))
    return {.value = *mean, .higher_is_better = find_metric(keys.front()).better == Better::higher};
  return {.value = values.at("loss"), .higher_is_better = false};
}

bool is_best(const BestMetricValue& now, const std::optional<double>& best) {
  return !best || (now.higher_is_better ? now.value > *best : now.value < *best);
}

}  // namespace cavmae
