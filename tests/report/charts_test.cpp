#include "cavmae/report/charts.h"

#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<std::string> titles(const std::vector<Chart>& charts) {
  std::vector<std::string> out;
  for (const Chart& chart : charts) out.push_back(chart.title);
  return out;
}

TEST(Charts, SortKnownSeriesIntoTheirPlaces) {
  const auto charts = make_charts({
      Json::parse(R"({"kind":"train","step":10,"epoch":0,"loss":2.5,"loss_audio":1,"lr":1e-4,"novel":3})"),
      Json::parse(R"({"kind":"validation","step":20,"loss":2.25,"loss_audio":0.9,
                      "retrieval":{"chance_r1":0.1,"audio_to_video":{"r1":0.5,"median_rank":2},"video_to_audio":{"r1":0.25}}})"),
      Json::parse(R"({"kind":"train","step":20,"loss":2,"loss_audio":0.8,"lr":1e-4,"novel":4})"),
  });
  EXPECT_THAT(titles(charts), ElementsAre("Loss", "Retrieval on validation clips", "Reconstruction loss",
                                          "Median rank", "Learning rate", "Novel"));
  ASSERT_EQ(charts[0].series.size(), 2u);
  EXPECT_EQ(charts[0].series[0].name, "train");
  EXPECT_THAT(charts[0].series[0].values, ElementsAre(Pair(10, 2.5), Pair(20, 2)));
  EXPECT_EQ(charts[0].series[1].name, "validation");
  EXPECT_EQ(charts[1].unit, ChartUnit::percent);
  EXPECT_EQ(charts[1].series[0].name, "audio to video, R@1");
  EXPECT_EQ(charts[2].series[1].line, SeriesLine::dashed) << "validation beside training";
}

TEST(Charts, KnowFlatNamesOfRetrievalToo) {
  const auto charts =
      make_charts({Json::parse(R"({"kind":"validation","step":1,"audio_to_video_r10":0.5})")});
  ASSERT_THAT(titles(charts), ElementsAre("Retrieval on validation clips"));
  EXPECT_EQ(charts[0].series[0].name, "audio to video, R@10");
}

TEST(Charts, GiveATermOfALossAChartOfItsOwn) {
  const auto charts =
      make_charts({Json::parse(R"({"kind":"train","step":1,"loss_uniformity":0.5,"accuracy":1})"),
                   Json::parse(R"({"kind":"validation","step":1,"loss_uniformity":0.6})")});
  ASSERT_THAT(titles(charts), ElementsAre("Accuracy in a batch", "Uniformity loss")) << "headlines first";
  EXPECT_EQ(charts[1].series[1].name, "validation");
}

TEST(Charts, TellClassificationsCurvesApart) {
  const auto charts = make_charts({Json::parse(
      R"({"kind":"validation","step":1,"map":0.4,"mauc":0.9,"d_prime":1.5,"top1":0.5,"top5":0.8,"chance_r1":0.1})")});
  ASSERT_THAT(titles(charts), ElementsAre("Classification of validation clips", "d'"));
  EXPECT_EQ(charts[0].unit, ChartUnit::percent);
  std::set<std::pair<SeriesStyle, SeriesLine>> looks;
  for (const ChartSeries& series : charts[0].series) looks.emplace(series.style, series.line);
  EXPECT_EQ(looks.size(), charts[0].series.size());
}

TEST(Charts, ShowWhatIsNotFiniteAsAGap) {
  const auto charts = make_charts({Json::parse(R"({"kind":"train","step":1,"loss":2,"lr":null})"),
                                   {{"kind", "train"}, {"step", 2}, {"loss", std::nan("")}, {"lr", nullptr}},
                                   {{"kind", "train"}, {"step", 3}, {"loss", INFINITY}, {"lr", nullptr}}});
  ASSERT_THAT(titles(charts), ElementsAre("Loss")) << "a series of nothing but NaN is left out";
  const Json values = to_json(charts)[0]["series"][0]["values"];
  EXPECT_EQ(values.dump(), "[[1.0,2.0],[2.0,null],[3.0,null]]");
}

TEST(Charts, PassOverRecordsTheyCannotUse) {
  EXPECT_TRUE(
      make_charts({Json::parse("3"), Json::parse(R"({"loss":1})"), Json::parse(R"({"step":"x","loss":1})"),
                   Json::parse(R"({"step":1,"kind":7,"name":"text","list":[1]})")})
          .empty());
  EXPECT_TRUE(make_charts({}).empty());
}

TEST(Charts, ThinOutLongSeries) {
  std::vector<Json> metrics;
  for (int i = 0; i < 10000; ++i) metrics.push_back({{"kind", "train"}, {"step", i}, {"loss", 1.0 * i}});
  metrics[5] = {{"kind", "train"}, {"step", 5}, {"loss", nullptr}};
  const auto charts = make_charts(metrics, 100);
  const auto& values = charts[0].series[0].values;
  ASSERT_EQ(values.size(), 100u);
  EXPECT_NEAR(values[50].second, 5049.5, 1e-9);
  EXPECT_NEAR(values[0].second, (99 * 50 - 5) / 99.0, 1e-9) << "the mean of what is finite";
  EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
}

TEST(Charts, SortBySteps) {
  const auto charts =
      make_charts({Json::parse(R"({"step":5,"loss":1})"), Json::parse(R"({"step":2,"loss":3})")});
  EXPECT_THAT(charts[0].series[0].values, ElementsAre(Pair(2, 3), Pair(5, 1)));
}

}  // namespace
}  // namespace cavmae
