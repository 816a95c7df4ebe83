#include "cavmae/machine/peak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/machine/isa.h"

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
  EXPECT_EQ(peak.bf16_gflops.has_value(), usable_isa().has(Isa::avx512_bf16));
  if (usable_isa().has(Isa::avx512)) {
    EXPECT_EQ(peak.fp32_instructions, "avx512f");
  } else if (usable_isa().has(Isa::avx2)) {
    EXPECT_EQ(peak.fp32_instructions, "avx2");
  }
}

}  // namespace
}  // namespace cavmae
