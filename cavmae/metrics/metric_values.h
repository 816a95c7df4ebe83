// What was measured: numbers by the keys of their metrics, in the order in which they are shown. Plain
// values.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/json.h"

namespace cavmae {

struct MetricValue {
  std::string key;  // see metric.h
  double value = 0.0;
};

class MetricValues {
 public:
  MetricValues() = default;
  MetricValues(std::initializer_list<MetricValue> values) : values_(values) {}

  // Replaces the value of that key, or comes last.
  void set(std::string_view key, double value);
  // Adds to the value of that key, which is 0 where there is none yet.
  void add(std::string_view key, double value);
  void append(const MetricValues& others, std::string_view prefix = "");

  bool contains(std::string_view key) const { return find(key).has_value(); }
  std::optional<double> find(std::string_view key) const;
  // Throws Error naming the key and those that there are.
  double at(std::string_view key) const;

  bool empty() const { return values_.empty(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  double& value_of(std::string_view key);

  std::vector<MetricValue> values_;
};

// {KEY: VALUE, ..}
Json to_json(const MetricValues& values);

}  // namespace cavmae
