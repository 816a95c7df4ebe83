// Run with each set of instructions masked off as well (nn_with_*).
#include "cavmae/nn/precision_choice.h"

#include <gtest/gtest.h>

#include "cavmae/core/options.h"
#include "cavmae/kernels/matmul.h"

namespace cavmae {
namespace {

TEST(PrecisionChoice, IsTakenWhereItIsMade) {
  EXPECT_EQ(resolve_precision(PrecisionChoice::fp32, torch::kCPU), Precision::fp32);
  EXPECT_EQ(resolve_precision(PrecisionChoice::bf16, torch::kCPU), Precision::bf16);
}

TEST(PrecisionChoice, FollowsTheProcessorsInstructions) {
  const Precision chosen = resolve_precision(PrecisionChoice::automatic, torch::kCPU);
  const std::string forward = kernels::best_matmul_backends(kernels::Element::bf16).forward->name;
  EXPECT_EQ(chosen, forward == "via_fp32" ? Precision::fp32 : Precision::bf16);
  EXPECT_TRUE(usable_isa().has(Isa::avx512_bf16) || chosen == Precision::fp32);
}

TEST(PrecisionChoice, IsFp32OfAGpuThatIsNotThere) {
  EXPECT_EQ(resolve_precision(PrecisionChoice::automatic, torch::Device(torch::kCUDA, 99)), Precision::fp32);
}

TEST(PrecisionChoice, IsWrittenAsInTheFlag) {
  EXPECT_EQ(enum_name(PrecisionChoice::automatic), "auto");
}

}  // namespace
}  // namespace cavmae
