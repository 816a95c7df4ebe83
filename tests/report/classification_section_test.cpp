#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/report/sections.h"

namespace cavmae {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json evaluation() {
  return {{"clips", 12},
          {"checkpoint", "checkpoints/averaged"},
          {"frames", "all"},
          {"classes",
           {{{"label", "rain <b>"}, {"average_precision", 0.25}, {"auc", 0.5}, {"positives", 4}},
            {{"label", "nothing"}, {"average_precision", nullptr}, {"auc", nullptr}, {"positives", 0}},
            {{"label", "bird"}, {"average_precision", 0.75}, {"auc", 0.9}, {"positives", 8}}}},
          {"confusions", {{{"label", "bird"}, {"predicted", "rain"}, {"clips", 3}, {"share", 0.375}}}}};
}

TEST(ClassificationSection, ListsTheClassesBestFirst) {
  const std::string html = classification_html(evaluation());
  const size_t bird = html.find("bird"), rain = html.find("rain &lt;b&gt;"), nothing = html.find("nothing");
  ASSERT_NE(rain, std::string::npos) << "names are escaped";
  EXPECT_LT(bird, rain);
  EXPECT_LT(rain, nothing) << "a class without a clip comes last";
  EXPECT_THAT(html, HasSubstr("no clip"));
  EXPECT_THAT(html, HasSubstr("37.5 %"));
  EXPECT_THAT(html, HasSubstr("checkpoints/averaged"));
}

TEST(ClassificationSection, ReadsEvaluationsOfEveryVersion) {
  Json now = evaluation(), before = evaluation();
  now.update({{"map", 0.4}, {"mauc", 0.875}});
  before.update({{"mean_average_precision", 0.4}, {"mean_auc", 0.875}});
  EXPECT_EQ(classification_html(before), classification_html(now));
  EXPECT_THAT(classification_html(before), HasSubstr("mAP 40.00 %, mAUC 0.875"));
  ReportContent content;
  content.classification = before;
  EXPECT_THAT(key_numbers_html(content), HasSubstr("mAP"));
}

TEST(ClassificationSection, IsEmptyWithoutAnEvaluation) {
  EXPECT_THAT(classification_html(Json()), IsEmpty());
  EXPECT_THAT(classification_html({{"classes", 3}}), IsEmpty());
}

}  // namespace
}  // namespace cavmae
