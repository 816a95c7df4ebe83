#include "cavmae/data/window.h"

#include <set>

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

TEST(Window, ShortFileIsTakenWhole) {
  for (const auto place : {WindowPlace::middle, WindowPlace::random, WindowPlace::random_of_few}) {
    Random random(1);
    const auto window = choose_window({.file_seconds = 4, .window_seconds = 10, .place = place}, random);
    EXPECT_EQ(window.start_seconds, 0);
    EXPECT_EQ(window.length_seconds, 4);
  }
}

TEST(Window, UnknownLengthBeginsAtTheStart) {
  Random random(1);
  const auto window = choose_window({.file_seconds = 0, .place = WindowPlace::random}, random);
  EXPECT_EQ(window.start_seconds, 0);
  EXPECT_EQ(window.length_seconds, 10);
}

TEST(Window, EvaluationTakesTheMiddle) {
  Random random(1);
  const auto window = choose_window({.file_seconds = 31}, random);
  EXPECT_DOUBLE_EQ(window.start_seconds, 10.5);
  EXPECT_DOUBLE_EQ(window.length_seconds, 10);
}

TEST(Window, LiesWithinWhatIsWanted) {
  Random random(1);
  const auto middle = choose_window({.file_seconds = 50, .begin_seconds = 20}, random);
  EXPECT_DOUBLE_EQ(middle.start_seconds, 30);
  const auto whole = choose_window({.file_seconds = 26, .begin_seconds = 20}, random);
  EXPECT_DOUBLE_EQ(whole.start_seconds, 20);
  EXPECT_DOUBLE_EQ(whole.length_seconds, 6);
  for (const auto place : {WindowPlace::random, WindowPlace::random_of_few}) {
    for (int i = 0; i < 100; ++i) {
      const auto window = choose_window({.file_seconds = 50, .begin_seconds = 20, .place = place}, random);
      EXPECT_GE(window.start_seconds, 20);
      EXPECT_LE(window.start_seconds, 40);
    }
  }
}

TEST(Window, RandomOnesFillTheFileAndStayInside) {
  double lowest = 100, highest = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    const auto window = choose_window({.file_seconds = 30, .place = WindowPlace::random}, random);
    lowest = std::min(lowest, window.start_seconds);
    highest = std::max(highest, window.start_seconds);
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(lowest, 0.2);
  EXPECT_LE(highest, 20);
  EXPECT_GT(highest, 19.8);
}

TEST(Window, FewWindowsAreEvenlySpreadWithTheMiddleAmongThem) {
  std::set<double> starts;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    starts.insert(
        choose_window({.file_seconds = 18, .place = WindowPlace::random_of_few}, random).start_seconds);
  }
  EXPECT_EQ(starts, (std::set<double>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(num_fixed_windows(10.9, 10), 1);
  EXPECT_EQ(num_fixed_windows(11.5, 10), 3);
  EXPECT_EQ(num_fixed_windows(1e9, 10), 9);
}

TEST(Window, PinnedStartGoesBeforeEverything) {
  Random random(1);
  const auto window =
      choose_window({.file_seconds = 30, .place = WindowPlace::random, .pinned_start = 25.0}, random);
  EXPECT_EQ(window.start_seconds, 25);
  EXPECT_EQ(window.length_seconds, 5);
  EXPECT_THROW(choose_window({.file_seconds = 30, .pinned_start = 30.0}, random), MediaError);
}

}  // namespace
}  // namespace cavmae
