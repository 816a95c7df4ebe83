#include "cavmae/report/charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

// What belongs to a record and is no curve.
constexpr std::array kNoCurves = {"kind",    "step",  "epoch",   "elapsed_seconds",
                                  "seconds", "clips", "samples", "time"};

// All the values of one name in records of one kind.
struct RawSeries {
  std::string kind, name;  // "validation", "retrieval.audio_to_video.r1"
  std::vector<std::pair<double, double>> values;
};

void collect_numbers(const Json& object, const std::string& prefix, const std::string& kind, double step,
                     std::vector<RawSeries>& out) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) {
      collect_numbers(value, name, kind, step, out);
      continue;
    }
    // A value that is not finite was written as null; it stays visible as a gap.
    if (!value.is_number() && !value.is_null()) continue;
    if (std::ranges::find(kNoCurves, key) != kNoCurves.end()) continue;
    auto found =
        std::ranges::find_if(out, [&](const RawSeries& s) { return s.kind == kind && s.name == name; });
    if (found == out.end()) found = out.insert(out.end(), RawSeries{kind, name, {}});
    found->values.emplace_back(
        step, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
}

std::vector<RawSeries> collect_series(const std::vector<Json>& metrics) {
  std::vector<RawSeries> out;
  for (const Json& record : metrics) {
    if (!record.is_object() || !record.contains("step") || !record["step"].is_number()) continue;
    const std::string kind =
        record.contains("kind") && record["kind"].is_string() ? record["kind"].get<std::string>() : "train";
    collect_numbers(record, "", kind, record["step"].get<double>(), out);
  }
  std::erase_if(out, [](const RawSeries& s) {
    return std::ranges::none_of(s.values, [](const auto& v) { return std::isfinite(v.second); });
  });
  for (RawSeries& s : out) std::ranges::stable_sort(s.values, {}, [](const auto& v) { return v.first; });
  return out;
}

// Averages neighbours so that at most `max_points` are left.
void thin_out(std::vector<std::pair<double, double>>& values, int64_t max_points) {
  const auto n = static_cast<int64_t>(values.size());
  if (n <= max_points) return;
  std::vector<std::pair<double, double>> out;
  for (int64_t bucket = 0; bucket < max_points; ++bucket) {
    const int64_t begin = bucket * n / max_points, end = (bucket + 1) * n / max_points;
    double step = 0, sum = 0;
    int64_t finite = 0;
    for (int64_t i = begin; i < end; ++i) {
      step += values[i].first;
      if (std::isfinite(values[i].second)) sum += values[i].second, ++finite;
    }
    out.emplace_back(
        std::round(step / static_cast<double>(end - begin)),
        finite > 0 ? sum / static_cast<double>(finite) : std::numeric_limits<double>::quiet_NaN());
  }
  values = std::move(out);
}

// "retrieval.audio_to_video.r1", "val_audio_to_video_r5", "retrieval.chance_r1" -> "audio_to_video_r1", ...
std::string key_of(const std::string& name) {
  for (const RetrievalDirection& direction : retrieval_directions())
    if (const size_t at = name.find(direction.key); at != std::string::npos) {
      std::string key = name.substr(at);
      std::ranges::replace(key, '.', '_');
      return key;
    }
  const std::string last = name.substr(name.rfind('.') + 1);
  return metric_place(last) < metric_table().size() ? last : name;
}

// In a chart that several share, headlines have the colour of their kind of record.
SeriesStyle style_of(const Metric& metric, const std::string& kind) {
  switch (metric.modality) {
    case MetricModality::audio:
      return SeriesStyle::audio;
    case MetricModality::video:
      return SeriesStyle::video;
    case MetricModality::any:
      break;
  }
  if (!metric.series.empty() && !metric.headline) return SeriesStyle::plain;
  return kind == "train" ? SeriesStyle::train : SeriesStyle::validation;
}

// "train"; "audio, train"; "R@1"; "mAP, averaged model"
std::string label_of(const Metric& metric, const std::string& kind) {
  if (metric.series.empty()) return kind;
  if (metric.kind == MetricKind::loss) return metric.series + ", " + kind;
  return metric.series + (kind == "averaged" ? ", averaged model" : "");
}

// A chart and where it stands: those with a headline first, then in the order of the metrics.
struct PlacedChart {
  Chart chart;
  bool headline = false;
  size_t place = 0;
};

PlacedChart& chart_of(const Metric& metric, std::vector<PlacedChart>& charts) {
  const auto unit = metric.unit == MetricUnit::percent ? ChartUnit::percent : ChartUnit::number;
  const size_t place = metric_place(metric.key);
  auto found =
      std::ranges::find_if(charts, [&](const PlacedChart& c) { return c.chart.title == metric.chart; });
  if (found == charts.end())
    found = charts.insert(charts.end(), {.chart = {metric.chart, unit, {}}, .place = place});
  found->headline = found->headline || metric.headline;
  found->place = std::min(found->place, place);
  return *found;
}

// Curves of one colour in a chart differ in their dashes.
SeriesLine line_in(const Chart& chart, SeriesStyle style) {
  const auto before = std::ranges::count(chart.series, style, &ChartSeries::style);
  return before == 0 ? SeriesLine::solid : before == 1 ? SeriesLine::dashed : SeriesLine::dotted;
}

std::string style_name(SeriesStyle style) {
  switch (style) {
    case SeriesStyle::train:
      return "train";
    case SeriesStyle::validation:
      return "validation";
    case SeriesStyle::audio:
      return "audio";
    case SeriesStyle::video:
      return "video";
    case SeriesStyle::plain:
      break;
  }
  return "plain";
}

Json dash_pattern(SeriesLine line) {
  if (line == SeriesLine::dashed) return {7, 4};
  if (line == SeriesLine::dotted) return {2, 3};
  return Json::array();
}

}  // namespace

std::vector<Chart> make_charts(const std::vector<Json>& metrics, int64_t max_points) {
  constexpr size_t kFewPoints = 40;
  std::vector<PlacedChart> placed;
  for (RawSeries& raw : collect_series(metrics)) {
    const Metric metric = find_metric(key_of(raw.name));
    if (metric.chart.empty()) continue;
    Chart& chart = chart_of(metric, placed).chart;
    thin_out(raw.values, max_points);
    const SeriesStyle style = style_of(metric, raw.kind);
    chart.series.push_back({.name = label_of(metric, raw.kind),
                            .style = style,
                            .line = line_in(chart, style),
                            .points = raw.values.size() <= kFewPoints,
                            .values = std::move(raw.values)});
  }
  std::ranges::stable_sort(placed, {}, [](const PlacedChart& c) { return std::pair(!c.headline, c.place); });
  std::vector<Chart> charts;
  for (PlacedChart& one : placed) charts.push_back(std::move(one.chart));
  return charts;
}

Json to_json(const std::vector<Chart>& charts) {
  Json out = Json::array();
  for (const Chart& chart : charts) {
    Json series = Json::array();
    for (const ChartSeries& s : chart.series) {
      Json values = Json::array();
      for (const auto& [step, value] : s.values)
        values.push_back({step, std::isfinite(value) ? Json(value) : Json()});
      series.push_back({{"name", s.name},
                        {"style", style_name(s.style)},
                        {"dash", dash_pattern(s.line)},
                        {"points", s.points},
                        {"values", std::move(values)}});
    }
    out.push_back({{"title", chart.title},
                   {"percent", chart.unit == ChartUnit::percent},
                   {"series", std::move(series)}});
  }
  return out;
}

}  // namespace cavmae
