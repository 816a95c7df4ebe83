#include "cavmae/kernels/packed_weight.h"

#include <gtest/gtest.h>

namespace cavmae::kernels::packed_weight_test {
namespace {

using Key = PackedWeight::Key;
using KeptFrom = PackedWeight::KeptFrom;

constexpr const char* kBackend = "a backend";
constexpr Key kForward{
    .backend = kBackend, .factor = PackedWeight::Factor::of_forward, .first_row = 0, .rows = 8};
constexpr Key kDgrad{
    .backend = kBackend, .factor = PackedWeight::Factor::of_dgrad, .first_row = 0, .rows = 8};

struct CountedCopy : PackedWeight::Copy {
  explicit CountedCopy(int& living) : living(living) { ++living; }
  ~CountedCopy() override { --living; }
  int& living;
};

class PackedWeightOf : public ::testing::Test {
 protected:
  // Uses the weight of this version once.
  void use(PackedWeight& weight, const Key& key, int64_t version) {
    const auto fits = [&](const PackedWeight::Copy& copy) { return copy.version == version; };
    const auto copy = weight.find_or_pack(key, fits, [&] {
      ++packed_;
      auto made = std::make_shared<CountedCopy>(living_);
      made->version = version;
      return made;
    });
    EXPECT_EQ(copy->version, version);
  }

  int packed_ = 0, living_ = 0;
};

TEST_F(PackedWeightOf, AWeightThatIsUsedOnceIsNotKept) {
  PackedWeight weight;
  use(weight, kForward, 1);
  use(weight, kDgrad, 1);
  EXPECT_EQ(packed_, 2);
  EXPECT_EQ(living_, 0);
}

TEST_F(PackedWeightOf, AWeightThatIsUsedAgainIsKeptUntilItChanges) {
  PackedWeight weight;
  for (int i = 0; i < 5; ++i) use(weight, kForward, 1);
  EXPECT_EQ(packed_, 2);
  EXPECT_EQ(living_, 1);
  for (int i = 0; i < 5; ++i) use(weight, kForward, 2);
  EXPECT_EQ(packed_, 3);
  EXPECT_EQ(living_, 1);
  weight.release();
  EXPECT_EQ(living_, 0);
}

TEST_F(PackedWeightOf, GroupsOfOneCallShareTheFirstCopy) {
  PackedWeight weight(KeptFrom::first_use);
  for (int i = 0; i < 5; ++i) use(weight, kForward, 1);
  EXPECT_EQ(packed_, 1);
  EXPECT_EQ(living_, 1);
}

}  // namespace
}  // namespace cavmae::kernels::packed_weight_test
