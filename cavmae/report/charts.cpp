#include "cavmae/report/charts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

namespace cavmae {
namespace {

// What belongs to a record and is no curve.
constexpr std::array kNoCurves = {"kind",    "step",      "epoch", "elapsed_seconds", "seconds", "clips",
                                  "samples", "chance_r1", "time"};

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

bool ends_with_word(const std::string& name, const std::string& word) {
  return name == word || name.ends_with("." + word) || name.ends_with("_" + word);
}

struct Placed {
  std::string chart = {};
  ChartUnit unit = ChartUnit::number;
  std::string label = {};
  SeriesStyle style = SeriesStyle::plain;
  SeriesLine line = SeriesLine::solid;
};

// "retrieval.audio_to_video.r1", "val_audio_to_video_r5", ...
std::optional<Placed> place_retrieval(const RawSeries& s) {
  const bool from_audio = s.name.find("audio_to_video") != std::string::npos;
  if (!from_audio && s.name.find("video_to_audio") == std::string::npos) return std::nullopt;
  Placed out{.label = from_audio ? "sound to picture" : "picture to sound",
             .style = from_audio ? SeriesStyle::audio : SeriesStyle::video};
  if (ends_with_word(s.name, "median_rank")) {
    out.chart = "Median rank";
    return out;
  }
  for (const auto& [word, label, line] :
       {std::tuple{"r1", "R@1", SeriesLine::solid}, std::tuple{"r5", "R@5", SeriesLine::dashed},
        std::tuple{"r10", "R@10", SeriesLine::dotted}}) {
    if (!ends_with_word(s.name, word)) continue;
    out.chart = "Retrieval on validation clips";
    out.unit = ChartUnit::percent;
    out.label += std::string(", ") + label;
    out.line = line;
    return out;
  }
  return std::nullopt;
}

Placed place(const RawSeries& s) {
  if (auto retrieval = place_retrieval(s)) return *retrieval;
  const bool train = s.kind == "train";
  const SeriesStyle by_kind = train ? SeriesStyle::train : SeriesStyle::validation;
  if (s.name == "loss") return {"Loss", ChartUnit::number, s.kind, by_kind, SeriesLine::solid};
  static const std::map<std::string, std::pair<std::string, SeriesStyle>> kParts = {
      {"loss_audio", {"audio", SeriesStyle::audio}}, {"loss_video", {"video", SeriesStyle::video}}};
  static const std::map<std::string, std::string> kShares = {
      {"map", "mAP"}, {"mauc", "mAUC"}, {"top1", "top-1"}, {"top5", "top-5"}};
  if (const auto share = kShares.find(s.name); share != kShares.end())
    return {"Classification of validation clips", ChartUnit::percent,
            share->second + (s.kind == "averaged" ? ", averaged model" : ""),
            s.name == "map" ? SeriesStyle::validation : SeriesStyle::plain,
            s.name == "map" || s.name == "top1" ? SeriesLine::solid : SeriesLine::dashed};
  const SeriesLine line = train ? SeriesLine::solid : SeriesLine::dashed;
  if (const auto part = kParts.find(s.name); part != kParts.end())
    return {"Reconstruction loss", ChartUnit::number, part->second.first + ", " + s.kind, part->second.second,
            line};
  if (s.name == "loss_contrastive")
    return {"Contrastive loss", ChartUnit::number, s.kind, by_kind, SeriesLine::solid};
  if (s.name == "accuracy")
    return {"Accuracy in a batch", ChartUnit::percent, s.kind, by_kind, SeriesLine::solid};
  if (s.name == "lr" || s.name == "learning_rate")
    return {"Learning rate", ChartUnit::number, s.kind, SeriesStyle::plain, SeriesLine::solid};
  if (s.name == "samples_per_second")
    return {"Clips per second", ChartUnit::number, s.kind, by_kind, SeriesLine::solid};
  if (s.name == "data_wait_share")
    return {"Time waiting for data", ChartUnit::percent, s.kind, by_kind, SeriesLine::solid};
  std::string title = s.name;
  std::ranges::replace(title, '_', ' ');
  if (!title.empty()) title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  return {title, ChartUnit::number, s.kind, by_kind, SeriesLine::solid};
}

// The order in which the charts tell the story; what is not named comes after.
size_t chart_order(const Chart& chart) {
  static constexpr std::array kOrder = {"Loss",
                                        "Retrieval on validation clips",
                                        "Classification of validation clips",
                                        "Contrastive loss",
                                        "Accuracy in a batch",
                                        "Reconstruction loss",
                                        "Median rank",
                                        "Learning rate",
                                        "Clips per second",
                                        "Time waiting for data"};
  return static_cast<size_t>(std::ranges::find(kOrder, chart.title) - kOrder.begin());
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
  std::vector<Chart> charts;
  for (RawSeries& raw : collect_series(metrics)) {
    const Placed placed = place(raw);
    auto chart = std::ranges::find(charts, placed.chart, &Chart::title);
    if (chart == charts.end()) chart = charts.insert(charts.end(), Chart{placed.chart, placed.unit, {}});
    thin_out(raw.values, max_points);
    chart->series.push_back({.name = placed.label,
                             .style = placed.style,
                             .line = placed.line,
                             .points = raw.values.size() <= kFewPoints,
                             .values = std::move(raw.values)});
  }
  std::ranges::stable_sort(charts, {}, chart_order);
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
