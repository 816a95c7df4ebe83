#include "cavmae/data/epoch_order.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using testing::ElementsAre;

TEST(EpochOrder, IsAPermutationOrThePlainOrder) {
  auto order = epoch_order(100, {.epoch = 2, .seed = 3});
  EXPECT_EQ(order, epoch_order(100, {.epoch = 2, .seed = 3}));
  EXPECT_NE(order, epoch_order(100, {.epoch = 3, .seed = 3}));
  EXPECT_NE(order, epoch_order(100, {.epoch = 2, .seed = 4}));
  std::ranges::sort(order);
  EXPECT_EQ(order, epoch_order(100, {.shuffle = false}));
}

TEST(EpochOrder, WeightsDrawInProportionAndNeverAClipOfNoWeight) {
  std::vector<double> weights(1000, 0.0);
  weights[0] = 1, weights[7] = 3, weights[500] = 0.5, weights[999] = 5.5;
  std::vector<int64_t> counts(1000, 0);
  constexpr int64_t kEpochs = 40;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = epoch_order(1000, {.epoch = epoch, .seed = 1}, weights);
    ASSERT_EQ(order.size(), 1000u);
    for (const int64_t index : order) ++counts[index];
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const double expected = 1000.0 * kEpochs * weights[i] / 10.0;
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(static_cast<double>(counts[i]), expected, 5 * std::sqrt(expected)) << i;
  }
}

TEST(EpochOrder, WeightedOrderDependsOnSeedAndEpochAlone) {
  const std::vector<double> weights = {1, 2, 3, 4, 5, 6, 7};
  const auto order = epoch_order(7, {.epoch = 1, .seed = 9}, weights);
  EXPECT_EQ(order, epoch_order(7, {.epoch = 1, .seed = 9, .start_position = 4}, weights));
  std::set<std::vector<int64_t>> others;
  for (int64_t epoch = 0; epoch < 10; ++epoch)
    others.insert(epoch_order(7, {.epoch = epoch, .seed = 9}, weights));
  EXPECT_GE(others.size(), 9u);
  EXPECT_THAT(epoch_order(3, {.shuffle = false}, {1, 0, 5}), ElementsAre(0, 1, 2))
      << "evaluation sees every clip";
}

TEST(EpochOrder, WrongWeightsAreErrors) {
  EXPECT_THROW(epoch_order(3, {}, {1, 2}), Error);
  EXPECT_THROW(epoch_order(2, {}, {0, 0}), Error);
}

TEST(EpochOrder, OccurrencesCountWhatCameBefore) {
  EXPECT_THAT(occurrences({2, 0, 2, 2, 0}, 3), ElementsAre(0, 0, 1, 2, 1));
}

}  // namespace
}  // namespace cavmae
