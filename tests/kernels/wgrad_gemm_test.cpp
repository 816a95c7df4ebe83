#include "cavmae/kernels/wgrad_gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/torch.h"

#include "tests/support/elements.h"
#include "tests/support/golden.h"
#include "tests/support/normal.h"

namespace cavmae::kernels::wgrad_gemm_test {
namespace {

using testing_support::bf16_of;
using testing_support::IsNear;

using Sizes = std::tuple<int64_t, int64_t, int64_t>;  // n, m, k

torch::Tensor sums_of(const torch::Tensor& g, const torch::Tensor& x) {
  auto sums = torch::full({g.size(1), x.size(1)}, NAN);
  wgrad_gemm({.g = bf16_of(g),
              .x = bf16_of(x),
              .n = g.size(0),
              .m = g.size(1),
              .k = x.size(1),
              .sums = sums.data_ptr<float>()});
  return sums;
}

class WgradGemmOf : public ::testing::TestWithParam<Sizes> {
 protected:
  void SetUp() override {
    if (wgrad_gemm_in_use() == nullptr) GTEST_SKIP() << "no version for the instructions that may be used";
    const auto [n, m, k] = GetParam();
    g = normal({n, m}, 1).to(torch::kBFloat16);
    x = normal({n, k}, 2).to(torch::kBFloat16);
  }
  torch::Tensor g, x;
};

TEST_P(WgradGemmOf, AreTheTwins) {
  EXPECT_THAT(sums_of(g, x), IsNear(g.to(torch::kFloat32).t().mm(x.to(torch::kFloat32)), 1e-5));
}

TEST_P(WgradGemmOf, AreTheSameForAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  std::vector<torch::Tensor> results;
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    results.push_back(sums_of(g, x));
  }
  at::set_num_threads(before);
  EXPECT_TRUE(results[0].equal(results[1]));
  EXPECT_TRUE(results[0].equal(results[2]));
}

// Edges of tiles, odd rows, and several blocks of rows.
INSTANTIATE_TEST_SUITE_P(Sizes, WgradGemmOf,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{2, 12, 32}, Sizes{15, 13, 33},
                                           Sizes{64, 20, 48}, Sizes{719, 36, 17}, Sizes{1501, 29, 70},
                                           Sizes{2200, 8, 100}, Sizes{33, 530, 528}));

}  // namespace
}  // namespace cavmae::kernels::wgrad_gemm_test
