#include "cavmae/report/sections.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "cavmae/core/text.h"
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

std::string recall_cell(double share, double chance) {
  return fmt::format(
      "<td class=\"recall\"><b>{}</b><i class=\"bar\"><i style=\"width:{:.1f}%\"></i></i><small>{}</small></td>",
      percent_text(share), 100 * std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0),
      against_chance(share, chance));
}

std::string retrieval_row(const std::string& name, const Json& scores, double clips) {
  std::string row = fmt::format("<tr><th scope=\"row\">{}</th>", name);
  for (const auto& [key, k] : {std::pair{"r1", 1.0}, std::pair{"r5", 5.0}, std::pair{"r10", 10.0}})
    row += recall_cell(json_number(scores, {key}), std::min(1.0, k / clips));
  return row + fmt::format("<td>{}</td></tr>\n", number_text(json_number(scores, {"median_rank"})));
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
  std::string out;
  const double clips = json_number(content.retrieval, {"clips"});
  if (clips > 0) {
    for (const auto& [key, name] : {std::pair{"audio_to_video", "R@1, sound to picture"},
                                    std::pair{"video_to_audio", "R@1, picture to sound"}}) {
      const double r1 = json_number(content.retrieval, {key, "r1"});
      out += key_number(percent_text(r1), name, against_chance(r1, 1 / clips));
    }
    out += key_number(number_text(clips), "clips searched", "chance " + percent_text(1 / clips));
  }
  const auto add = [&](double value, const std::string& text, const std::string& name,
                       const std::string& more) {
    if (std::isfinite(value)) out += key_number(text, name, more);
  };
  const double map = json_number(content.classification, {"mean_average_precision"});
  add(map, percent_text(map), "mAP",
      fmt::format("d' {:.3f}", json_number(content.classification, {"d_prime"})));
  const double top1 = json_number(content.classification, {"top1"});
  add(top1, percent_text(top1), "top-1 accuracy",
      "top-5 " + percent_text(json_number(content.classification, {"top5"})));
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
  std::string out = fmt::format(
      "<section id=\"retrieval\"><h2>Retrieval</h2>\n"
      "<p>Each of {} clips asks with one modality for its partner among all {} of the other. R@k: the "
      "share whose partner is among the first k answers. Equal scores share the mean of their places.</p>\n"
      "<div class=\"card scroll\"><table class=\"retrieval\">\n"
      "<thead><tr><th></th><th>R@1</th><th>R@5</th><th>R@10</th><th>median rank</th></tr></thead>\n",
      number_text(clips), number_text(clips));
  out += retrieval_row("sound to picture", retrieval.value("audio_to_video", Json()), clips);
  out += retrieval_row("picture to sound", retrieval.value("video_to_audio", Json()), clips);
  out += "<tr class=\"chance\"><th scope=\"row\">chance</th>";
  for (const double k : {1.0, 5.0, 10.0}) out += "<td>" + percent_text(std::min(1.0, k / clips)) + "</td>";
  return out + fmt::format("<td>{}</td></tr>\n</table></div>\n</section>\n", number_text((clips + 1) / 2));
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
