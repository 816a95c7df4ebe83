#include "cavmae/metrics/metric.h"

#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/metrics/classification.h"
#include "cavmae/metrics/retrieval.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<std::string> keys_of(const MetricValues& values) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values) keys.push_back(key);
  return keys;
}

TEST(MetricTable, DeclaresEachMetricOnce) {
  std::set<std::string> keys;
  for (const Metric& metric : metric_table()) {
    EXPECT_TRUE(keys.insert(metric.key).second) << metric.key;
    EXPECT_TRUE(metric.old_key.empty() || keys.insert(metric.old_key).second) << metric.old_key;
    if (metric.key != "loss_*") {
      EXPECT_FALSE(metric.title.empty()) << metric.key;
    }
  }
}

TEST(MetricTable, HasWhatIsMeasured) {
  const auto classes = evaluate_classification(torch::tensor({{2.f, 1.f}, {1.f, 3.f}}), torch::eye(2));
  const auto retrieval = evaluate_retrieval(torch::eye(3), torch::eye(3));
  for (const MetricValues& values : {classes.values, values_of(retrieval)})
    for (const std::string& key : keys_of(values)) EXPECT_LT(metric_place(key), metric_table().size()) << key;
  std::vector<std::string> of_one_direction;
  for (const Metric& metric : retrieval_metrics()) of_one_direction.push_back(metric.key);
  EXPECT_EQ(keys_of(retrieval.audio_to_video), of_one_direction);
  EXPECT_EQ(keys_of(chance_scores(3)), of_one_direction);
}

TEST(FindMetric, ATermOfALossIsNamedByItsKey) {
  const Metric term = find_metric(loss_key("hard_negatives"));
  EXPECT_EQ(term.key, "loss_hard_negatives");
  EXPECT_EQ(term.title, "hard negatives loss");
  EXPECT_EQ(term.chart, "Hard negatives loss");
  EXPECT_EQ(term.better, Better::lower);
  EXPECT_TRUE(term.compared);
  EXPECT_EQ(find_metric("loss_audio").chart, "Reconstruction loss");
  EXPECT_LT(metric_place("loss_hard_negatives"), metric_place("accuracy"));
}

TEST(FindMetric, WhatIsNotKnownIsACurveAndNothingElse) {
  const Metric unknown = find_metric("gradient_norm");
  EXPECT_EQ(unknown.chart, "Gradient norm");
  EXPECT_FALSE(unknown.headline || unknown.compared);
  EXPECT_EQ(metric_place("gradient_norm"), metric_table().size());
}

TEST(FindMetric, KnowsOldKeys) {
  EXPECT_EQ(find_metric("mean_average_precision").key, "map");
  EXPECT_EQ(find_metric("learning_rate").chart, "Learning rate");
  EXPECT_EQ(find_metric("").key, "");
}

TEST(MetricNumber, ReadsTheOldKeyToo) {
  const Metric map = find_metric("map");
  EXPECT_EQ(metric_number({{"map", 0.5}, {"mean_average_precision", 0.25}}, map), 0.5);
  EXPECT_EQ(metric_number({{"mean_average_precision", 0.25}}, map), 0.25);
  EXPECT_EQ(metric_number({{"mean_auc", 0.75}}, find_metric("mauc")), 0.75);
  EXPECT_TRUE(std::isnan(metric_number({{"map", nullptr}}, map)));
  EXPECT_TRUE(std::isnan(metric_number(Json(), map)));
}

TEST(MetricText, ShowsSharesAsPercent) {
  EXPECT_EQ(metric_text(find_metric("top1"), 0.52468), "52.5 %");
  EXPECT_EQ(metric_text(find_metric("top1"), 0.52468, Digits::many), "52.47 %");
  EXPECT_EQ(metric_text(find_metric("chance_r1"), 1.0 / 2000), "0.05 %");
  EXPECT_EQ(metric_text(find_metric("loss"), 1.23456), "1.235");
  EXPECT_EQ(metric_text(find_metric("loss"), 1.23456, Digits::many), "1.2346");
  EXPECT_EQ(metric_text(find_metric("map"), std::nan("")), "-");
}

TEST(MetricValues, KeepTheirOrder) {
  MetricValues values{{"b", 1}, {"a", 2}};
  values.add("c", 3);
  values.add("b", 0.5);
  values.append({{"a", 4}}, "x_");
  EXPECT_EQ(to_json(values).dump(), R"({"b":1.5,"a":2.0,"c":3.0,"x_a":4.0})");
  EXPECT_FALSE(values.find("d"));
  EXPECT_THAT(message_from<Error>([&] { (void)values.at("d"); }), AllOf(HasSubstr("'d'"), HasSubstr("b, a")));
}

}  // namespace
}  // namespace cavmae
