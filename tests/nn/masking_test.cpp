#include "cavmae/nn/masking.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/golden.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr PatchGrid kAudioGrid{.rows = 8, .columns = 64};

StreamMask draw(const PatchGrid& grid, double ratio, AudioMaskMode mode = AudioMaskMode::unstructured,
                uint64_t seed = 5, int64_t batch = 4) {
  return draw_mask(batch, grid, ratio, mode, at::detail::createCPUGenerator(seed));
}

// How many whole rows and whole columns a clip's mask hides, and how many patches.
struct Statistics {
  int64_t masked, rows, columns;
  bool operator==(const Statistics&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Statistics& s) {
  return out << s.masked << " masked, " << s.rows << " rows, " << s.columns << " columns";
}
Statistics statistics(const torch::Tensor& mask, const PatchGrid& grid) {  // mask: float [L]
  const auto cells = mask.view({grid.rows, grid.columns});
  return {.masked = mask.sum().item<int64_t>(),
          .rows = cells.sum(1).eq(grid.columns).sum().item<int64_t>(),
          .columns = cells.sum(0).eq(grid.rows).sum().item<int64_t>()};
}

TEST(DrawMask, KeepAndHiddenAreAPermutationAndRestoreItsInverse) {
  for (const auto mode : {AudioMaskMode::unstructured, AudioMaskMode::time, AudioMaskMode::frequency,
                          AudioMaskMode::time_frequency}) {
    for (const PatchGrid grid : {PatchGrid{1, 2}, PatchGrid{3, 5}, PatchGrid{7, 1}, kAudioGrid}) {
      const StreamMask mask = draw(grid, 0.4, mode);
      EXPECT_GT(mask.masked.size(1), 0);
      const auto order = torch::cat({mask.keep, mask.masked}, 1);
      EXPECT_EQ(order.size(1), grid.size());
      const auto places = torch::arange(grid.size()).expand_as(order);
      EXPECT_TRUE(order.gather(1, mask.restore).equal(places));
      EXPECT_TRUE(mask.mask.gather(1, mask.keep).eq(0).all().item<bool>());
      EXPECT_TRUE(mask.mask.gather(1, mask.masked).eq(1).all().item<bool>());
    }
  }
}

// The plain description: rand, argsort ascending, argsort of that.
TEST(DrawMask, IsTheAuthorsDrawForAnySize) {
  for (const int64_t length : {4, 49, 196, 512}) {
    const StreamMask mask = draw({.rows = 1, .columns = length}, 0.75, AudioMaskMode::unstructured, 11, 3);
    const auto order =
        torch::rand({3, length}, at::detail::createCPUGenerator(11)).argsort(int64_t{1}, false);
    const auto restore = order.argsort(int64_t{1}, false);
    EXPECT_TRUE(mask.restore.equal(restore)) << length;
    EXPECT_EQ(mask.keep.size(1), static_cast<int64_t>(static_cast<double>(length) * 0.25));
  }
}

TEST(DrawMask, RatioRoundsAsTheAuthorsCodeDoes) {
  EXPECT_EQ(num_kept(64, 0.85), 9);
  EXPECT_EQ(num_kept(16, 0.6), 6);
  EXPECT_EQ(num_kept(512, 0.75), 128);
  EXPECT_EQ(num_kept(196, 0.75), 49);
  EXPECT_EQ(num_kept(10, 0.0), 10);
}

class StructuredMask : public ::testing::TestWithParam<std::pair<const char*, AudioMaskMode>> {};

TEST_P(StructuredMask, HidesAsMuchAsTheAuthors) {
  const auto& [name, mode] = GetParam();
  const auto file = testing_support::golden("structured_masks");
  for (const char* ratio : {"0.75", "0.5"}) {
    const auto expected = file.at(std::string(name) + "_" + ratio + ".mask");
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto mask = draw(kAudioGrid, std::stod(ratio), mode, seed).mask;
      for (const auto& clip : mask.unbind(0)) {
        const Statistics ours = statistics(clip, kAudioGrid);
        if (mode != AudioMaskMode::time_frequency) {
          EXPECT_EQ(ours, statistics(expected[0], kAudioGrid)) << name << " " << ratio;
          continue;
        }
        // A few patches of the chosen rows and columns are kept, so that every clip keeps the same number:
        // what remains of a row or column tells that it was chosen.
        const auto cells = clip.view({8, 64}), theirs = expected[0].view({8, 64});
        const auto chosen_rows = [](const torch::Tensor& m) { return m.sum(1).gt(54).sum().item<int64_t>(); };
        EXPECT_EQ(ours.masked, statistics(expected[0], kAudioGrid).masked);
        EXPECT_EQ(chosen_rows(cells), chosen_rows(theirs));
        const auto chosen_columns = [](const torch::Tensor& m) {
          return m.sum(0).gt(5.5).sum().item<int64_t>();
        };
        EXPECT_NEAR(chosen_columns(cells), chosen_columns(theirs), 2);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, StructuredMask,
                         ::testing::Values(std::pair{"time", AudioMaskMode::time},
                                           std::pair{"freq", AudioMaskMode::frequency},
                                           std::pair{"tf", AudioMaskMode::time_frequency}));

TEST(DrawMask, StructureIsDrawnAnewForEachClip) {
  for (const auto mode : {AudioMaskMode::time, AudioMaskMode::frequency, AudioMaskMode::time_frequency}) {
    const auto mask = draw(kAudioGrid, 0.5, mode, 3, 32).mask;
    std::set<std::vector<float>> different;
    for (const auto& clip : mask.unbind(0)) {
      const float* values = clip.data_ptr<float>();
      different.emplace(values, values + clip.numel());
    }
    EXPECT_GT(different.size(), 16u);
    // No place is favoured: each is masked in about half of the clips.
    EXPECT_LT((draw(kAudioGrid, 0.5, mode, 3, 512).mask.mean(0) - 0.5).abs().max().item<float>(), 0.12F);
  }
}

TEST(DrawMask, ARatioThatLeavesNothingIsAnError) {
  try {
    draw({.rows = 2, .columns = 2}, 0.9);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("0.9"), HasSubstr("none of 4"), HasSubstr("lower it")));
  }
}

TEST(DrawMask, ARatioOfOneHidesEverything) {
  for (const auto mode : {AudioMaskMode::unstructured, AudioMaskMode::time, AudioMaskMode::time_frequency}) {
    const StreamMask mask = draw(kAudioGrid, 1.0, mode, 3, 2);
    EXPECT_EQ(mask.keep.sizes(), (std::vector<int64_t>{2, 0}));
    EXPECT_TRUE(std::get<0>(mask.masked.sort(1))[1].equal(torch::arange(kAudioGrid.size())));
    EXPECT_TRUE(mask.mask.eq(1).all().item<bool>());
  }
}

TEST(MaskOptions, ValidateNamesEveryBadRatio) {
  const MaskOptions options{.mask_ratio_audio = 1.25, .mask_ratio_video = -0.5};
  try {
    options.validate();
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("mask_ratio_audio is 1.25"), HasSubstr("mask_ratio_video is -0.5")));
  }
}

}  // namespace
}  // namespace cavmae
