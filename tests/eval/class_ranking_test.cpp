#include "cavmae/eval/class_ranking.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

const LabelSet& three_classes() {
  static const LabelSet set({{"a", "A"}, {"b", "B"}, {"c", "C"}}, "here");
  return set;
}

TEST(ClassRanking, IsBestFirstAndEqualScoresKeepTheirOrder) {
  const auto ranked = rank_classes(torch::tensor({0.25f, 0.5f, 0.25f}), three_classes());
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_EQ(ranked[0].label.mid, "b");
  EXPECT_EQ(ranked[0].score, 0.5f);
  EXPECT_EQ(ranked[1].index, 0);
  EXPECT_EQ(ranked[2].index, 2);
  EXPECT_THROW(rank_classes(torch::ones({2}), three_classes()), Error);
}

TEST(ClassRanking, JsonSaysByWhatAClipWasScored) {
  ClipScores scores;
  scores.scores = torch::tensor({{0.1f, 0.2f, 0.7f}, {0.9f, 0.0f, 0.1f}});
  scores.indices = {0, 2};
  scores.audio_only = {2};
  scores.failed = {{.id = "y", .reason = "broken"}};
  std::vector<ClipSource> clips(3);
  clips[0].id = "x", clips[1].id = "y", clips[2].id = "z";
  const Json json = to_json(scores, three_classes(), clips);
  EXPECT_EQ(json["clips"][0]["id"], "x");
  EXPECT_EQ(json["clips"][0]["by"], "all");
  EXPECT_EQ(json["clips"][0]["labels"][0]["label"], "C");
  EXPECT_EQ(json["clips"][1]["by"], "audio only");
  EXPECT_EQ(json["clips"][1]["labels"][0]["mid"], "a");
  EXPECT_EQ(json["failed"][0]["reason"], "broken");
  EXPECT_EQ(json["failed"][0]["side"], "both");
  EXPECT_FALSE(json["clips"][0].contains("file"));
  std::ostringstream text;
  write_scores(text, scores, three_classes(), clips);
  EXPECT_EQ(text.str(), json.dump(2) + "\n");
}

TEST(ClassRanking, JsonOfWindowsSaysWhereTheyStart) {
  ClipScores scores;
  scores.scores = torch::tensor({{0.1f, 0.2f, 0.7f}});
  scores.indices = {0};
  std::vector<ClipSource> clips(1);
  clips[0].id = "x\n@2.500", clips[0].file = "x\n", clips[0].start_seconds = 2.5;
  const Json json = to_json(scores, three_classes(), clips);
  EXPECT_EQ(json["clips"][0]["file"], "x\n");
  EXPECT_EQ(json["clips"][0]["start_seconds"], 2.5);
  std::ostringstream text;
  write_scores(text, scores, three_classes(), clips);
  EXPECT_EQ(text.str(), json.dump(2) + "\n");
  scores.scores = torch::empty({0, 3});
  scores.indices = {};
  std::ostringstream none;
  write_scores(none, scores, three_classes(), clips);
  EXPECT_EQ(none.str(), to_json(scores, three_classes(), clips).dump(2) + "\n");
}

}  // namespace
}  // namespace cavmae
