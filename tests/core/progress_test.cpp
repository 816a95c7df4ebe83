#include "cavmae/core/progress.h"

#include <cmath>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/core/log.h"
#include "cavmae/core/stop_signal.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

TEST(Progress, LinesTellCountRateAndDetails) {
  CaptureStderr();
  {
    Progress progress({.title = "making clips", .total = 10, .line_interval_seconds = 0});
    progress.update(5, "loss 1.5");
  }
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, AllOf(HasSubstr("making clips 5/10 clips (50 %)"), HasSubstr("clips/s"), HasSubstr("ETA"),
                          HasSubstr("loss 1.5")));
  EXPECT_THAT(text, HasSubstr("took"));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(Progress, QuietSaysNothingAndLinesAreRare) {
  CaptureStderr();
  {
    Progress quiet({.title = "t", .total = 3, .line_interval_seconds = 0, .quiet = true});
    quiet.update(1);
  }
  EXPECT_EQ(GetCapturedStderr(), "");
  CaptureStderr();
  Progress rare({.title = "t", .total = 3});
  for (int i = 0; i < 3; ++i) rare.update(i);
  EXPECT_EQ(GetCapturedStderr(), "");
  CaptureStderr();
  rare.finish();
  rare.finish();
  EXPECT_EQ(std::ranges::count(GetCapturedStderr(), '\n'), 1);
}

TEST(Progress, WhatWasDoneBeforeDoesNotEnterTheRate) {
  Progress progress({.title = "t", .total = 1000, .already_done = 900, .quiet = true});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  progress.update(901);
  EXPECT_LT(progress.rate(), 51);
  EXPECT_GT(progress.eta_seconds(), 1);
  Progress unknown({.title = "t", .quiet = true});
  EXPECT_TRUE(std::isnan(unknown.eta_seconds()));
}

TEST(StopSignal, ARequestIsSeenAndTheOldHandlerComesBack) {
  const auto before = std::signal(SIGTERM, SIG_IGN);
  {
    const StopSignal stop;
    EXPECT_FALSE(StopSignal::requested());
    std::raise(SIGTERM);
    EXPECT_TRUE(StopSignal::requested());
  }
  std::raise(SIGTERM);  // ignored again
  {
    const StopSignal fresh;
    EXPECT_FALSE(StopSignal::requested());
  }
  std::signal(SIGTERM, before);
}

TEST(StopSignalDeathTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const StopSignal stop;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::ExitedWithCode(128 + SIGINT), "");
}

TEST(Log, LinesGoToTheFileToo) {
  TemporaryFolder folder;
  CaptureStderr();
  {
    const auto log = make_log(Verbosity::quiet, folder / "log.txt");
    log->info("a fact");
    log->warn("a {}", "warning");
  }
  EXPECT_THAT(GetCapturedStderr(), AllOf(HasSubstr("a warning"), Not(HasSubstr("a fact"))));
  EXPECT_THAT(read_text(folder / "log.txt"),
              AllOf(HasSubstr("info: a fact"), HasSubstr("warning: a warning")));
  null_log()->error("nowhere");
}

}  // namespace
}  // namespace cavmae
