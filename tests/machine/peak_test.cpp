#include "cavmae/machine/peak.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/machine/machine.h"

namespace cavmae {
namespace {

// Any processor of this century does more than one operation a nanosecond, and none a million.
TEST(MachinePeak, IsThatOfAProcessor) {
  const MachinePeak peak = measure_peak();
  EXPECT_GT(peak.fp32_gflops, 0.1);  // instrumented for a sanitizer it is slow
  EXPECT_LT(peak.fp32_gflops, 1e6);
}

TEST(MachinePeak, UsesTheWidestInstructionsThatThereAre) {
  const MachinePeak peak = measure_peak();
  const auto sets = inspect_machine().instruction_sets;
  const auto has = [&](const char* name) { return std::ranges::find(sets, name) != sets.end(); };
  EXPECT_EQ(peak.bf16_gflops.has_value(), has("avx512_bf16"));
  if (has("avx512f")) {
    EXPECT_EQ(peak.fp32_instructions, "avx512f");
  } else if (has("avx2") && has("fma")) {
    EXPECT_EQ(peak.fp32_instructions, "avx2");
  }
}

}  // namespace
}  // namespace cavmae
