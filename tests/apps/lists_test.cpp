// Lists and folders as people have them, as a user gives them to the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_cavmae;
using testing_support::run_shell;

class ListCommands : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder / name, std::ios::binary) << text;
  }
  // In the folder, so that bare names are those of files there.
  Outcome run(const std::string& arguments) {
    return run_shell("cd '" + folder.path().string() + "' && " + std::string(CAVMAE_PROGRAM) + " " +
                     arguments);
  }
  TemporaryFolder folder;
};

TEST_F(ListCommands, LabelsWithCommasAreWhole) {
  for (const char* name : {"a.mp4", "b.mp4", "c.mp4"}) write(name, "");
  write(
      "l.csv",
      "path,labels\na.mp4,\"donkey, ass braying\"\nb.mp4,\"heart sounds, heartbeat\"\nc.mp4,playing hammond organ\n");
  write(
      "classes.csv",
      "index,mid,display_name\n0,a,\"donkey, ass braying\"\n1,b,\"heart sounds, heartbeat\"\n2,c,playing hammond organ\n");
  for (const char* labels : {"", " --labels classes.csv"}) {
    const Outcome outcome = run("weights --data l.csv --out w.csv" + std::string(labels));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("for 3 classes"));
    std::ifstream weights(folder / "w.csv");
    for (double weight = 0; weights >> weight;) EXPECT_NEAR(weight, 990.099, 1e-3);
  }
  const Outcome cut = run("weights --data l.csv --out w.csv --label-separator comma");
  EXPECT_THAT(cut.out, HasSubstr("for 5 classes"));
}

TEST_F(ListCommands, EveryFormOfListIsDescribed) {
  write("a.mp4", "");
  write("l.tsv", "file_name\tlabel\na.mp4\tx\n");
  write("l.ndjson", "{\"path\": \"a.mp4\", \"labels\": [\"x\"]}\n");
  write("l.csv", "a.mp4,x\n");
  for (const char* name : {"l.tsv", "l.ndjson", "l.csv"}) {
    const Outcome outcome = run("info " + std::string(name) + " --json -");
    ASSERT_EQ(outcome.exit_code, 0) << name << outcome.err;
    const Json json = Json::parse(outcome.out);
    EXPECT_EQ(json["clips"], 1) << name;
    EXPECT_EQ(json["labels"]["x"], 1) << name;
  }
}

TEST_F(ListCommands, FilesThatLookLikeFlagsAreTold) {
  write("-Xx.mp4", "");
  for (const char* arguments : {"info -Xx.mp4", "stats --data -Xx.mp4"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err,
                HasSubstr("'-Xx.mp4' was taken for a flag; a file of this name is given as ./-Xx.mp4"));
  }
  EXPECT_THAT(run("info -Yy.mp4").err, HasSubstr("./-Yy.mp4"));
  // Behind -- it is a file, and this one is empty.
  const Outcome behind = run("info --json - -- -Xx.mp4");
  EXPECT_THAT(behind.err, AllOf(HasSubstr("-Xx.mp4"), HasSubstr("empty")));
  EXPECT_EQ(behind.exit_code, 1);
  EXPECT_EQ(run("info ./-Xx.mp4").exit_code, 1);
}

TEST_F(ListCommands, ABareNameForTheNewListWorks) {
  write("x.flac", "");
  write("labels.csv", "index,mid,display_name\n0,/m/1,Rain\n1,/m/2,Wind\n");
  write("train.json", R"({"data": [{"wav": "x.flac", "video_id": "x", "labels": "/m/1"}]})");
  write("ontology.json", R"([{"id": "/m/2", "child_ids": ["/m/1"]}])");
  const std::string enhance =
      "enhance-labels --data train.json --labels labels.csv --ontology ontology.json --out ";
  for (const char* name : {"x.json", "x.jsonl"}) {
    const Outcome outcome = run(enhance + name);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(run("weights --labels labels.csv --out w.csv --data " + std::string(name)).exit_code, 0);
  }
  const Outcome nowhere = run(enhance + "no/such/x.json");
  EXPECT_EQ(nowhere.exit_code, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("there is no folder no/such"));
}

TEST_F(ListCommands, TextThatIsNoUtf8IsRefusedBeforeTheRun) {
  write("a.mp4", "");
  write("l.csv", "path,labels\na.mp4,A\n");
  write("labels.csv", "index,mid,display_name\n0,a,A\n1,b,caf\xe9\n");
  const Outcome outcome = run("weights --data l.csv --labels labels.csv --out w.csv");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("labels.csv:3: 'caf\\xE9' is no UTF-8 text"));
  const Outcome run_folder = run("pretrain --config tiny --data 'caf\xe9' --out run");
  EXPECT_EQ(run_folder.exit_code, 2);
  EXPECT_THAT(run_folder.err, HasSubstr("--data caf\\xE9: the path is no UTF-8 text"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_F(ListCommands, JsonIsValidWhateverAFileIsCalled) {
  std::filesystem::create_directory(folder / "d\xe9");
  write("d\xe9/a\xe9.mp4", "");
  const Outcome outcome = run("info 'd\xe9' --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["clips"], 1);
  EXPECT_EQ(run("info 'd\xe9' --json 'o\xe9.json'").exit_code, 0);
  EXPECT_EQ(Json::parse(read_whole(folder / "o\xe9.json"))["clips"], 1);
}

TEST_F(ListCommands, AFolderSaysWhatItLeavesOut) {
  for (const char* name : {"a.wav", "b.au", "xc12345", "v.part"}) write(name, "");
  const Outcome outcome = run("info . --json -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("2 other files left out: .part, without extension"));
  EXPECT_EQ(Json::parse(outcome.out)["clips"], 2);
}

}  // namespace
}  // namespace cavmae
