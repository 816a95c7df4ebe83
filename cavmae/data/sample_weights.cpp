#include "cavmae/data/sample_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/number_text.h"
#include "cavmae/core/text.h"
#include "cavmae/data/manifest.h"

namespace cavmae {
namespace {

double read_weight(std::string_view text, const std::string& where) {
  const auto weight = parse_number(text);
  CAVMAE_CHECK_AS(DataError, weight && std::isfinite(*weight) && *weight >= 0, where,
                  ": a weight must be a number of at least 0, found '", printable(text), "'");
  return *weight;
}

}  // namespace

std::vector<double> balancing_weights(const ClipClasses& classes, int64_t num_classes) {
  std::vector<int64_t> count(num_classes, 0);
  for (const auto& of_clip : classes)
    for (const int64_t c : of_clip) ++count.at(c);
  std::vector<double> weights;
  for (const auto& of_clip : classes) {
    double weight = 0;
    for (const int64_t c : of_clip) weight += 1000.0 / (static_cast<double>(count[c]) + 0.01);
    weights.push_back(weight);
  }
  return weights;
}

void write_sample_weights(const std::filesystem::path& path, const std::vector<double>& weights) {
  std::string text;
  for (const double weight : weights) text += fmt::format("{:.18e}\n", weight);
  write_file(path, text);
}

std::vector<double> read_sample_weights(const std::filesystem::path& path, int64_t num_clips) {
  std::vector<double> weights;
  int64_t line = 0;
  for (const std::string& text : split(read_list_text(path), '\n')) {
    ++line;
    const std::string_view cell = trim(text);
    if (!cell.empty()) weights.push_back(read_weight(cell, concat(path.string(), ":", line)));
  }
  CAVMAE_CHECK_AS(DataError, static_cast<int64_t>(weights.size()) == num_clips, path.string(), ": holds ",
                  weights.size(), " weights for ", num_clips,
                  " clips; it must be made from the same data ('cavmae weights' makes one)");
  CAVMAE_CHECK_AS(DataError, std::isfinite(std::accumulate(weights.begin(), weights.end(), 0.0)),
                  path.string(), ": the sum of the weights is too large for a number; divide them all");
  CAVMAE_CHECK_AS(DataError, std::ranges::any_of(weights, [](double w) { return w > 0; }), path.string(),
                  ": every weight is 0, so no clip would ever be drawn");
  return weights;
}

}  // namespace cavmae
