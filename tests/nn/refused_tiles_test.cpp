// A network where Linux refuses tiles: the next engines compute it.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/nn/transformer_block.h"

#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae {
namespace {

#if defined(__linux__) && defined(__x86_64__)

// The result of a block and the gradient of its input.
std::vector<torch::Tensor> block_passes(const Compute& how) {
  Block block(BlockOptions{.width = 64, .heads = 2, .mlp_ratio = 2.0});
  {
    const torch::NoGradGuard no_grad;
    uint64_t seed = 1;
    for (auto& parameter : block->parameters()) parameter.copy_(normal(parameter.sizes(), seed++) * 0.1);
  }
  const auto x = normal({2, 40, 64}, 50).requires_grad_();
  const auto result = block(x, NormSet::joint, how);
  result.backward(normal(result.sizes(), 51));
  return {result.detach(), x.grad()};
}

// With a signal stack that tiles' state does not fit onto, as the first thing that this process computes.
[[noreturn]] void compute_on_a_small_signal_stack() {
  alignas(64) static char stack[8192];
  stack_t small{};
  small.ss_sp = stack;
  small.ss_size = sizeof(stack);
  if (sigaltstack(&small, nullptr) != 0) std::_Exit(2);
  constexpr double kTolerance = 4e-2;
  const auto found = block_passes(Precision::bf16);
  const auto expected = block_passes({Precision::fp32, {.kernels = Kernels::plain}});
  for (size_t i = 0; i < found.size(); ++i)
    if (!(testing_support::relative_error(found[i], expected[i]) < kTolerance)) std::_Exit(1);
  std::fprintf(stderr, "computed; %s\n", kernels::matmul_backend_warning().c_str());
  std::_Exit(0);
}

// This program once more, so that nothing has asked for tiles.
TEST(RefusedTilesDeathTest, LeaveOtherEnginesAndALine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const bool has_tiles = usable_isa().has(Isa::amx_bf16);
  EXPECT_EXIT(compute_on_a_small_signal_stack(), testing::ExitedWithCode(0),
              has_tiles
                  ? "computed; this processor has tiles .AMX., but they are not used: Linux refuses tiles"
                  : "computed; ");
}

#endif

}  // namespace
}  // namespace cavmae
