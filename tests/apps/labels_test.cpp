// The commands that work on labels, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_support::read_whole;
using testing_support::run_cavmae;

class LabelCommands : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { std::ofstream(folder / name) << text; }
  std::string at(const std::string& name) { return "'" + (folder / name).string() + "'"; }

  // Two clips in the authors' form whose sounds are never opened.
  void write_data() {
    write("x.flac", "");
    write("labels.csv", "index,mid,display_name\n0,/m/1,Rain\n1,/m/2,Wind\n2,/m/3,Sea\n");
    write("train.json",
          R"({"data": [{"wav": "x.flac", "video_id": "x", "video_path": "v", "labels": "/m/1,/m/2"},)"
          R"({"wav": "x.flac", "video_id": "y", "video_path": "v", "labels": "/m/1"}]})");
  }
  TemporaryFolder folder;
};

TEST_F(LabelCommands, WeightsAreTheAuthorsFigures) {
  write_data();
  const auto outcome = run_cavmae("weights --data " + at("train.json") + " --labels " + at("labels.csv") +
                                  " --out " + at("w.csv") + " --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"classes\": 3"));
  std::ifstream file(folder / "w.csv");
  double first = 0, second = 0;
  file >> first >> second;
  EXPECT_NEAR(first, 1000 / 2.01 + 1000 / 1.01, 1e-9);
  EXPECT_NEAR(second, 1000 / 2.01, 1e-9);
}

TEST_F(LabelCommands, WeightsOfUnknownLabelsAreAnError) {
  write_data();
  write("labels.csv", "index,mid,display_name\n0,/m/1,Rain\n");
  const auto outcome = run_cavmae("weights --data " + at("train.json") + " --labels " + at("labels.csv") +
                                  " --out " + at("w.csv"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("'/m/2' of clip 'x' (did you mean '/m/1'?)"));
  EXPECT_FALSE(std::filesystem::exists(folder / "w.csv"));
}

TEST_F(LabelCommands, EnhancedLabelsAreWrittenInTheAuthorsForm) {
  write_data();
  write("ontology.json", R"([{"id": "/m/3", "child_ids": ["/m/2"]}])");
  write("scores.csv", "id,label,score\nx,Wind,0.5\ny,Wind,0.75\ny,Sea,0.9\n");
  const std::string data = "enhance-labels --data " + at("train.json") + " --labels " + at("labels.csv");
  const auto outcome = run_cavmae(data + " --ontology " + at("ontology.json") + " --scores " +
                                  at("scores.csv") + " --out " + at("more.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("3 labels added (2 by the taxonomy, 1 by the teacher) to 2 of 2 clips"));
  const std::string text = read_whole(folder / "more.json");
  EXPECT_THAT(text, HasSubstr("\"/m/1,/m/2,/m/3\""));
  // What was written is data again.
  const auto weights = run_cavmae("weights --data " + at("more.json") + " --labels " + at("labels.csv") +
                                  " --out " + at("w.csv"));
  EXPECT_EQ(weights.exit_code, 0) << weights.err;
  const auto fixed =
      run_cavmae(data + " --scores " + at("scores.csv") + " --threshold 0.8 --out " + at("m.jsonl"));
  EXPECT_THAT(fixed.out, HasSubstr("1 labels added (0 by the taxonomy, 1 by the teacher)"));
}

TEST_F(LabelCommands, EnhancingWithoutASourceOrWithOneOfOtherClipsIsAnError) {
  write_data();
  write("scores.csv", "id,label,score\nother,Wind,0.5\n");
  const std::string data = "enhance-labels --data " + at("train.json") + " --labels " + at("labels.csv") +
                           " --out " + at("m.jsonl");
  const auto none = run_cavmae(data);
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("--ontology, --scores or both"));
  const auto other = run_cavmae(data + " --scores " + at("scores.csv"));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("of none of the 2 of --data"));
  write("ontology.json", R"([{"id": "/m/none", "child_ids": ["/m/other"]}])");
  const auto ontology = run_cavmae(data + " --ontology " + at("ontology.json"));
  EXPECT_EQ(ontology.exit_code, 1);
  EXPECT_THAT(ontology.err, HasSubstr("ontology.json: no class of"));
  const auto word = run_cavmae(data + " --scores " + at("scores.csv") + " --threshold much");
  EXPECT_EQ(word.exit_code, 2);
  EXPECT_THAT(word.err, HasSubstr("--threshold: expected a number, found 'much'"));
}

}  // namespace
}  // namespace cavmae
