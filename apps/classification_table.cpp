#include "apps/classification_table.h"

#include <fmt/format.h>

#include "cavmae/metrics/metric.h"

namespace cavmae::apps {

void print_classification(const ClassificationResult& result) {
  std::string line;
  for (const auto& [key, value] : result.values) {
    const Metric metric = find_metric(key);
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", metric.title,
                        metric_text(metric, value, Digits::many));
  }
  fmt::print("{}\n{} clips, {} classes", line, result.clips, result.classes.size());
  if (!result.without_positive.empty())
    fmt::print(", {} of them without a clip and in no mean", result.without_positive.size());
  fmt::print("\n");
}

}  // namespace cavmae::apps
