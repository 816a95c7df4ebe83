#include "cavmae/train/step_result.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

// Checkpoints from before terms had names hold every one of these, 0 where the task had no such part. A loss
// that is there is never 0; the accuracy may be, and belongs to the contrastive loss and to classification.
void leave_out_absent(MetricValues& sums) {
  constexpr std::array<std::string_view, 3> kTerms = {"loss_audio", "loss_video", "loss_contrastive"};
  const auto is_zero = [&](std::string_view key) { return sums.find(key).value_or(0.0) == 0.0; };
  const bool reconstructs = !is_zero("loss_audio") || !is_zero("loss_video");
  const bool lacks_accuracy = is_zero("accuracy") && is_zero("loss_contrastive") && reconstructs;
  MetricValues there;
  for (const auto& [key, value] : sums) {
    const bool is_term = std::ranges::find(kTerms, key) != kTerms.end();
    const bool absent = (is_term && value == 0.0) || (key == "accuracy" && lacks_accuracy);
    if (!absent) there.set(key, value);
  }
  sums = there;
}

}  // namespace

torch::Tensor weighted_sum(const std::vector<LossTerm>& terms) {
  CAVMAE_CHECK(!terms.empty(), "a loss has no terms");
  torch::Tensor sum;
  for (size_t i = 0; i < terms.size();) {
    const double weight = terms[i].weight;
    torch::Tensor group = terms[i].value;
    for (++i; i < terms.size() && terms[i].weight == weight; ++i) group = group + terms[i].value;
    group = group * weight;
    sum = sum.defined() ? sum + group : group;
  }
  return sum;
}

MetricValues values_of(const StepResult& result) {
  std::vector<std::string> keys = {"loss"};
  std::vector<torch::Tensor> numbers = {result.loss};
  for (const LossTerm& term : result.terms) {
    keys.push_back(loss_key(term.name));
    numbers.push_back(term.value);
  }
  for (const auto& [key, value] : result.values) {
    keys.push_back(key);
    numbers.push_back(value);
  }
  for (torch::Tensor& number : numbers) number = number.detach().to(torch::kFloat32);
  const torch::Tensor read = at::stack(numbers).cpu();
  MetricValues values;
  for (size_t i = 0; i < keys.size(); ++i)
    values.set(keys[i], static_cast<double>(read.data_ptr<float>()[i]));
  return values;
}

void StepMeans::add(const MetricValues& of_batch, int64_t batch) {
  clips += batch;
  for (const auto& [key, value] : of_batch) values.add(key, static_cast<double>(batch) * value);
}

void StepMeans::add(const StepMeans& other) {
  clips += other.clips;
  for (const auto& [key, value] : other.values) values.add(key, value);
}

StepMeans StepMeans::mean() const {
  StepMeans mean{.clips = clips, .values = {}};
  for (const auto& [key, value] : values) mean.values.set(key, value / static_cast<double>(clips));
  return mean;
}

Json StepMeans::to_json() const {
  Json json = {{"clips", clips}};
  json.update(cavmae::to_json(values));
  return json;
}

void StepMeans::from_json(const Json& json, const std::string& where) {
  CAVMAE_CHECK_AS(ConfigError, json.is_object(), where, ": expected an object, found ", json.dump());
  *this = {};
  for (const auto& [key, value] : json.items()) {
    if (key == "comment") continue;
    // What is not finite was written as null.
    CAVMAE_CHECK_AS(ConfigError, value.is_number() || value.is_null(), where, ": ", key,
                    ": expected a number, found ", value.dump());
    if (key == "clips")
      clips = value.get<int64_t>();
    else
      values.set(key, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
  if (clips == 0) values = {};
  leave_out_absent(values);
}

}  // namespace cavmae
