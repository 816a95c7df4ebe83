#include "cavmae/data/windows.h"

#include <atomic>
#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/loader.h"
#include "cavmae/data/media_files.h"

#include "tests/data/toy_media.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> starts(double clip_seconds, const WindowSpacing& spacing = {}) {
  return window_starts(clip_seconds, 10.0, spacing);
}

TEST(WindowStarts, AreHalfAWindowApartAndTheLastEndsWithTheClip) {
  EXPECT_THAT(starts(30.0), ElementsAre(0, 5, 10, 15, 20));
  EXPECT_THAT(starts(32.3456789), ElementsAre(0, 5, 10, 15, 20, 22.346));
  EXPECT_THAT(starts(25.0, {.hop_seconds = 10.0}), ElementsAre(0, 10, 15));
  EXPECT_THAT(starts(40.0, {.hop_seconds = 30.0}), ElementsAre(0, 30));
  EXPECT_THAT(starts(10.001, {.hop_seconds = 3.0}), ElementsAre(0, 0.001));
  EXPECT_EQ(starts(3 * 3600.0).size(), 2159u);
}

TEST(WindowStarts, OfAShortOrUnknownClipAreOne) {
  for (const double seconds : {0.0, 0.3, 9.9999, 10.0, 10.0003}) {
    EXPECT_THAT(starts(seconds), ElementsAre(0)) << seconds;
    EXPECT_THAT(starts(seconds, {.count = 7}), ElementsAre(0)) << seconds;
  }
}

TEST(WindowStarts, OfANumberAreSpreadEvenly) {
  EXPECT_THAT(starts(30.0, {.count = 1}), ElementsAre(10));
  EXPECT_THAT(starts(30.0, {.count = 2}), ElementsAre(0, 20));
  EXPECT_THAT(starts(30.0, {.count = 4}),
              ElementsAre(0, DoubleNear(6.667, 1e-9), DoubleNear(13.333, 1e-9), 20));
  EXPECT_THAT(starts(10.002, {.count = 50}), ElementsAre(0, 0.001, 0.002));
}

TEST(WindowStarts, RefuseWhatMakesNoSense) {
  EXPECT_THROW(starts(30.0, {.count = 0}), ConfigError);
  EXPECT_THROW(starts(30.0, {.hop_seconds = 0.0}), ConfigError);
  EXPECT_THROW(starts(30.0, {.hop_seconds = std::nan("")}), ConfigError);
  EXPECT_THROW(starts(30.0, {.count = 2, .hop_seconds = 1.0}), ConfigError);
}

// Videos of several kinds, some made once for all tests.
class WindowsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder();
    const std::string sound = "sine=f=300:beep_factor=4:r=44100";
    write_video(*shared_ / "long.mp4", 9.3, "-c:v libx264 -g 25 -c:a aac -aac_pns 0", sound);
    write_video(*shared_ / "other.mkv", 6, "-c:v mpeg4 -c:a flac", sound);
    write_video(*shared_ / "brief.mp4", 1, "", sound);
    write_video(*shared_ / "mute.mp4", 5, "", "");
  }
  static void TearDownTestSuite() { delete shared_; }

  static ClipSource clip(const std::string& name) {
    ClipSource out = clip_of_file(*shared_ / name);
    out.id = std::filesystem::path(name).stem().string();
    return out;
  }

  // Every window of the iterator against a reader that seeks to it alone.
  void expect_as_by_seeking(ClipWindows windows, const ViewOptions& view, Need need) {
    const ClipReader alone(tiny_features());
    for (const ClipSource& window : windows.windows()) {
      const auto got = windows.next();
      ASSERT_TRUE(got);
      EXPECT_EQ(got->id, window.id);
      EXPECT_EQ(got->start_seconds, window.start_seconds);
      const Sample wanted = alone.read(window, view, need, 0);
      EXPECT_TRUE(same_bits(got->sample.audio, wanted.audio)) << window.id;
      EXPECT_TRUE(same_bits(got->sample.video, wanted.video)) << window.id;
    }
    EXPECT_FALSE(windows.next());
  }

  TemporaryFolder folder;
  static TemporaryFolder* shared_;
};
TemporaryFolder* WindowsTest::shared_ = nullptr;

TEST_F(WindowsTest, EqualSeekingWindowForWindow) {
  const ViewOptions middle, all{.frames = FrameChoice::all};
  // Hops of several pictures' distance and of none, and of more than a window.
  for (const char* name : {"long.mp4", "other.mkv"}) {
    for (const double hop : {1.0, 0.77, 3.1}) {
      SCOPED_TRACE(concat(name, " ", hop));
      expect_as_by_seeking(windows_of(clip(name), tiny_features(), hop, {.view = all}), all, Need::any);
    }
    expect_as_by_seeking(windows_of(clip(name), tiny_features(), 0.9), middle, Need::any);
  }
  expect_as_by_seeking(windows_of(clip("brief.mp4"), tiny_features(), 1.0), middle, Need::any);
  expect_as_by_seeking(windows_of(clip("mute.mp4"), tiny_features(), 0.5, {.view = all}), all, Need::any);
}

TEST_F(WindowsTest, OfSoundBesideAPictureAndOfListedPicturesEqualSeeking) {
  write_wav(folder / "s.wav", 7, 400, 22050);
  write_flat_png(folder / "p.png", 90);
  write_flat_png(folder / "q.png", 180);
  ClipSource pair;
  pair.id = "pair";
  pair.audio = folder / "s.wav";
  pair.video = folder / "p.png";
  ClipSource listed = pair;
  listed.video = {};
  listed.frames = {folder / "p.png", folder / "q.png"};
  const ViewOptions view{.frames = FrameChoice::all};
  for (const ClipSource& source : {pair, listed}) {
    ClipWindows windows = windows_of(source, tiny_features(), 1.0, {.view = view, .need = Need::both});
    EXPECT_EQ(windows.windows().size(), 6u);
    expect_as_by_seeking(std::move(windows), view, Need::both);
  }
}

TEST_F(WindowsTest, EqualSeekingWithAColdAWarmAndAPartlyFilledCache) {
  const ViewOptions view{.frames = FrameChoice::all};
  const WindowsOfOptions options{.view = view, .cache_dir = folder / "cache"};
  {  // one window in the middle is there before
    const ClipReader reader(tiny_features(), folder / "cache");
    ClipSource pinned = clip("long.mp4");
    pinned.start_seconds = 3.0;
    reader.read(pinned, view, Need::any, 0);
  }
  for (int i = 0; i < 2; ++i)
    expect_as_by_seeking(windows_of(clip("long.mp4"), tiny_features(), 1.0, options), view, Need::any);
  // The middle pictures alone, from what the cache holds of all.
  expect_as_by_seeking(windows_of(clip("long.mp4"), tiny_features(), 1.0, {.cache_dir = folder / "cache"}),
                       {}, Need::any);
}

// A file that counts what is read of it.
class CountedOrigin : public MediaOrigin {
 public:
  CountedOrigin(const std::filesystem::path& path, std::string name)
      : bytes_(testing_support::read_whole(path)), name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  std::string stamp() const override { return "always"; }
  std::unique_ptr<MediaBytes> open() const override { return std::make_unique<Bytes>(*this); }
  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }
  int64_t num_read() const { return num_read_; }

 private:
  struct Bytes : MediaBytes {
    explicit Bytes(const CountedOrigin& counted) : origin(counted) {}
    int64_t size() const override { return origin.size(); }
    size_t read_at(int64_t offset, void* out, size_t count) const override {
      const size_t n = origin.bytes_.copy(static_cast<char*>(out), count, static_cast<size_t>(offset));
      origin.num_read_ += static_cast<int64_t>(n);
      return n;
    }
    const CountedOrigin& origin;
  };
  std::string bytes_, name_;
  mutable std::atomic<int64_t> num_read_ = 0;
};

TEST_F(WindowsTest, ReadTheSourceAFewTimesHoweverManyWindowsThereAre) {
  const auto origin = std::make_shared<CountedOrigin>(*shared_ / "long.mp4", "counted.mp4");
  ClipSource source = clip_of_file(MediaSource(origin));
  ClipWindows windows = windows_of(source, tiny_features(), 0.05, {.view = {.frames = FrameChoice::all}});
  ASSERT_GT(windows.windows().size(), 140u);
  while (windows.next()) continue;
  // Looked at, and decoded for sound and for pictures.
  EXPECT_LE(origin->num_read(), 5 * origin->size());
  EXPECT_EQ(windows.windows()[0].id, "counted@0.000");
}

TEST_F(WindowsTest, HaveIdsFilesAndStarts) {
  const ClipReader reader(tiny_features());
  write_wav(folder / "long.wav", 9.3, 400);
  ClipSource sound = clip_of_file(folder / "long.wav");
  sound.id = "long";
  const std::vector<ClipSource> clips = {sound, clip("brief.mp4"), clip("gone.mp4"), clip("mute.mp4")};
  for (const int64_t workers : {0, 1, 3}) {
    const auto found = windows_of_clips(
        clips, reader, {.need = Need::any, .spacing = {.hop_seconds = 2.0}, .num_workers = workers});
    std::vector<std::string> ids, files;
    for (const ClipSource& window : found) ids.push_back(window.id), files.push_back(window.file);
    EXPECT_THAT(ids, ElementsAre("long@0.000", "long@2.000", "long@4.000", "long@6.000", "long@7.300",
                                 "brief@0.000", "gone", "mute@0.000", "mute@2.000", "mute@3.000"));
    EXPECT_THAT(files,
                ElementsAre("long", "long", "long", "long", "long", "brief", "", "mute", "mute", "mute"));
    EXPECT_EQ(found[4].start_seconds, 7.3);
  }
}

TEST_F(WindowsTest, OfAClipThatItsListPinsAreOne) {
  ClipSource pinned = clip("long.mp4");
  pinned.start_seconds = 2.5;
  const auto found = windows_of_clip(pinned, ClipReader(tiny_features()), Need::any, {});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, "long@2.500");
  EXPECT_EQ(found[0].start_seconds, 2.5);
}

TEST_F(WindowsTest, LieWhereBothSidesAreOfWhichOneMayBeUnreadable) {
  write_wav(folder / "s.wav", 7, 400);
  ClipSource source = clip("mute.mp4");
  source.audio = folder / "s.wav";
  const ClipReader reader(tiny_features());
  const WindowSpacing spacing{.hop_seconds = 1.0};
  EXPECT_EQ(windows_of_clip(source, reader, Need::any, spacing).back().start_seconds, 3.0);
  EXPECT_EQ(windows_of_clip(source, reader, Need::audio, spacing).back().start_seconds, 5.0);
  source.video = folder / "gone.mp4";
  EXPECT_EQ(windows_of_clip(source, reader, Need::any, spacing).back().start_seconds, 5.0);
  EXPECT_THAT(message_from<MediaError>([&] { windows_of(clip("gone.mp4"), tiny_features(), 1.0); }),
              HasSubstr("gone.mp4"));
}

TEST_F(WindowsTest, BehindOneThatCannotBeReadGoOn) {
  ClipSource source = clip("long.mp4");
  std::vector<ClipSource> windows;
  for (const double start : {1.0, 8.0, 20.0, 30.0}) {
    windows.push_back(source);
    windows.back().file = source.id;
    windows.back().start_seconds = start;
    windows.back().id = window_id(source.id, start);
  }
  ClipWindows iterator(windows, std::make_shared<const ClipReader>(tiny_features()), {}, Need::both);
  EXPECT_TRUE(iterator.next());
  EXPECT_TRUE(iterator.next());
  EXPECT_THROW(iterator.next(), MediaError);
  EXPECT_THROW(iterator.next(), MediaError);
  EXPECT_FALSE(iterator.next());
}

TEST_F(WindowsTest, ALoaderReadsThemAloneAndInAnyNumberOfWorkersAlike) {
  const auto reader = std::make_shared<const ClipReader>(tiny_features());
  std::vector<ClipSource> clips = windows_of_clips(
      {clip("long.mp4"), clip("brief.mp4"), clip("gone.mp4"), clip("other.mkv"), clip("mute.mp4")}, *reader,
      {.need = Need::any, .spacing = {.hop_seconds = 0.5}});
  ASSERT_GT(clips.size(), 25u);
  std::map<int64_t, Sample> alone;
  for (size_t i = 0; i < clips.size(); ++i)
    if (clips[i].file != "mute" && clips[i].id != "gone")
      alone[static_cast<int64_t>(i)] = reader->read(clips[i], {}, Need::both, 0);
  for (const int64_t workers : {0, 1, 5}) {
    for (const int64_t start : {0, 7}) {
      Loader loader(clips, reader, {}, Need::both,
                    {.batch_size = 3, .num_workers = workers, .prefetch_batches = 1, .max_bad_ratio = 1.0},
                    null_log());
      loader.start_epoch({.shuffle = false, .drop_last = false, .start_position = start});
      std::vector<int64_t> indices;
      while (const auto batch = loader.next()) {
        for (size_t row = 0; row < batch->indices.size(); ++row) {
          const Sample& wanted = alone.at(batch->indices[row]);
          EXPECT_TRUE(same_bits(batch->audio[static_cast<int64_t>(row)], wanted.audio));
          EXPECT_TRUE(same_bits(batch->video[static_cast<int64_t>(row)], wanted.video));
          indices.push_back(batch->indices[row]);
        }
      }
      std::vector<int64_t> expected;
      for (const auto& [index, sample] : alone)
        if (index >= start) expected.push_back(index);
      EXPECT_EQ(indices, expected) << workers;
      EXPECT_EQ(loader.bad_clips().size(), 8u)
          << workers;  // the mute one's seven windows and the missing file
    }
  }
}

}  // namespace
}  // namespace cavmae
