#include "cavmae/data/loader.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/data/worker_thread.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

constexpr int64_t kNumClips = 23;

// Short sounds with pictures; some sounds are text.
class LoaderTest : public testing::Test {
 protected:
  void make_clips(const std::set<int64_t>& broken = {}) {
    for (int64_t i = 0; i < kNumClips; ++i) {
      const std::string name = std::to_string(i);
      const auto wav = folder / (name + ".wav"), png = folder / (name + ".png");
      if (broken.contains(i)) {
        write_text(wav, "this is no sound");
      } else {
        write_wav(wav, 0.3 + 0.01 * static_cast<double>(i), 200.0 + 50.0 * static_cast<double>(i));
      }
      write_flat_png(png, 10 * i);
      ClipSource clip;
      clip.id = "clip" + name;
      clip.audio = wav;
      clip.video = png;
      clips.push_back(clip);
    }
  }

  std::unique_ptr<Loader> loader(const LoaderOptions& options, Need need = Need::both) {
    return std::make_unique<Loader>(clips, reader, training_view(), need, options, captured.log);
  }

  static std::vector<Batch> rest_of_epoch(Loader& loader) {
    std::vector<Batch> batches;
    while (auto batch = loader.next()) batches.push_back(std::move(*batch));
    return batches;
  }

  static void expect_same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].indices, b[i].indices) << "batch " << i;
      EXPECT_EQ(a[i].next_position, b[i].next_position);
      EXPECT_TRUE(same_bits(a[i].audio, b[i].audio)) << "batch " << i;
      EXPECT_TRUE(same_bits(a[i].video, b[i].video)) << "batch " << i;
    }
  }

  TemporaryFolder folder;
  std::vector<ClipSource> clips;
  CapturedLog captured;
  std::shared_ptr<const ClipReader> reader = std::make_shared<const ClipReader>(tiny_features());
};

TEST_F(LoaderTest, BatchesAreTheSameForAnyNumberOfWorkers) {
  make_clips({3, 17});
  std::vector<Batch> expected;
  for (const int64_t workers : {0, 1, 2, 4}) {
    const auto l = loader({.batch_size = 4, .num_workers = workers, .prefetch_batches = 2});
    l->start_epoch({.epoch = 1, .seed = 5, .drop_last = false});
    const auto batches = rest_of_epoch(*l);
    if (expected.empty()) expected = batches;
    expect_same(batches, expected);
    EXPECT_EQ(l->bad_clips().size(), 2u);
    EXPECT_GE(l->wait_seconds(), 0.0);
  }
  ASSERT_EQ(expected.size(), 6u);
  EXPECT_EQ(expected[0].size, 4);
  EXPECT_EQ(expected[0].audio[0].sizes(), (torch::IntArrayRef{208, 32}));
  EXPECT_EQ(expected[0].video[0].sizes(), (torch::IntArrayRef{3, 32, 32}));
  std::set<int64_t> seen;
  for (const auto& batch : expected) seen.insert(batch.indices.begin(), batch.indices.end());
  EXPECT_EQ(seen.size(), 21u);
  EXPECT_FALSE(seen.contains(3) || seen.contains(17));
}

TEST_F(LoaderTest, ResumingInMidEpochEqualsNoStop) {
  make_clips({0, 8});
  const auto whole = loader({.batch_size = 3});
  whole->start_epoch({.epoch = 2, .seed = 9});
  auto expected = rest_of_epoch(*whole);
  for (size_t stop = 1; stop <= expected.size(); ++stop) {
    const auto resumed = loader({.batch_size = 3});
    resumed->start_epoch({.epoch = 2, .seed = 9, .start_position = expected[stop - 1].next_position});
    expect_same(rest_of_epoch(*resumed), {expected.begin() + static_cast<int64_t>(stop), expected.end()});
  }
}

TEST_F(LoaderTest, EpochsDifferAndRepeatByTheirNumber) {
  make_clips();
  const auto l = loader({.batch_size = kNumClips, .prefetch_batches = 1});
  l->start_epoch({.epoch = 0});
  const auto first = rest_of_epoch(*l);
  l->start_epoch({.epoch = 1});
  const auto second = rest_of_epoch(*l);
  l->start_epoch({.epoch = 0});
  expect_same(rest_of_epoch(*l), first);
  EXPECT_NE(first[0].indices, second[0].indices);
  l->start_epoch({.shuffle = false});
  EXPECT_TRUE(std::ranges::is_sorted(rest_of_epoch(*l)[0].indices));
}

TEST_F(LoaderTest, BadClipIsToldOnceOverEpochs) {
  make_clips({5});
  const auto l = loader({.batch_size = 4});
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    l->start_epoch({.epoch = epoch});
    EXPECT_EQ(rest_of_epoch(*l).size(), 5u);
  }
  ASSERT_EQ(l->bad_clips().size(), 1u);
  EXPECT_EQ(l->bad_clips()[0].id, "clip5");
  EXPECT_THAT(l->bad_clips()[0].reason, HasSubstr("5.wav"));
  const std::string text = captured.text->str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_THAT(text, HasSubstr("skipped clip 'clip5'"));
}

TEST_F(LoaderTest, TooManyBadClipsStopInTheSamePlaceForAnyNumberOfWorkers) {
  make_clips({2, 9, 10, 11, 12, 13, 14});
  for (const int64_t workers : {0, 1, 3}) {
    const auto l = loader({.batch_size = 2, .num_workers = workers, .max_bad_ratio = 0.2});
    l->start_epoch({.shuffle = false});
    int num_batches = 0;
    const auto message = message_from<DataError>([&] {
      while (l->next()) ++num_batches;
    });
    EXPECT_EQ(num_batches, 6);
    EXPECT_THAT(message, HasSubstr("5 of the first 13 clips"));
    EXPECT_FALSE(l->next().has_value()) << "the epoch is over";
  }
}

TEST_F(LoaderTest, OnlyWhatIsNeededIsRead) {
  make_clips({1});
  const auto l = loader({.batch_size = kNumClips}, Need::video);
  l->start_epoch({});
  const auto batches = rest_of_epoch(*l);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_FALSE(batches[0].audio.defined());
  EXPECT_EQ(batches[0].video.size(0), kNumClips);
}

TEST_F(LoaderTest, TheNextEpochIsReadAheadAndTheSame) {
  make_clips({5});
  const EpochOptions first{.epoch = 0, .seed = 4}, second{.epoch = 1, .seed = 4},
      third{.epoch = 2, .seed = 4};
  for (const int64_t workers : {0, 1, 3}) {
    const LoaderOptions options{.batch_size = 4, .num_workers = workers, .prefetch_batches = 2};
    const auto plain = loader(options), ahead = loader(options);
    const auto epoch_of = [&](Loader& l, const EpochOptions& epoch, std::optional<EpochOptions> next) {
      l.start_epoch(epoch, next);
      return rest_of_epoch(l);
    };
    expect_same(epoch_of(*ahead, first, second), epoch_of(*plain, first, {}));
    expect_same(epoch_of(*ahead, second, third), epoch_of(*plain, second, {}));
    // What was read ahead is not what is asked for.
    EpochOptions elsewhere = third;
    elsewhere.start_position = 8;
    expect_same(epoch_of(*ahead, elsewhere, {}), epoch_of(*plain, elsewhere, {}));
    EXPECT_EQ(ahead->bad_clips().size(), 1u);
  }
}

size_t num_threads() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

TEST_F(LoaderTest, TheNextEpochIsReadWhileTheLastBatchesAreWorkedOn) {
  make_clips();
  const auto l = loader({.batch_size = 4, .num_workers = 2, .prefetch_batches = 8});
  const size_t threads_before = num_threads();
  const EpochOptions second{.epoch = 1};
  l->start_epoch({.epoch = 0}, second);
  ASSERT_EQ(rest_of_epoch(*l).size(), 5u);
  // Workers end when there is nothing left to read. Then the sounds go, and are not missed.
  for (int i = 0; i < 6000 && num_threads() > threads_before; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (const ClipSource& clip : clips) std::filesystem::remove(clip.audio.path());
  l->start_epoch(second);
  EXPECT_EQ(rest_of_epoch(*l).size(), 5u);
  EXPECT_TRUE(l->bad_clips().empty());
}

TEST_F(LoaderTest, MayBeLeftOrRestartedInMidEpoch) {
  make_clips();
  for (const int64_t workers : {1, 4}) {
    const auto l = loader({.batch_size = 2, .num_workers = workers, .prefetch_batches = 1});
    EXPECT_FALSE(l->next().has_value()) << "no epoch was started";
    l->start_epoch({});
    l->start_epoch({.epoch = 1});
    ASSERT_TRUE(l->next().has_value());
    l->start_epoch({.epoch = 2, .start_position = kNumClips});
    EXPECT_FALSE(l->next().has_value()) << "nothing is left of the epoch";
    l->start_epoch({.epoch = 3});
  }
}

TEST_F(LoaderTest, WrongOptionsAreAllNamed) {
  make_clips();
  const auto message = message_from<ConfigError>(
      [&] { loader({.batch_size = 0, .num_workers = -1, .prefetch_batches = 0, .max_bad_ratio = 2}); });
  for (const char* name : {"batch_size is 0", "num_workers is -1", "prefetch_batches", "max_bad_ratio"})
    EXPECT_THAT(message, HasSubstr(name));
  EXPECT_THROW(loader({})->start_epoch({.start_position = kNumClips + 1}), Error);
  clips.clear();
  EXPECT_THROW(loader({}), DataError);
}

TEST(WorkerThread, KeepsTorchsOwnThreadsAwayFromItselfAlone) {
  const int before = at::get_num_threads();
  int inside = 0;
  std::thread([&] {
    keep_torch_on_this_thread();
    inside = at::get_num_threads();
  }).join();
  EXPECT_EQ(inside, 1);
  EXPECT_EQ(at::get_num_threads(), before);
}

}  // namespace
}  // namespace cavmae
