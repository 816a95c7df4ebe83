#include "cavmae/report/collect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

#include "tests/eval/tiny_model.h"

namespace cavmae {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

class CollectReport : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = std::filesystem::temp_directory_path() /
           concat("cavmae_collect_", ::getpid(), "_",
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(run_);
  }
  void TearDown() override { std::filesystem::remove_all(run_); }

  std::filesystem::path run_;
};

TEST_F(CollectReport, ReadsTheRunsFiles) {
  write_file(run_ / "config.json", "{\"epochs\": 3}");
  write_file(run_ / "metrics.jsonl",
             "{\"kind\":\"train\",\"step\":1,\"loss\":2}\n\n{\"kind\":\"train\",\"st");
  const ReportContent content = read_run(run_);
  EXPECT_EQ(content.config["epochs"], 3);
  ASSERT_EQ(content.metrics.size(), 1u);
  EXPECT_EQ(content.metrics[0]["loss"], 2);
  EXPECT_THAT(content.notes, Contains(HasSubstr("1 line of metrics.jsonl")));
  EXPECT_THAT(content.title, HasSubstr(run_.filename().string()));
}

TEST_F(CollectReport, NotesWhatIsMissing) {
  const ReportContent content = read_run(run_);
  EXPECT_THAT(content.notes, Contains(HasSubstr("config.json")));
  EXPECT_THAT(content.notes, Contains(HasSubstr("metrics.jsonl")));
  EXPECT_THAT([&] { read_run(run_ / "nowhere"); },
              ThrowsMessage<Error>(HasSubstr("nowhere: no such folder")));
}

TEST_F(CollectReport, ShowsTheModel) {
  write_file(run_ / "config.json", "{}");
  write_file(run_ / "metrics.jsonl", "");
  CavMae model = testing::tiny_model();
  auto clips = testing::tiny_clips();
  clips[0].audio = "/nowhere/sound.wav";
  ReportExampleOptions options;
  options.pass.loader.max_bad_ratio = 0.9;
  options.pass.show_progress = false;
  ReportContent content = read_run(run_);
  add_examples(content, make_report_examples(model, testing::tiny_features(), clips, options, null_log()),
               options);
  EXPECT_EQ(content.retrieval["clips"], 5);
  EXPECT_EQ(content.queries.size(), 10u);
  EXPECT_EQ(content.queries[0].kind, "best");
  EXPECT_EQ(content.queries[0].answers[0].spectrogram.size(0), 32);
  EXPECT_EQ(content.reconstructions.size(), 4u);
  EXPECT_THAT(content.reconstruction_note, HasSubstr("75 %"));
  EXPECT_THAT(content.notes, Contains(HasSubstr("clip0: ")));
  EXPECT_THAT(render_report(content), HasSubstr("Video to audio"));
}

}  // namespace
}  // namespace cavmae
