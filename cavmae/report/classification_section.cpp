#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "cavmae/metrics/metric.h"
#include "cavmae/report/html.h"
#include "cavmae/report/sections.h"

namespace cavmae {
namespace {

constexpr size_t kMaxConfusions = 20;

std::string text_of(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

std::string bar_cell(double share) {
  return fmt::format("<td class=\"recall\">{}<i class=\"bar\"><i style=\"width:{:.1f}%\"></i></i></td>",
                     percent_text(share), 100 * std::clamp(share, 0.0, 1.0));
}

// "mAP 41.20 %, mAUC 0.91234, ..."
std::string metrics_text(const Json& evaluation) {
  std::string out;
  for (const Metric& metric : metrics_of(MetricKind::classification))
    if (const double value = metric_number(evaluation, metric); std::isfinite(value))
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", metric.title,
                         metric_text(metric, value, Digits::many));
  return out.empty() ? "" : "<p>" + escape_html(out) + "</p>\n";
}

// The classes, best first; those without a clip last.
std::string class_rows(const Json& classes) {
  std::vector<const Json*> order;
  for (const Json& item : classes) order.push_back(&item);
  const auto precision = [](const Json* item) {
    const double value = json_number(*item, {"average_precision"});
    return std::isfinite(value) ? -value : 1.0;
  };
  std::ranges::stable_sort(order, {}, precision);
  std::string rows;
  for (const Json* item : order) {
    const double average_precision = json_number(*item, {"average_precision"}),
                 auc = json_number(*item, {"auc"});
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th>{}<td>{}</td><td>{}</td></tr>\n", escape_html(text_of(*item, "label")),
        std::isfinite(average_precision) ? bar_cell(average_precision) : "<td>no clip</td>",
        std::isfinite(auc) ? fmt::format("{:.4f}", auc) : "", number_text(json_number(*item, {"positives"})));
  }
  return rows;
}

std::string confusion_rows(const Json& confusions) {
  std::string rows;
  for (size_t i = 0; i < std::min(kMaxConfusions, confusions.size()); ++i) {
    const Json& pair = confusions[i];
    rows +=
        fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    escape_html(text_of(pair, "label")), escape_html(text_of(pair, "predicted")),
                    number_text(json_number(pair, {"clips"})), percent_text(json_number(pair, {"share"})));
  }
  return rows;
}

}  // namespace

std::string classification_html(const Json& evaluation) {
  if (!evaluation.is_object() || !evaluation.contains("classes") || !evaluation["classes"].is_array())
    return "";
  std::string out = fmt::format(
      "<section id=\"classification\"><h2>Classification</h2>\n"
      "<p>{} validation clips, {} classes, the model in {}, {} picture(s) of each clip.</p>\n",
      number_text(json_number(evaluation, {"clips"})), evaluation["classes"].size(),
      escape_html(text_of(evaluation, "checkpoint")), escape_html(text_of(evaluation, "frames")));
  out += metrics_text(evaluation);
  out +=
      "<div class=\"card scroll\"><table>\n"
      "<thead><tr><th>class</th><th>average precision</th><th>AUC</th><th>clips</th></tr></thead>\n" +
      class_rows(evaluation["classes"]) + "</table></div>\n";
  const std::string confusions =
      evaluation.contains("confusions") ? confusion_rows(evaluation["confusions"]) : "";
  if (!confusions.empty())
    out +=
        "<details class=\"card scroll\"><summary>What is taken for what</summary><table>\n"
        "<thead><tr><th>class</th><th>taken for</th><th>clips</th><th>share of the class</th></tr></thead>\n" +
        confusions + "</table></details>\n";
  return out + "</section>\n";
}

}  // namespace cavmae
