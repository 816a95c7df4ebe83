#include "cavmae/data/device_feed.h"

#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

constexpr int64_t kClipsToFeed = 11, kFedBatch = 2;

class DeviceFeedTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int64_t i = 0; i < kClipsToFeed; ++i) {
      ClipSource& clip = clips.emplace_back();
      clip.id = "clip" + std::to_string(i);
      clip.video = folder / (clip.id + ".png");
      write_flat_png(clip.video.path(), 10 * i);
    }
  }

  Loader make_loader(double max_bad_ratio = 0.1) {
    return {clips,       std::make_shared<const ClipReader>(tiny_features()),       {},
            Need::video, {.batch_size = kFedBatch, .max_bad_ratio = max_bad_ratio}, captured.log};
  }

  static std::vector<std::vector<int64_t>> rest(DeviceFeed& feed) {
    std::vector<std::vector<int64_t>> indices;
    while (const auto batch = feed.next()) {
      EXPECT_EQ(batch->video.size(0), static_cast<int64_t>(batch->indices.size()));
      indices.push_back(batch->indices);
    }
    return indices;
  }

  TemporaryFolder folder;
  std::vector<ClipSource> clips;
  CapturedLog captured;
};

TEST_F(DeviceFeedTest, ReadingAheadChangesNoBatch) {
  Loader loader = make_loader();
  std::vector<std::vector<int64_t>> expected;
  loader.start_epoch({.epoch = 1, .seed = 3, .drop_last = false});
  while (const auto batch = loader.next()) expected.push_back(batch->indices);
  ASSERT_EQ(expected.size(), 6u);
  for (const int64_t num_ahead : {0, 1, 2, 100}) {
    DeviceFeed feed(loader, {.device = torch::kCPU, .num_ahead = num_ahead});
    EXPECT_FALSE(feed.next()) << "before the first epoch";
    for (int round = 0; round < 2; ++round) {
      feed.start_epoch({.epoch = 1, .seed = 3, .drop_last = false});
      EXPECT_EQ(rest(feed), expected) << num_ahead << " ahead";
      EXPECT_FALSE(feed.next()) << "after the end";
    }
  }
}

TEST_F(DeviceFeedTest, AnEpochCanBeLeftAndBegunAnew) {
  Loader loader = make_loader();
  DeviceFeed feed(loader, {.device = torch::kCPU, .num_ahead = 2});
  for (int round = 0; round < 5; ++round) {
    feed.start_epoch({.shuffle = false});
    EXPECT_EQ(feed.next().value().indices, (std::vector<int64_t>{0, 1}));
  }
}

TEST_F(DeviceFeedTest, ALoadersErrorComesInItsPlace) {
  for (int64_t i = 4; i < kClipsToFeed; ++i)
    write_text(clips[static_cast<size_t>(i)].video.path(), "no picture");
  Loader loader = make_loader(/*max_bad_ratio=*/0.5);
  DeviceFeed feed(loader, {.device = torch::kCPU, .num_ahead = 2});
  feed.start_epoch({.shuffle = false});
  for (const bool is_empty : {false, false, true, true}) EXPECT_EQ(feed.next().value().empty(), is_empty);
  EXPECT_THROW(feed.next(), DataError);
  EXPECT_FALSE(feed.next());
}

}  // namespace
}  // namespace cavmae
