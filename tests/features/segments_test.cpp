// Segments against those of CAV-MAE Sync's authors.
#include "cavmae/features/segments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"

#include "tests/support/golden.h"

namespace cavmae {
namespace {

void expect_segments(const SegmentPlan& plan, const Json& expected) {
  ASSERT_EQ(static_cast<int64_t>(expected.size()), plan.num_pictures);
  for (int64_t i = 0; i < plan.num_pictures; ++i) {
    const Segment segment = aligned_segment(plan, i);
    EXPECT_EQ(segment.start, expected[i][0].get<int64_t>()) << plan.segment_frames << " " << i;
    EXPECT_EQ(segment.end, expected[i][1].get<int64_t>()) << plan.segment_frames << " " << i;
  }
}

TEST(AlignedSegments, AreThoseOfTheAuthors) {
  const Json golden = read_json(testing_support::golden_path("sync/sync_segments.json"));
  const auto pictures = golden["total_frames"].get<int64_t>();
  const auto frames = golden["spectrogram_length"].get<int64_t>();
  int64_t compared = 0;
  for (const auto& [length, segments] : golden["segments"].items()) {
    expect_segments({.num_pictures = pictures, .clip_frames = frames, .segment_frames = std::stoll(length)},
                    segments);
    ++compared;
  }
  for (const Json& other : golden["other"]) {
    expect_segments({.num_pictures = other["total_frames"],
                     .clip_frames = other["spectrogram_length"],
                     .segment_frames = other["segment_length"]},
                    other["segments"]);
    ++compared;
  }
  EXPECT_EQ(compared, 12);
}

TEST(AlignedSegments, AreCutFromThePaddedClip) {
  const torch::Tensor fbank = torch::arange(10, torch::kFloat32).unsqueeze(1).expand({10, 2}).contiguous();
  const SegmentPlan plan{.num_pictures = 4, .clip_frames = 16, .segment_frames = 6};
  const torch::Tensor last = cut_segment(fbank, plan, 3);  // frames 9 to 15
  EXPECT_EQ(last.sizes(), torch::IntArrayRef({6, 2}));
  EXPECT_EQ(last[0][0].item<float>(), 9.0F);
  EXPECT_TRUE(last.narrow(0, 1, 5).eq(0).all().item<bool>());
  EXPECT_EQ(cut_segment(fbank, plan, 1)[0][0].item<float>(), 1.0F);
}

TEST(AlignedSegments, OneThatIsLongerThanTheClipIsAllOfIt) {
  const SegmentPlan plan{.num_pictures = 4, .clip_frames = 16, .segment_frames = 20};
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(aligned_segment(plan, i), (Segment{0, 16}));
}

// CAV-MAE Sync's sizes.
TEST(AlignedSegments, OfAClipThatEndsEarlierBeginBeforeItsEnd) {
  InputSpec spec;
  spec.num_frames = 16;
  spec.alignment = Alignment::picture;
  spec.audio_window_frames = 416;
  for (double seconds = 0.5; seconds <= 10; seconds += 0.5) {
    const SegmentPlan plan = segment_plan(spec, seconds);
    for (int64_t i = 0; i < 16; ++i) {
      const Segment segment = aligned_segment(plan, i);
      EXPECT_LT(0.01 * static_cast<double>(segment.start), seconds) << i;
      EXPECT_EQ(segment.end - segment.start, 416) << seconds << " " << i;
    }
  }
  EXPECT_EQ(segment_plan(spec, 5).clip_frames, 512);
  for (const double seconds : {10.0, 12.0}) EXPECT_EQ(segment_plan(spec, seconds).clip_frames, 1024);
}

}  // namespace
}  // namespace cavmae
