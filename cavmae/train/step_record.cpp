#include "cavmae/train/step_record.h"

#include <algorithm>

#include <fmt/format.h>

#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

double number(const Json& record, const char* name) {
  return record.at(name).get<double>();
}

// The loss with its terms, then the other headline metrics, in the record's order.
std::string metrics_line(const Json& record) {
  std::string terms, others;
  for (const auto& [key, value] : record.items()) {
    if (!value.is_number() || key == "loss") continue;
    const Metric metric = find_metric(key);
    if (key.starts_with(loss_key("")))
      terms += fmt::format("{}{} {:.4g}", terms.empty() ? "" : ", ", key.substr(loss_key("").size()),
                           value.get<double>());
    else if (metric.headline)
      others += fmt::format(", {} {}", metric.title, metric_text(metric, value.get<double>()));
  }
  return fmt::format("loss {:.4g}{}{}", number(record, "loss"), terms.empty() ? "" : " (" + terms + ")",
                     others);
}

}  // namespace

Json train_record(const RunState& state, double lr) {
  const IntervalSums& sums = state.interval;
  const double seconds = std::max(sums.seconds, 1e-9);
  Json record = {
      {"kind", "train"}, {"step", state.step}, {"epoch", state.epoch + 1}, {"samples", state.samples}};
  record.update(to_json(sums.means.mean().values));
  record["lr"] = lr;
  record["gradient_norm"] = sums.gradient_norm / static_cast<double>(std::max<int64_t>(1, sums.steps));
  record["samples_per_second"] = static_cast<double>(sums.samples) / seconds;
  record["data_wait_share"] = sums.wait_seconds / seconds;
  if (sums.exchange_seconds > 0) {
    record["exchange_seconds"] =
        sums.exchange_seconds / static_cast<double>(std::max<int64_t>(1, sums.steps));
    record["exchange_share"] = sums.exchange_seconds / seconds;
  }
  record["elapsed_seconds"] = state.elapsed_seconds;
  return record;
}

Json validation_record(const RunState& state, const ValidationResult& result, ValidationOf of) {
  Json record = {{"kind", of == ValidationOf::run ? "validation" : "averaged"},
                 {"step", state.step},
                 {"epoch", state.epoch}};
  record.update(to_json(values_of(result)));
  record["clips"] = result.losses.clips;
  record["seconds"] = result.seconds;
  return record;
}

std::string train_line(const Json& record) {
  const std::string exchange =
      record.contains("exchange_share")
          ? fmt::format(", exchanging {:.3g} s a step ({:.0f} %)", number(record, "exchange_seconds"),
                        100 * number(record, "exchange_share"))
          : "";
  return fmt::format("{}, lr {:.3g}, {:.3g} samples/s, waiting {:.0f} %{}", metrics_line(record),
                     number(record, "lr"), number(record, "samples_per_second"),
                     100 * number(record, "data_wait_share"), exchange);
}

std::string validation_line(const Json& record) {
  return metrics_line(record);
}

}  // namespace cavmae
