#include "cavmae/train/run_writer.h"

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

#include "tests/support/folder_state.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_world.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RunWriterTest : public ::testing::Test {
 protected:
  RunPaths paths(RunStart start = RunStart::fresh) const {
    return {.data = {}, .val = {}, .out = folder_ / "runs/of/a", .cache = {}, .start = start};
  }
  std::unique_ptr<RunWriter> open(RunStart start = RunStart::fresh) const {
    return std::make_unique<RunWriter>(paths(start), 2, *null_log());
  }
  static void begin(RunWriter& writer) {
    RecorderOptions recorder;
    recorder.show_progress = false;
    writer.begin(
        {.config = Json::object(), .state = RunState(), .found = std::nullopt, .recorder = recorder});
  }

  TemporaryFolder folder_;
};

TEST_F(RunWriterTest, ARunThatNeverBeganLeavesNoFolder) {
  fs::create_directories(folder_ / "runs");
  open().reset();
  EXPECT_TRUE(fs::is_empty(folder_ / "runs"));
  fs::create_directories(paths().out);
  open().reset();
  EXPECT_TRUE(fs::exists(paths().out)) << "it was there before";
}

TEST_F(RunWriterTest, WritesNothingBeforeItBegins) {
  const auto writer = open();
  writer->log()->warn("told early");
  EXPECT_TRUE(fs::is_empty(paths().out));
  begin(*writer);
  EXPECT_THAT(read_text(paths().out / "run.log"), HasSubstr("told early"));
  EXPECT_TRUE(fs::exists(paths().out / "config.json") && fs::exists(paths().out / "run.json"));
}

TEST_F(RunWriterTest, ASecondOneIsRefusedAndChangesNothing) {
  for (const bool has_begun : {false, true}) {
    const auto first = open();
    if (has_begun) begin(*first);
    const auto before = testing_support::state_of(folder_.path());
    EXPECT_THAT(message_from<ConfigError>([&] { open(has_begun ? RunStart::resume : RunStart::fresh); }),
                HasSubstr("another process trains in this folder"));
    EXPECT_EQ(testing_support::state_of(folder_.path()), before);
  }
  EXPECT_NO_THROW(open(RunStart::resume)) << "the first one is gone";
}

TEST_F(RunWriterTest, IsOnRankZeroAloneAndRefusesAllRanks) {
  testing_support::run_ranks(2, [&](World& world) {
    const auto writer = open_run_writer(paths(), 2, *null_log(), world);
    EXPECT_EQ(writer != nullptr, world.rank() == 0);
    world.barrier();
  });
  const auto other = open();
  EXPECT_THAT(message_from<ConfigError>([&] {
                testing_support::run_ranks(2, [&](World& world) {
                  open_run_writer(paths(), 2, *null_log(), world);
                  ADD_FAILURE() << "rank " << world.rank() << " went on";
                });
              }),
              HasSubstr("another process trains"));
}

}  // namespace
}  // namespace cavmae
