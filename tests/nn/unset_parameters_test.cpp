#include "cavmae/nn/unset_parameters.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/machine/machine.h"

namespace cavmae {
namespace {

constexpr int64_t kWide = 3072, kNarrow = 768, kLayers = 32;

TEST(UnsetParameters, WeightsAreZerosWithoutThemAndCanBeWrittenWithThem) {
  EXPECT_TRUE(torch::equal(new_weight({kWide, kNarrow}), torch::zeros({kWide, kNarrow})));
  std::vector<torch::Tensor> weights;
  for (const UnsetMemory memory : {UnsetMemory::to_be_written, UnsetMemory::to_be_replaced}) {
    const UnsetParameters unset(memory);
    for (const int64_t rows : {int64_t{1}, kNarrow, kWide})
      weights.push_back(new_weight({rows, kNarrow, 1, 2}));
  }
  EXPECT_TRUE(torch::equal(new_weight({3, kNarrow}), torch::zeros({3, kNarrow})));
  for (torch::Tensor& weight : weights) {
    weight.fill_(2.5f);
    EXPECT_TRUE(weight.is_contiguous() && weight.scalar_type() == torch::kFloat32);
    EXPECT_EQ(weight.clone().sum().item<double>(), 2.5 * static_cast<double>(weight.numel()));
  }
}

// In a process whose malloc asks for huge pages, as the program's does.
[[noreturn]] void make_weights_without_values() {
  tune_process({.restart = Restart::never});
  const double before = resident_bytes();
  const UnsetParameters unset(UnsetMemory::to_be_replaced);
  std::vector<torch::Tensor> weights;
  for (int64_t i = 0; i < kLayers; ++i) weights.push_back(new_weight({kWide, kNarrow}));
  const double share = (resident_bytes() - before) / static_cast<double>(kLayers * kWide * kNarrow * 4);
  std::fprintf(stderr, "%.3f of the weights' bytes are resident\n", share);
  std::_Exit(share < 0.05 ? 0 : 1);
}

TEST(UnsetParametersDeathTest, TakeNoMemoryWhereTheyAreToBeReplaced) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const char* const before = std::getenv("GLIBC_TUNABLES");
  const std::string kept = before == nullptr ? "" : before;
  ASSERT_EQ(::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 1), 0);
  EXPECT_EXIT(make_weights_without_values(), testing::ExitedWithCode(0), "resident");
  before == nullptr ? ::unsetenv("GLIBC_TUNABLES") : ::setenv("GLIBC_TUNABLES", kept.c_str(), 1);
}

}  // namespace
}  // namespace cavmae
