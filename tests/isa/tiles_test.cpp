#include "cavmae/isa/tiles.h"

#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

#if defined(__linux__) && defined(__x86_64__)
// A thread with a signal stack that the tiles' state does not fit onto: either Linux refuses the tiles, which
// is said, or it refuses the stack, since the process has them already. Processors without tiles refuse in
// any case.
TEST(Tiles, ASmallSignalStackMeansNoTilesAndAReason) {
  EXPECT_EXIT(
      {
        alignas(64) static char stack[8192];
        stack_t small{};
        small.ss_sp = stack;
        small.ss_size = sizeof(stack);
        const bool has_stack = sigaltstack(&small, nullptr) == 0;
        std::exit(has_stack && request_tiles().empty() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}
#endif

TEST(Tiles, AreGivenOnlyWhereTheProcessorHasThem) {
  EXPECT_LE(tiles_are_given(), usable_isa().has(Isa::amx_bf16));
  EXPECT_LE(tiles_trouble().empty(), tiles_are_given());
}

TEST(TilesTrouble, IsWhatTheProcessorOrLinuxLacksOrAWrongProduct) {
  const auto gives = [] { return std::string(); };
  const auto refuses = [] { return std::string("refused"); };
  const auto is_right = [] { return true; };
  const auto is_wrong = [] { return false; };
  const auto never = []() -> std::string { throw Error("Linux was asked"); };
  EXPECT_THAT(trouble_of_tiles(false, never, is_right), HasSubstr("CAVMAE_ISA"));
  EXPECT_EQ(trouble_of_tiles(true, refuses, is_right), "refused");
  EXPECT_THAT(trouble_of_tiles(true, gives, is_wrong), HasSubstr("came out wrong"));
  EXPECT_EQ(trouble_of_tiles(true, gives, is_right), "");
}

}  // namespace
}  // namespace cavmae
