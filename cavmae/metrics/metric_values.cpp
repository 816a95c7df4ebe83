#include "cavmae/metrics/metric_values.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae {

double& MetricValues::value_of(std::string_view key) {
  const auto found = std::ranges::find(values_, key, &MetricValue::key);
  return found != values_.end() ? found->value : values_.emplace_back(MetricValue{std::string(key)}).value;
}

void MetricValues::set(std::string_view key, double value) {
  value_of(key) = value;
}

void MetricValues::add(std::string_view key, double value) {
  value_of(key) += value;
}

void MetricValues::append(const MetricValues& others, std::string_view prefix) {
  for (const MetricValue& other : others) set(std::string(prefix) + other.key, other.value);
}

std::optional<double> MetricValues::find(std::string_view key) const {
  const auto found = std::ranges::find(values_, key, &MetricValue::key);
  return found != values_.end() ? std::optional(found->value) : std::nullopt;
}

double MetricValues::at(std::string_view key) const {
  const std::optional<double> value = find(key);
  std::string known;
  if (!value)
    for (const MetricValue& one : values_) known += (known.empty() ? "" : ", ") + one.key;
  CAVMAE_CHECK(value, "'", key, "' was not measured; there are: ", known.empty() ? "none" : known);
  return *value;
}

Json to_json(const MetricValues& values) {
  Json out = Json::object();
  for (const MetricValue& one : values) out[one.key] = one.value;
  return out;
}

}  // namespace cavmae
