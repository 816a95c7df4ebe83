// The curves of a run: the records of metrics.jsonl sorted into charts. Free functions; safe from several
// threads.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/json.h"

namespace cavmae {

enum class ChartUnit { number, percent };
enum class SeriesStyle { train, validation, audio, video, plain };
enum class SeriesLine { solid, dashed, dotted };

struct ChartSeries {
  std::string name;
  SeriesStyle style = SeriesStyle::plain;
  SeriesLine line = SeriesLine::solid;
  bool points = false;                            // marks each value: few of them, far apart
  std::vector<std::pair<double, double>> values;  // (step, value), ascending; NaN: a gap
};

struct Chart {
  std::string title;
  ChartUnit unit = ChartUnit::number;
  std::vector<ChartSeries> series;
};

// Every numeric series of the records in the chart that its metric names (metrics/metric.h), any other in a
// chart of its own; charts with a headline come first. Nested objects count with their path. Records without
// a "step" are passed over; a series of only NaN is left out; long ones are averaged down to `max_points`.
std::vector<Chart> make_charts(const std::vector<Json>& metrics, int64_t max_points = 800);

// As assets/report.js takes them.
Json to_json(const std::vector<Chart>& charts);

}  // namespace cavmae
