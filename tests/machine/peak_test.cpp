#include "cavmae/machine/peak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/isa/instructions.h"
#include "cavmae/isa/isa.h"
#include "cavmae/isa/tiles.h"

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
  EXPECT_EQ(peak.vdpbf16ps_gflops.has_value(), usable_isa().has(Isa::avx512_bf16));
  EXPECT_EQ(peak.tdpbf16ps_gflops.has_value(), tiles_trouble().empty());
  EXPECT_GE(peak.bf16_gflops(), peak.fp32_gflops);
  if (usable_isa().has(Isa::avx512)) {
    EXPECT_EQ(peak.fp32_instructions, "avx512f");
  } else if (usable_isa().has(Isa::avx2)) {
    EXPECT_EQ(peak.fp32_instructions, "avx2");
  }
}

TEST(InstructionRates, AreThoseOfWhatMayBeUsed) {
  EXPECT_GT(instruction_rates().of(Instruction::fp32_fma), 0.1);
  EXPECT_EQ(instruction_rates().of(Instruction::vdpbf16ps) > 0, usable_isa().has(Isa::avx512_bf16));
  EXPECT_EQ(instruction_rates().of(Instruction::tdpbf16ps) > 0, tiles_trouble().empty());
}

TEST(MachinePeak, OfBf16IsTheFastestWayToIt) {
  MachinePeak peak{
      .fp32_gflops = 230, .fp32_instructions = "avx512f", .vdpbf16ps_gflops = 115, .tdpbf16ps_gflops = {}};
  EXPECT_EQ(peak.bf16_gflops(), 230);
  EXPECT_EQ(peak.bf16_instructions(), "avx512f");
  peak.tdpbf16ps_gflops = 3540;
  EXPECT_EQ(peak.bf16_gflops(), 3540);
  EXPECT_EQ(peak.bf16_instructions(), "tdpbf16ps");
}

}  // namespace
}  // namespace cavmae
