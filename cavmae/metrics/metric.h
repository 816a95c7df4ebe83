// What can be measured, each declared once in metric_table.cpp: logs, tables, the report and the choice of
// the best checkpoint go by it. It computes nothing. Free functions; safe from several threads.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/json.h"

namespace cavmae {

enum class MetricKind {
  loss,            // the loss, its terms, and what else a step gives
  retrieval,       // of pretrained networks with both modalities
  classification,  // of classifiers
  training,        // how fast a run goes
};
enum class MetricUnit { number, percent };  // percent: a share, shown times 100
enum class Better { lower, higher, neither };
// The modality whose colour a curve is drawn in.
enum class MetricModality { any, audio, video };

struct Metric {
  std::string key = {};      // in metrics.jsonl and every other JSON
  std::string old_key = {};  // read as well; empty: none
  std::string title = {};    // in logs and tables
  MetricKind kind = MetricKind::loss;
  MetricUnit unit = MetricUnit::number;
  Better better = Better::neither;
  bool headline = false;    // in a line of the log, and among the report's first numbers
  bool compared = false;    // a column of an ablation's table
  std::string chart = {};   // of the report; empty: it is no curve
  std::string series = {};  // its name in a chart that it shares; empty: it has the chart for itself
  MetricModality modality = MetricModality::any;
};

// In the order of a record: losses, retrieval, classification, the run. The row "loss_*" stands for every
// term of a loss that has no row of its own.
const std::vector<Metric>& metric_table();
// The metrics of one kind, in that order.
std::vector<Metric> metrics_of(MetricKind kind);

// The metric of that key, or old key. A term of a loss without a row, and a key that is not known, get their
// title and chart from the key.
Metric find_metric(std::string_view key);
// Its row in the table; the number of rows for a key that is not known.
size_t metric_place(std::string_view key);

// The key of a loss's term: "loss_NAME".
std::string loss_key(std::string_view term);

// Retrieval is measured in two directions, each by the same metrics: their keys in metrics.jsonl are
// DIRECTION_KEY ("audio_to_video_r1").
struct RetrievalDirection {
  std::string key;                                // "audio_to_video"
  std::string title;                              // "audio to video"
  MetricModality modality = MetricModality::any;  // of the queries
};
const std::vector<RetrievalDirection>& retrieval_directions();
// The metrics of one direction ("r1", "R@1").
const std::vector<Metric>& retrieval_metrics();

// The value in a JSON object, under the key or the old one; NaN when there is none.
double metric_number(const Json& object, const Metric& metric);

// few: "52.5 %", "0.6123"; many: "52.47 %", "0.61234"; below 1 % two digits that count ("0.037 %"); "-" for
// what is not finite.
enum class Digits { few, many };
std::string metric_text(const Metric& metric, double value, Digits digits = Digits::few);

}  // namespace cavmae
