#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

constexpr auto kNumber = MetricUnit::number;
constexpr auto kPercent = MetricUnit::percent;
constexpr const char* kTermPrefix = "loss_";
constexpr const char* kAnyTerm = "loss_*";
constexpr const char* kRetrievalChart = "Retrieval on validation clips";
constexpr const char* kClassificationChart = "Classification of validation clips";

std::vector<Metric> loss_rows() {
  constexpr auto kKind = MetricKind::loss;
  constexpr const char* kReconstruction = "Reconstruction loss";
  return {
      {.key = "loss",
       .title = "loss",
       .kind = kKind,
       .better = Better::lower,
       .headline = true,
       .chart = "Loss"},
      {.key = "loss_audio",
       .title = "audio loss",
       .kind = kKind,
       .better = Better::lower,
       .compared = true,
       .chart = kReconstruction,
       .series = "audio",
       .modality = MetricModality::audio},
      {.key = "loss_video",
       .title = "video loss",
       .kind = kKind,
       .better = Better::lower,
       .compared = true,
       .chart = kReconstruction,
       .series = "video",
       .modality = MetricModality::video},
      {.key = kAnyTerm, .kind = kKind, .better = Better::lower, .compared = true},
      {.key = "accuracy",
       .title = "accuracy",
       .kind = kKind,
       .unit = kPercent,
       .better = Better::higher,
       .headline = true,
       .compared = true,
       .chart = "Accuracy in a batch"},
  };
}

// Of one direction: retrieval.cpp computes them.
std::vector<Metric> retrieval_rows() {
  const auto recall = [](int k) {
    return Metric{.key = fmt::format("r{}", k),
                  .title = fmt::format("R@{}", k),
                  .kind = MetricKind::retrieval,
                  .unit = kPercent,
                  .better = Better::higher,
                  .headline = k == 1,
                  .compared = true,
                  .chart = kRetrievalChart,
                  .series = fmt::format("R@{}", k)};
  };
  return {recall(1),
          recall(5),
          recall(10),
          {.key = "median_rank",
           .title = "median rank",
           .kind = MetricKind::retrieval,
           .better = Better::lower,
           .chart = "Median rank"}};
}

// classification.cpp computes them. The old keys are those of evaluation.json before it had those of
// metrics.jsonl.
std::vector<Metric> classification_rows() {
  const auto row = [](const char* key, const char* title, MetricUnit unit) {
    return Metric{.key = key,
                  .title = title,
                  .kind = MetricKind::classification,
                  .unit = unit,
                  .better = Better::higher,
                  .chart = kClassificationChart,
                  .series = title};
  };
  Metric map = row("map", "mAP", kPercent), mauc = row("mauc", "mAUC", kNumber),
         d_prime = row("d_prime", "d'", kNumber), top1 = row("top1", "top-1", kPercent);
  map.old_key = "mean_average_precision";
  mauc.old_key = "mean_auc";
  map.headline = map.compared = top1.headline = true;
  d_prime.chart = "d'";
  d_prime.series = "";
  return {map, mauc, d_prime, top1, row("top5", "top-5", kPercent)};
}

std::vector<Metric> training_rows() {
  constexpr auto kKind = MetricKind::training;
  return {
      {.key = "lr",
       .old_key = "learning_rate",
       .title = "learning rate",
       .kind = kKind,
       .chart = "Learning rate"},
      {.key = "samples_per_second",
       .title = "clips per second",
       .kind = kKind,
       .better = Better::higher,
       .chart = "Clips per second"},
      {.key = "data_wait_share",
       .title = "time waiting for data",
       .kind = kKind,
       .unit = kPercent,
       .better = Better::lower,
       .chart = "Time waiting for data"},
  };
}

Metric in_direction(Metric metric, const RetrievalDirection& direction) {
  metric.key = direction.key + "_" + metric.key;
  metric.title += " " + direction.title;
  metric.series = direction.title + (metric.series.empty() ? "" : ", " + metric.series);
  metric.modality = direction.modality;
  return metric;
}

std::vector<Metric> make_table() {
  std::vector<Metric> table = loss_rows();
  for (const RetrievalDirection& direction : retrieval_directions())
    for (const Metric& metric : retrieval_metrics()) table.push_back(in_direction(metric, direction));
  table.push_back({.key = "chance_r1",
                   .title = "chance",
                   .kind = MetricKind::retrieval,
                   .unit = kPercent,
                   .headline = true});
  std::ranges::move(classification_rows(), std::back_inserter(table));
  std::ranges::move(training_rows(), std::back_inserter(table));
  return table;
}

// "gradient_norm" -> "gradient norm"
std::string words_of(std::string_view key) {
  std::string words(key);
  std::ranges::replace(words, '_', ' ');
  return words;
}

std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

size_t row_of(std::string_view key) {
  const auto found = std::ranges::find_if(metric_table(), [key](const Metric& metric) {
    return metric.key == key || (!key.empty() && metric.old_key == key);
  });
  return static_cast<size_t>(found - metric_table().begin());
}

}  // namespace

const std::vector<RetrievalDirection>& retrieval_directions() {
  static const std::vector<RetrievalDirection> directions = {
      {.key = "audio_to_video", .title = "audio to video", .modality = MetricModality::audio},
      {.key = "video_to_audio", .title = "video to audio", .modality = MetricModality::video}};
  return directions;
}

const std::vector<Metric>& retrieval_metrics() {
  static const std::vector<Metric> metrics = retrieval_rows();
  return metrics;
}

const std::vector<Metric>& metric_table() {
  static const std::vector<Metric> table = make_table();
  return table;
}

std::vector<Metric> metrics_of(MetricKind kind) {
  std::vector<Metric> metrics;
  std::ranges::copy_if(metric_table(), std::back_inserter(metrics),
                       [kind](const Metric& metric) { return metric.kind == kind; });
  return metrics;
}

size_t metric_place(std::string_view key) {
  const size_t row = row_of(key);
  return row == metric_table().size() && key.starts_with(kTermPrefix) ? row_of(kAnyTerm) : row;
}

Metric find_metric(std::string_view key) {
  const size_t place = metric_place(key);
  Metric metric =
      place < metric_table().size() ? metric_table()[place] : Metric{.kind = MetricKind::training};
  if (metric.key == key || metric.old_key == key) return metric;
  metric.title = words_of(key);
  if (metric.key == kAnyTerm)
    metric.title = words_of(key.substr(std::string_view(kTermPrefix).size())) + " loss";
  metric.key = key;
  metric.chart = capitalized(metric.title);
  return metric;
}

std::string loss_key(std::string_view term) {
  return kTermPrefix + std::string(term);
}

double metric_number(const Json& object, const Metric& metric) {
  for (const std::string& key : {metric.key, metric.old_key})
    if (!key.empty() && object.is_object() && object.contains(key) && object[key].is_number())
      return object[key].get<double>();
  return std::numeric_limits<double>::quiet_NaN();
}

std::string metric_text(const Metric& metric, double value, Digits digits) {
  if (!std::isfinite(value)) return "-";
  const bool many = digits == Digits::many;
  if (metric.unit == MetricUnit::percent) {
    const double percent = 100 * value;
    if (percent > 0 && percent < 1) return fmt::format("{:.2g} %", percent);
    return fmt::format("{:.{}f} %", percent, many ? 2 : 1);
  }
  return fmt::format("{:.{}g}", value, many ? 5 : 4);
}

}  // namespace cavmae
