// ClipReader with a cache: what a second epoch reads is what the first one decoded, until a source changes.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/feature_cache.h"
#include "cavmae/data/media_files.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

class CachedReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    write_video(folder / "v.mp4", 2);
    clip = clip_of_file(folder / "v.mp4");
    clip.id = "v";
  }

  // Garbage of the same size and time: what still reads it as before has not opened it.
  static void make_unreadable(const fs::path& path) {
    const auto time = fs::last_write_time(path);
    write_text(path, std::string(fs::file_size(path), 'x'));
    fs::last_write_time(path, time);
  }

  std::vector<fs::path> entries() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::recursive_directory_iterator(cache))
      if (entry.is_regular_file()) out.push_back(entry.path());
    return out;
  }

  static void expect_same(const Sample& a, const Sample& b) {
    EXPECT_TRUE(same_bits(a.audio, b.audio));
    EXPECT_TRUE(same_bits(a.video, b.video));
  }

  TemporaryFolder folder;
  fs::path cache = folder / "cache";
  ClipSource clip;
  const ClipReader plain{tiny_features()};
  const ClipReader cached{tiny_features(), cache};
};

TEST_F(CachedReaderTest, HitMissAndNoCacheAreBitForBitTheSame) {
  const ViewOptions all{.frames = FrameChoice::all};
  const Sample expected = plain.read(clip, training_view(), Need::both, 3);
  const Sample expected_all = plain.read(clip, all, Need::both, 3);
  expect_same(cached.read(clip, training_view(), Need::both, 3), expected);
  make_unreadable(clip.video.path());
  expect_same(cached.read(clip, training_view(), Need::both, 3), expected);
  expect_same(cached.read(clip, all, Need::both, 3), expected_all);
  const ClipReader another(tiny_features(), cache);
  expect_same(another.read(clip, training_view(), Need::both, 3), expected);
}

TEST_F(CachedReaderTest, SeparateFilesAndListsOfPicturesAreKeptToo) {
  ClipSource separate;
  separate.audio = folder / "s.wav";
  write_wav(separate.audio.path(), 1, 300);
  for (int i = 0; i < 3; ++i) {
    separate.frames.push_back(folder / (std::to_string(i) + ".png"));
    write_flat_png(separate.frames.back().path(), 50 * i);
  }
  const Sample expected = plain.read(separate, training_view(), Need::both, 3);
  expect_same(cached.read(separate, training_view(), Need::both, 3), expected);
  make_unreadable(separate.audio.path());
  for (const auto& frame : separate.frames) make_unreadable(frame.path());
  expect_same(cached.read(separate, training_view(), Need::both, 3), expected);
}

TEST_F(CachedReaderTest, ChangedSourceIsReadAgainAndReplacesItsEntries) {
  cached.read(clip, {}, Need::both, 0);
  const auto before = entries();
  EXPECT_EQ(before.size(), 3u) << "facts, filterbank, pictures";
  write_video(clip.video.path(), 2, "-vf negate", "sine=f=900:r=16000");
  expect_same(cached.read(clip, {}, Need::both, 0), plain.read(clip, {}, Need::both, 0));
  make_unreadable(clip.video.path());
  fs::last_write_time(folder / "v.mp4", fs::last_write_time(folder / "v.mp4") + std::chrono::seconds(1));
  EXPECT_THROW(cached.read(clip, {}, Need::both, 0), MediaError);
}

TEST_F(CachedReaderTest, DamagedEntryIsMadeAgain) {
  const Sample expected = cached.read(clip, {}, Need::both, 0);
  for (const auto& path : entries()) {
    std::string bytes = testing_support::read_whole(path);
    bytes[bytes.size() - 20] = static_cast<char>(~bytes[bytes.size() - 20]);
    bytes[bytes.size() * 11 / 20] = static_cast<char>(~bytes[bytes.size() * 11 / 20]);
    write_text(path, bytes);
  }
  expect_same(cached.read(clip, {.frames = FrameChoice::all}, Need::both, 0),
              plain.read(clip, {.frames = FrameChoice::all}, Need::both, 0));
  make_unreadable(clip.video.path());
  expect_same(cached.read(clip, {}, Need::both, 0), expected);
}

TEST_F(CachedReaderTest, OtherFeaturesHaveOtherEntries) {
  cached.read(clip, {}, Need::both, 0);
  InputSpec other = tiny_features();
  other.image_size = 16;
  other.num_mel_bins = 16;
  const Sample sample = ClipReader(other, cache).read(clip, {}, Need::both, 0);
  expect_same(sample, ClipReader(other).read(clip, {}, Need::both, 0));
  // What only normalises or pads uses the same entries.
  InputSpec same = tiny_features();
  same.fbank_mean = 1;
  same.num_fbank_frames = 64;
  const Sample expected = ClipReader(same).read(clip, {}, Need::both, 0);
  make_unreadable(clip.video.path());
  expect_same(ClipReader(same, cache).read(clip, {}, Need::both, 0), expected);
}

// Of a network whose sound is by segments the clip is decoded once, and the cache holds it once.
TEST_F(CachedReaderTest, SegmentsAreCutFromTheOneEntryOfTheClip) {
  InputSpec aligned = tiny_features();
  aligned.alignment = Alignment::picture;
  aligned.audio_window_frames = 32;
  aligned.num_frames = 16;
  const ViewOptions all{.frames = FrameChoice::all};
  const Sample expected = ClipReader(aligned).read(clip, all, Need::both, 0);
  ASSERT_EQ(expected.audio.sizes(), (std::vector<int64_t>{16, 32, 32}));
  const ClipReader reader(aligned, cache);
  expect_same(reader.read(clip, all, Need::both, 0), expected);
  EXPECT_EQ(entries().size(), 3u) << "facts, filterbank, pictures";
  make_unreadable(clip.video.path());
  expect_same(reader.read(clip, all, Need::both, 0), expected);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Sample one = reader.read(clip, {.frames = FrameChoice::random}, Need::both, seed);
    bool found = false;
    for (int64_t k = 0; k < 16; ++k)
      found = found || (one.audio.equal(expected.audio[k]) && one.video.equal(expected.video[k]));
    EXPECT_TRUE(found) << seed;
  }
  // Other segments and the whole clip's sound are there as well.
  aligned.audio_window_frames = 64;
  EXPECT_TRUE(ClipReader(aligned, cache)
                  .read(clip, all, Need::both, 0)
                  .audio[15]
                  .narrow(0, 32, 32)
                  .equal(expected.audio[15]));
  aligned.audio_window_frames = 0;
  aligned.alignment = Alignment::clip;
  const torch::Tensor whole = ClipReader(aligned, cache).read(clip, {}, Need::both, 0).audio;
  EXPECT_TRUE(whole.narrow(0, 208 - 32, 32).equal(expected.audio[15]));
  EXPECT_EQ(entries().size(), 3u);
}

TEST_F(CachedReaderTest, RandomWindowsOfALongFileAreAFewThatAreAllKept) {
  write_video(folder / "long.mp4", 4.5);
  const ClipSource longer = clip_of_file(folder / "long.mp4");
  for (uint64_t seed = 0; seed < 60; ++seed) cached.read(longer, training_view(), Need::both, seed);
  EXPECT_EQ(entries().size(), 1u + 2 * 5) << "a slack of 2.5 s has five windows";
  const Sample middle = plain.read(longer, {}, Need::both, 0);
  make_unreadable(longer.video.path());
  expect_same(cached.read(longer, {}, Need::both, 0), middle);
}

// A cache that exists stays of use: these texts are part of its format.
TEST_F(CachedReaderTest, EntriesOfFilesHaveTheNamesAndStampsThatTheyAlwaysHad) {
  ClipSource separate;
  separate.audio = folder / "s.wav";
  separate.frames = {folder / "0.png", folder / "1.png"};
  write_wav(folder / "s.wav", 1, 300);
  for (const char* name : {"0.png", "1.png"}) write_flat_png(folder / name, 50);
  for (const char* name : {"s.wav", "0.png", "1.png"}) {
    const std::string times =
        "touch -d '2001-09-09 01:46:40.123456789 UTC' '" + (folder / name).string() + "'";
    ASSERT_EQ(testing_support::run_shell(times).exit_code, 0);
  }
  cached.read(separate, {}, Need::both, 0);
  const ViewOptions view;
  cached.read_raw(separate, view, Need::audio, 0);
  const std::string at = folder.path().string(), time = ":1000000000.123456789;";
  const std::string png = std::to_string(fs::file_size(folder / "0.png")) + time;
  const std::vector<CacheKey> expected = {
      {.name = "facts\n" + at + "/s.wav", .stamp = "32044" + time},
      {.name = "fbank\n" + at + "/s.wav\n0 2000000 32 first", .stamp = "32044" + time},
      {.name = "waveform\n" + at + "/s.wav\n0 2000000 first", .stamp = "32044" + time},
      {.name = "pictures 0 0 10 32\n" + at + "/0.png\n" + at + "/1.png", .stamp = png + png}};
  const FeatureCache entries_by_key(cache, nullptr);
  for (const CacheKey& key : expected) EXPECT_TRUE(entries_by_key.open(key).has_value()) << key.name;
  EXPECT_EQ(entries().size(), expected.size());
}

}  // namespace
}  // namespace cavmae
