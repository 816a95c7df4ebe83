#include "cavmae/core/time_limit.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr double kAtOnce = 1e-9, kLong = 1e6;
const std::string kNothing = message_from<MediaError>([] {});

std::string problem_of(const std::string& source) {
  return message_from<MediaError>([&] { TimeLimit::check(source); });
}

TEST(TimeLimit, NamesTheSourceAndTheCure) {
  const TimeLimit limit(kAtOnce);
  EXPECT_THAT(problem_of("a.mp4"),
              AllOf(HasSubstr("'a.mp4' was not read within"), HasSubstr("raise --clip-timeout")));
}

TEST(TimeLimit, DoesNotHoldWithoutOneOrAfterIt) {
  EXPECT_EQ(problem_of("a.mp4"), kNothing);
  { const TimeLimit limit(kAtOnce); }
  EXPECT_EQ(problem_of("a.mp4"), kNothing);
  for (const double seconds : {0.0, kLong, 1e300}) {
    const TimeLimit limit(seconds);
    EXPECT_EQ(problem_of("a.mp4"), kNothing) << seconds;
    limit.check_kept();
  }
}

TEST(TimeLimit, OneThatRanOutUnaskedWasKept) {
  const TimeLimit limit(kAtOnce);
  EXPECT_EQ(message_from<MediaError>([&] { limit.check_kept(); }), kNothing);
  EXPECT_TRUE(TimeLimit::has_run_out("a.mp4"));
  EXPECT_THAT(message_from<MediaError>([&] { limit.check_kept(); }), HasSubstr("'a.mp4'"));
}

TEST(TimeLimit, OtherThreadsHaveTheirOwn) {
  const TimeLimit limit(kAtOnce);
  std::string elsewhere;
  std::thread([&] { elsewhere = problem_of("a.mp4"); }).join();
  EXPECT_EQ(elsewhere, kNothing);
}

TEST(TimeLimit, TheOneThatEndsFirstCounts) {
  const TimeLimit outer(kAtOnce);
  {
    const TimeLimit inner(kLong);
    EXPECT_THAT(problem_of("a.mp4"), HasSubstr("'a.mp4'"));
  }
  EXPECT_THAT(message_from<MediaError>([&] { outer.check_kept(); }), HasSubstr("'a.mp4'"));
}

TEST(TimeLimit, AnInnerOneLeavesTheOuterOneAsItWas) {
  const TimeLimit outer(kLong);
  {
    const TimeLimit inner(kAtOnce);
    EXPECT_TRUE(TimeLimit::has_run_out("b.mp4"));
  }
  outer.check_kept();
  EXPECT_EQ(problem_of("a.mp4"), kNothing);
}

TEST(TimeLimit, WaitingForSomethingElseCountsTowardsNone) {
  const TimeLimit outer(0.05);
  {
    const TimeLimit inner(0.02);
    TimeLimit::extend(std::chrono::hours(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_FALSE(TimeLimit::has_run_out("a"));
  }
  EXPECT_FALSE(TimeLimit::has_run_out("a"));
  EXPECT_NO_THROW(outer.check_kept());
}

}  // namespace
}  // namespace cavmae
