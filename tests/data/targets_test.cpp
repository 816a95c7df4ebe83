#include "cavmae/data/targets.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/loader.h"
#include "cavmae/features/mixup.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

TEST(SoftTarget, IsSmoothedAsTheAuthorsDo) {
  const std::vector<int64_t> classes = {1, 3};
  const auto alone = soft_target({{.classes = classes}}, 4, 0.1);
  EXPECT_TRUE(at::allclose(alone, torch::tensor({0.025f, 0.9f, 0.025f, 0.9f}), 0, 1e-7));
  const auto hard = soft_target({{.classes = classes}}, 4, 0.0);
  EXPECT_TRUE(same_bits(hard, torch::tensor({0.0f, 1.0f, 0.0f, 1.0f})));
}

TEST(SoftTarget, MixedClipsAddTheirShares) {
  const std::vector<int64_t> first = {1, 3}, second = {0, 3};
  const auto mixed =
      soft_target({{.classes = first, .share = 0.7}, {.classes = second, .share = 0.3}}, 4, 0.1);
  EXPECT_TRUE(at::allclose(mixed, torch::tensor({0.295f, 0.655f, 0.025f, 0.925f}), 0, 1e-6));
}

TEST(TargetOptions, EveryWrongFieldIsNamed) {
  const auto message = message_from<ConfigError>(
      [] { TargetOptions{.mixup = 1.5, .mixup_alpha = 0, .label_smoothing = 1}.validate(); });
  for (const char* name : {"mixup is 1.5", "mixup_alpha", "label_smoothing"})
    EXPECT_THAT(message, HasSubstr(name));
}

// Sounds of different lengths beside pictures of one grey each: a picture tells which clips are in a mix.
class LabelledTest : public testing::Test {
 protected:
  static constexpr int64_t kNumClips = 12;

  void make_clips(const std::set<int64_t>& broken = {}) {
    supervision.num_classes = kNumClips;
    for (int64_t i = 0; i < kNumClips; ++i) {
      ClipSource clip;
      clip.id = "clip" + std::to_string(i);
      clip.audio = folder / (clip.id + ".wav");
      clip.video = folder / (clip.id + ".png");
      if (broken.contains(i)) {
        write_text(clip.audio.path(), "this is no sound");
      } else {
        write_wav(clip.audio.path(), 0.3 + 0.05 * static_cast<double>(i),
                  200.0 + 50.0 * static_cast<double>(i));
      }
      write_flat_png(clip.video.path(), 20 * i);
      clips.push_back(clip);
      supervision.classes.push_back({i});
    }
  }

  Sample read(int64_t index, uint64_t seed) const {
    return read_labelled(
        {.clips = clips, .supervision = supervision, .reader = reader, .view = view, .need = Need::both},
        index, seed);
  }

  // The share and the second clip, as the target tells them.
  struct Mix {
    double first_share = 1;
    int64_t second = -1;
  };
  static Mix mix_of(const Sample& sample, int64_t index) {
    Mix mix{.first_share = sample.target[index].item<double>()};
    for (int64_t c = 0; c < kNumClips; ++c)
      if (c != index && sample.target[c].item<double>() > 0) mix.second = c;
    return mix;
  }

  std::unique_ptr<Loader> loader(const LoaderOptions& options) {
    auto made = std::make_unique<Loader>(clips, std::make_shared<const ClipReader>(tiny_features()), view,
                                         Need::both, options, captured.log);
    made->supervise(supervision);
    return made;
  }

  TemporaryFolder folder;
  std::vector<ClipSource> clips;
  Supervision supervision;
  ViewOptions view = training_view();
  ClipReader reader{tiny_features()};
  CapturedLog captured;
};

TEST_F(LabelledTest, UnmixedClipIsTheClipAndItsLabels) {
  make_clips();
  const Sample sample = read(4, 11), plain = reader.read(clips[4], view, Need::both, 11);
  EXPECT_TRUE(same_bits(sample.audio, plain.audio));
  EXPECT_TRUE(same_bits(sample.video, plain.video));
  EXPECT_TRUE(same_bits(sample.target, multi_hot({{4}}, kNumClips)[0]));
}

TEST_F(LabelledTest, SoundPictureAndLabelsAreOfTheSameTwoClips) {
  make_clips();
  supervision.options.mixup = 1.0;
  view = {};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Sample sample = read(3, seed);
    const Mix mix = mix_of(sample, 3);
    if (mix.second < 0) continue;  // mixed with itself
    const RawClip first = reader.read_raw(clips[3], view, Need::both, 0),
                  second = reader.read_raw(clips[mix.second], view, Need::both, 0);
    EXPECT_TRUE(
        at::allclose(sample.video, mix_pictures(first.video, second.video, mix.first_share), 0, 1e-5));
    const Sample expected = reader.finish(mix_clips(first, second, mix.first_share), view, seed);
    EXPECT_TRUE(at::allclose(sample.audio, expected.audio, 0, 1e-3));
    EXPECT_NEAR(sample.target.sum().item<double>(), 1.0, 1e-6);
  }
}

TEST_F(LabelledTest, MixesAreAsFrequentAsAskedForAndReachEveryClip) {
  make_clips();
  supervision.options.mixup = 0.5;
  view = {};
  constexpr int kReads = 400;
  int mixed = 0;
  std::set<int64_t> partners;
  double shares = 0, squares = 0;
  for (uint64_t seed = 0; seed < kReads; ++seed) {
    const Mix mix = mix_of(read(0, seed), 0);
    if (mix.second < 0) continue;
    ++mixed;
    partners.insert(mix.second);
    shares += mix.first_share;
    squares += mix.first_share * mix.first_share;
  }
  // One in twelve mixes is with the clip itself and does not show.
  EXPECT_NEAR(mixed, kReads * 0.5 * 11 / 12, 5 * std::sqrt(kReads * 0.25));
  EXPECT_EQ(partners.size(), 11u);
  // Beta(10, 10): mean 1/2, variance 1/84.
  const double mean = shares / mixed;
  EXPECT_NEAR(mean, 0.5, 0.05);
  EXPECT_NEAR(squares / mixed - mean * mean, 1.0 / 84, 0.005);
}

TEST_F(LabelledTest, BrokenPartnerGivesWayToAnotherAndABrokenClipIsBad) {
  make_clips({0, 1, 2, 3, 5, 6, 7, 8, 9, 10});
  supervision.options.mixup = 1.0;
  view = {};
  std::set<int64_t> partners;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Sample sample = read(4, seed);
    EXPECT_TRUE(same_bits(sample.target, read(4, seed).target));
    partners.insert(mix_of(sample, 4).second);
  }
  EXPECT_TRUE(partners.contains(11));
  for (const int64_t partner : partners) EXPECT_TRUE(partner == 11 || partner == -1) << partner;
  EXPECT_THAT(message_from<MediaError>([&] { read(5, 0); }), HasSubstr("clip5.wav"));
}

TEST_F(LabelledTest, NothingChangesWithTheCache) {
  make_clips();
  supervision.options = {.mixup = 1.0, .label_smoothing = 0.1};
  view.frequency_mask = 8;
  view.time_mask = 40;
  std::vector<Sample> expected;
  for (uint64_t seed = 0; seed < 6; ++seed) expected.push_back(read(2, seed));
  const ClipReader cached(tiny_features(), folder / "cache");
  const LabelledClips from{
      .clips = clips, .supervision = supervision, .reader = cached, .view = view, .need = Need::both};
  for (const char* pass : {"written", "read"}) {
    for (uint64_t seed = 0; seed < expected.size(); ++seed) {
      const Sample sample = read_labelled(from, 2, seed);
      EXPECT_TRUE(same_bits(sample.audio, expected[seed].audio)) << pass << seed;
      EXPECT_TRUE(same_bits(sample.video, expected[seed].video)) << pass << seed;
      EXPECT_TRUE(same_bits(sample.target, expected[seed].target)) << pass << seed;
    }
    // Garbage of the same size and time: the second time no sound can be decoded.
    for (const auto& clip : clips) {
      const auto path = clip.audio.path();
      const auto time = std::filesystem::last_write_time(path);
      write_text(path, std::string(std::filesystem::file_size(path), 'x'));
      std::filesystem::last_write_time(path, time);
    }
  }
}

TEST_F(LabelledTest, BatchesAreTheSameForAnyNumberOfWorkersAndAfterAnyStop) {
  make_clips({3});
  supervision.options = {.mixup = 0.5, .label_smoothing = 0.1};
  supervision.weights = {5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 20};
  view.frequency_mask = 8;
  const EpochOptions epoch{.epoch = 1, .seed = 5};
  std::vector<Batch> expected;
  for (const int64_t workers : {0, 1, 3}) {
    const auto l = loader({.batch_size = 3, .num_workers = workers, .max_bad_ratio = 1});
    l->start_epoch(epoch);
    for (size_t i = 0; auto batch = l->next(); ++i) {
      EXPECT_EQ(batch->size, 3);
      const auto clips_read = static_cast<int64_t>(batch->indices.size());
      ASSERT_EQ(batch->targets.sizes(), (torch::IntArrayRef{clips_read, kNumClips}));
      if (workers == 0) {
        expected.push_back(*batch);
        continue;
      }
      EXPECT_EQ(batch->indices, expected.at(i).indices);
      EXPECT_TRUE(same_bits(batch->audio, expected[i].audio));
      EXPECT_TRUE(same_bits(batch->video, expected[i].video));
      EXPECT_TRUE(same_bits(batch->targets, expected[i].targets));
    }
  }
  ASSERT_GE(expected.size(), 3u);
  const auto resumed = loader({.batch_size = 3, .num_workers = 2, .max_bad_ratio = 1});
  resumed->start_epoch({.epoch = 1, .seed = 5, .start_position = expected[0].next_position});
  const auto second = resumed->next();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->indices, expected[1].indices);
  EXPECT_TRUE(same_bits(second->audio, expected[1].audio));
  EXPECT_TRUE(same_bits(second->targets, expected[1].targets));
}

TEST_F(LabelledTest, ClipThatIsDrawnAgainIsSeenAnotherWay) {
  make_clips();
  supervision.weights.assign(kNumClips, 0.0);
  supervision.weights[6] = 1;
  const auto l = loader({.batch_size = kNumClips});
  l->start_epoch({});
  const auto batch = l->next();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->indices, std::vector<int64_t>(kNumClips, 6));
  EXPECT_FALSE(same_bits(batch->audio[0], batch->audio[1]));
  EXPECT_FALSE(same_bits(batch->audio[1], batch->audio[2]));
}

TEST_F(LabelledTest, LabelsOfOtherClipsAreAnError) {
  make_clips();
  supervision.classes.pop_back();
  EXPECT_THROW(loader({}), Error);
}

}  // namespace
}  // namespace cavmae
