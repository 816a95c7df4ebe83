#include "cavmae/report/sections.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "cavmae/core/text.h"
#include "cavmae/metrics/metric.h"
#include "cavmae/metrics/retrieval.h"
#include "cavmae/report/html.h"

namespace cavmae {
namespace {

// The last number of that name in any record, NaN when there is none.
double last_number(const std::vector<Json>& metrics, const std::string& name, const std::string& kind = "") {
  for (auto record = metrics.rbegin(); record != metrics.rend(); ++record) {
    if (!record->is_object() || (!kind.empty() && record->value("kind", "") != kind)) continue;
    const double value = json_number(*record, {name});
    if (std::isfinite(value)) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::string key_number(const std::string& value, const std::string& name, const std::string& more) {
  return fmt::format("<div class=\"key\"><strong>{}</strong><span>{}</span><small>{}</small></div>\n",
                     escape_html(value), escape_html(name), escape_html(more));
}

// "52 times chance"
std::string against_chance(double share, double chance) {
  if (!(chance > 0) || !std::isfinite(share)) return "";
  const double times = share / chance;
  return fmt::format("{} times chance", number_text(times >= 10 ? std::round(times) : times));
}

// The headline metrics of both directions.
std::string retrieval_numbers(const Json& retrieval) {
  const double clips = json_number(retrieval, {"clips"});
  if (!(clips > 0)) return "";
  const RetrievalScores chance = chance_scores(static_cast<int64_t>(clips));
  std::string out;
  for (const RetrievalDirection& direction : retrieval_directions())
    for (const Metric& metric : retrieval_metrics()) {
      if (!metric.headline) continue;
      const double value = metric_number(retrieval.value(direction.key, Json()), metric);
      out += key_number(percent_text(value), metric.title + ", " + direction.title,
                        against_chance(value, chance.at(metric.key)));
    }
  return out + key_number(number_text(clips), "clips searched", "chance " + percent_text(1 / clips));
}

std::string classification_numbers(const Json& classification) {
  std::string out;
  for (const Metric& metric : metrics_of(MetricKind::classification))
    if (const double value = metric_number(classification, metric); metric.headline && std::isfinite(value))
      out += key_number(metric_text(metric, value), metric.title, "");
  return out;
}

std::string recall_cell(double share, double chance) {
  return fmt::format(
      "<td class=\"recall\"><b>{}</b><i class=\"bar\"><i style=\"width:{:.1f}%\"></i></i><small>{}</small></td>",
      percent_text(share), 100 * std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0),
      against_chance(share, chance));
}

// A row of retrieval_metrics(); shares beside those of chance.
std::string retrieval_row(const std::string& name, const Json& scores, const RetrievalScores& chance) {
  std::string row = fmt::format("<tr><th scope=\"row\">{}</th>", name);
  for (const Metric& metric : retrieval_metrics()) {
    const double value = metric_number(scores, metric);
    row += metric.unit == MetricUnit::percent ? recall_cell(value, chance.at(metric.key))
                                              : fmt::format("<td>{}</td>", number_text(value));
  }
  return row + "</tr>\n";
}

// The ends of a curve, for those who cannot see it drawn.
std::string curve_row(const std::string& chart, const ChartSeries& series, ChartUnit unit) {
  std::vector<std::pair<double, double>> finite;
  std::ranges::copy_if(series.values, std::back_inserter(finite),
                       [](const auto& v) { return std::isfinite(v.second); });
  const auto [low, high] = std::ranges::minmax(finite, {}, [](const auto& v) { return v.second; });
  const auto text = [unit](double value) {
    return unit == ChartUnit::percent ? percent_text(value) : number_text(value);
  };
  return fmt::format(
      "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
      escape_html(chart), escape_html(series.name), text(finite.front().second), text(low.second),
      text(high.second), text(finite.back().second));
}

std::string setting_value(const Json& value) {
  if (value.is_string()) return escape_html(value.get<std::string>());
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return "not finite";
  return escape_html(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string settings_table(const Json& object) {
  std::string rows, nested;
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      nested += fmt::format("<details open><summary>{}</summary>{}</details>\n", escape_html(key),
                            settings_table(value));
    } else {
      rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape_html(key),
                          setting_value(value));
    }
  }
  return (rows.empty() ? "" : "<table class=\"settings\">" + rows + "</table>\n") + nested;
}

}  // namespace

double json_number(const Json& object, const std::vector<std::string>& path) {
  const Json* at = &object;
  for (const std::string& key : path) {
    if (!at->is_object() || !at->contains(key)) return std::numeric_limits<double>::quiet_NaN();
    at = &(*at)[key];
  }
  return at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string key_numbers_html(const ReportContent& content) {
  std::string out = retrieval_numbers(content.retrieval) + classification_numbers(content.classification);
  const auto add = [&](double value, const std::string& text, const std::string& name,
                       const std::string& more) {
    if (std::isfinite(value)) out += key_number(text, name, more);
  };
  const double epoch = last_number(content.metrics, "epoch");
  const double step = last_number(content.metrics, "step");
  add(step, number_text(step), "steps", std::isfinite(epoch) ? "epoch " + number_text(epoch) : "");
  const double seconds = last_number(content.metrics, "elapsed_seconds");
  const double rate = last_number(content.metrics, "samples_per_second", "train");
  add(seconds, human_duration(seconds), "training time",
      std::isfinite(rate) ? number_text(rate) + " clips/s" : "");
  const double loss = last_number(content.metrics, "loss", "train");
  const double validation = last_number(content.metrics, "loss", "validation");
  add(loss, fmt::format("{:.3f}", loss), "last loss",
      std::isfinite(validation) ? fmt::format("{:.3f} in validation", validation) : "");
  return out.empty() ? "" : "<div class=\"keys\">\n" + out + "</div>\n";
}

std::string charts_html(const std::vector<Chart>& charts) {
  if (charts.empty()) return "";
  std::string cards, rows;
  for (size_t i = 0; i < charts.size(); ++i) {
    cards += fmt::format(
        "<figure class=\"card chart\"><figcaption>{0}</figcaption><div><canvas data-chart=\"{1}\" "
        "role=\"img\" aria-label=\"{0}\"></canvas></div></figure>\n",
        escape_html(charts[i].title), i);
    for (const ChartSeries& series : charts[i].series)
      rows += curve_row(charts[i].title, series, charts[i].unit);
  }
  return "<section id=\"curves\"><h2>Curves</h2>\n"
         "<noscript><p>The curves need JavaScript; their ends are in the table below.</p></noscript>\n"
         "<div class=\"charts\">\n" +
         cards +
         "</div>\n"
         "<details><summary>The curves as numbers</summary><div class=\"scroll\"><table>\n"
         "<thead><tr><th>curve</th><th></th><th>first</th><th>lowest</th><th>highest</th><th>last</th></tr></thead>\n" +
         rows + "</table></div></details>\n<script type=\"application/json\" id=\"chart-data\">" +
         script_json(to_json(charts)) + "</script>\n</section>\n";
}

std::string retrieval_html(const Json& retrieval) {
  const double clips = json_number(retrieval, {"clips"});
  if (!(clips > 0)) return "";
  const RetrievalScores chance = chance_scores(static_cast<int64_t>(clips));
  std::string out = fmt::format(
      "<section id=\"retrieval\"><h2>Retrieval</h2>\n"
      "<p>Each of {} clips asks with one modality for its partner among all {} of the other. R@k: the "
      "share whose partner is among the first k answers. Equal scores share the mean of their places.</p>\n"
      "<div class=\"card scroll\"><table class=\"retrieval\">\n<thead><tr><th></th>",
      number_text(clips), number_text(clips));
  for (const Metric& metric : retrieval_metrics()) out += "<th>" + escape_html(metric.title) + "</th>";
  out += "</tr></thead>\n";
  for (const RetrievalDirection& direction : retrieval_directions())
    out += retrieval_row(direction.title, retrieval.value(direction.key, Json()), chance);
  out += "<tr class=\"chance\"><th scope=\"row\">chance</th>";
  for (const Metric& metric : retrieval_metrics()) {
    const double value = chance.at(metric.key);
    out += "<td>" + (metric.unit == MetricUnit::percent ? percent_text(value) : number_text(value)) + "</td>";
  }
  return out + "</tr>\n</table></div>\n</section>\n";
}

std::string settings_html(const Json& config) {
  if (!config.is_object() || config.empty()) return "";
  return "<section id=\"settings\"><h2>Settings</h2>\n"
         "<details class=\"card\"><summary>The resolved configuration</summary>\n" +
         settings_table(config) + "</details>\n</section>\n";
}

std::string notes_html(const std::vector<std::string>& notes) {
  if (notes.empty()) return "";
  std::string out = "<section id=\"notes\"><h2>Notes</h2>\n<ul class=\"card notes\">\n";
  for (const std::string& note : notes) out += "<li>" + escape_html(note) + "</li>\n";
  return out + "</ul>\n</section>\n";
}

}  // namespace cavmae
