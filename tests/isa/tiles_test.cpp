#include "cavmae/isa/tiles.h"

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

namespace cavmae {
namespace {

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
}

}  // namespace
}  // namespace cavmae
