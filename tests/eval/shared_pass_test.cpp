#include "cavmae/eval/shared_pass.h"

#include <functional>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"

#include "tests/eval/tiny_model.h"
#include "tests/support/thread_world.h"
#include "tests/support/told_world.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::run_ranks;
using testing_support::ToldWorld;

struct Shared {
  std::vector<ClipSource> clips = testing::tiny_clips();
  ViewOptions view = {};
  InputSpec spec = testing::tiny_features();
  Json more = {{"score", "mean"}};
  uint64_t seed = 3;  // of the model
};

// What rank 0 says where rank 1 has something else, or nothing.
std::string message_where(const std::function<void(Shared&)>& change) {
  std::vector<std::string> messages(2);
  run_ranks(2, [&](World& world) {
    Shared own;
    if (world.rank() == 1) change(own);
    CavMae model = testing::tiny_model(testing::tiny_config(), own.seed);
    const ClipList clips = own.clips;
    const PassOptions options{.view = own.view, .world = world};
    try {
      check_ranks_share({.clips = clips, .options = options, .spec = own.spec, .more = own.more}, model);
    } catch (const ConfigError& e) {
      messages[static_cast<size_t>(world.rank())] = e.what();
    }
  });
  EXPECT_EQ(messages[0], messages[1]) << "either all throw or none";
  return messages[0];
}

TEST(SharedPass, WhatDiffersBetweenRanksIsNamed) {
  EXPECT_EQ(message_where([](Shared&) {}), "");
  EXPECT_THAT(message_where([](Shared& s) { s.clips.pop_back(); }),
              AllOf(HasSubstr("rank 0 reads 6 clips, rank 1 reads 5"), HasSubstr("--data")));
  EXPECT_THAT(
      message_where([](Shared& s) { std::swap(s.clips[1], s.clips[2]); }),
      AllOf(HasSubstr("as many clips as rank 1, but other ones or in another order"), HasSubstr("--data")));
  EXPECT_THAT(message_where([](Shared& s) { s.seed = 4; }),
              AllOf(HasSubstr("rank 1 has another model than rank 0"), HasSubstr("--checkpoint")));
  EXPECT_THAT(message_where([](Shared& s) { s.view.window_start = 0.25; }),
              AllOf(HasSubstr("window_start is null on rank 0, 0.25 on rank 1"), HasSubstr("same options")));
  EXPECT_THAT(message_where([](Shared& s) { s.spec.fbank_mean = 2.5; }), HasSubstr("2.5 on rank 1"));
  EXPECT_THAT(message_where([](Shared& s) { s.more["score"] = "max"; }),
              HasSubstr("score is \"mean\" on rank 0, \"max\" on rank 1"));
}

TEST(SharedPass, ARankMayComeToItLate) {
  run_ranks(2, [&](World& world) {
    ToldWorld told(world);
    const ClipList clips = testing::tiny_clips();
    check_ranks_share({.clips = clips, .options = {.world = told}, .spec = testing::tiny_features()},
                      nullptr);
    ASSERT_FALSE(told.calls().empty());
    EXPECT_EQ(told.calls().front(), "wait_for_all");
  });
}

}  // namespace
}  // namespace cavmae
