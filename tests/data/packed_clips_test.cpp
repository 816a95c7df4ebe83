// Clips whose files lie in one uncompressed archive, or in memory, are the clips of these files.
#include <functional>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"

#include "tests/data/toy_media.h"
#include "tests/support/media_tensors.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

const ViewOptions kAllFrames{.frames = FrameChoice::all};

void expect_same(const Sample& a, const Sample& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.audio, b.audio)) << what;
  EXPECT_TRUE(same_bits(a.video, b.video)) << what;
}

// Two clips, a video and a sound with pictures, as files, as parts of a shard and in memory.
class PackedClipsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared_ = new Clips(); }
  static void TearDownTestSuite() { delete shared_; }

  struct Clips {
    Clips() {
      write_video(folder / "v.mp4", 4.5);
      write_wav(folder / "s.wav", 1.7, 333);
      for (const char* name : {"0.jpg", "1.jpg"})
        write_text(folder / name, encode_jpeg(torch::randint(0, 256, {40, 52, 3}, torch::kUInt8)));
      for (const char* name : {"v.mp4", "s.wav", "0.jpg", "1.jpg"}) {
        shard += std::string(3 + shard.size() % 4, '-');
        starts[name] = shard.size();
        shard += testing_support::read_whole(folder / name);
      }
      write_text(folder / "shard.tar", shard + "the end");
    }

    // The clips with each of their files as `source` gives it.
    std::vector<ClipSource> with(const std::function<MediaSource(const std::string&)>& source) const {
      std::vector<ClipSource> clips = {clip_of_file(source("v.mp4")), clip_of_file(source("s.wav"))};
      clips[1].frames = {source("0.jpg"), source("1.jpg")};
      return clips;
    }
    std::vector<ClipSource> as_files() const {
      return with([&](const std::string& name) { return folder / name; });
    }
    std::vector<ClipSource> as_parts() const {
      return with([&](const std::string& name) {
        return part_of_file({.file = folder / "shard.tar",
                             .offset = static_cast<int64_t>(starts.at(name)),
                             .size = static_cast<int64_t>(std::filesystem::file_size(folder / name)),
                             .name = "shard.tar: " + name});
      });
    }
    std::vector<ClipSource> in_memory() const {
      return with([&](const std::string& name) {
        return media_in_memory(testing_support::read_whole(folder / name), name);
      });
    }

    TemporaryFolder folder;
    std::string shard;
    std::map<std::string, size_t> starts;
  };

  static void expect_equal_samples(const ClipReader& reader, const std::vector<ClipSource>& clips) {
    const ClipReader plain(tiny_features());
    const auto files = shared_->as_files();
    for (size_t i = 0; i < files.size(); ++i) {
      for (uint64_t seed = 0; seed < 3; ++seed)
        expect_same(reader.read(clips[i], training_view(), Need::both, seed),
                    plain.read(files[i], training_view(), Need::both, seed), "training");
      expect_same(reader.read(clips[i], kAllFrames, Need::both, 0),
                  plain.read(files[i], kAllFrames, Need::both, 0), "all frames");
    }
  }

  TemporaryFolder folder;
  static Clips* shared_;
};
PackedClipsTest::Clips* PackedClipsTest::shared_ = nullptr;

TEST_F(PackedClipsTest, PartsOfAFileReadAsTheFiles) {
  expect_equal_samples(ClipReader(tiny_features()), shared_->as_parts());
}

TEST_F(PackedClipsTest, MemoryReadsAsTheFiles) {
  expect_equal_samples(ClipReader(tiny_features()), shared_->in_memory());
}

TEST_F(PackedClipsTest, ManyThreadsReadThemAtOnce) {
  const ClipReader reader(tiny_features());
  const auto parts = shared_->as_parts(), memory = shared_->in_memory();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { expect_equal_samples(reader, t % 2 == 0 ? parts : memory); });
  for (auto& thread : threads) thread.join();
}

// Evaluation's reading, with what a cache has of it, when the shard itself can no longer be decoded.
TEST_F(PackedClipsTest, AreKeptInACacheUntilTheyChange) {
  const ClipReader plain(tiny_features()), cached(tiny_features(), folder / "cache");
  const auto read = [](const ClipReader& reader, const ClipSource& clip) {
    return reader.read(clip, kAllFrames, Need::both, 0);
  };
  const auto files = shared_->as_files();
  auto clips = shared_->as_parts();
  std::filesystem::copy(shared_->folder / "shard.tar", folder / "shard.tar");
  for (ClipSource& clip : clips) {
    const auto in_copy = [&](const MediaSource& source) {
      const std::string member = source.name().substr(source.name().find(' ') + 1);
      return part_of_file({.file = folder / "shard.tar",
                           .offset = static_cast<int64_t>(shared_->starts.at(member)),
                           .size = source.open()->size(),
                           .name = source.name()});
    };
    clip.audio = in_copy(clip.audio);
    if (!clip.video.empty()) clip.video = in_copy(clip.video);
    for (MediaSource& frame : clip.frames) frame = in_copy(frame);
  }
  for (size_t i = 0; i < clips.size(); ++i)
    expect_same(read(cached, clips[i]), read(plain, files[i]), "first");
  const auto time = std::filesystem::last_write_time(folder / "shard.tar");
  write_text(folder / "shard.tar", std::string(std::filesystem::file_size(folder / "shard.tar"), 'x'));
  std::filesystem::last_write_time(folder / "shard.tar", time);
  for (size_t i = 0; i < clips.size(); ++i)
    expect_same(read(cached, clips[i]), read(plain, files[i]), "from the cache");
  std::filesystem::last_write_time(folder / "shard.tar", time + std::chrono::seconds(1));
  EXPECT_THROW(read(cached, clips[0]), MediaError);
}

TEST_F(PackedClipsTest, SameNameInMemoryIsNoSameCacheEntry) {
  const ClipReader plain(tiny_features()), cached(tiny_features(), folder / "cache");
  for (const double pitch_hz : {300.0, 500.0, 300.0}) {
    write_wav(folder / "s.wav", 1.0, pitch_hz);
    const ClipSource upload =
        clip_of_file(media_in_memory(testing_support::read_whole(folder / "s.wav"), "upload.wav"));
    expect_same(cached.read(upload, {}, Need::audio, 0),
                plain.read(clip_of_file(folder / "s.wav"), {}, Need::audio, 0), "upload");
  }
}

TEST_F(PackedClipsTest, ErrorsNameTheMember) {
  const auto error = [](const MediaSource& source) {
    return message_from<MediaError>(
        [&] { ClipReader(tiny_features()).read(clip_of_file(source), {}, Need::both, 0); });
  };
  EXPECT_THAT(error(part_of_file({.file = shared_->folder / "shard.tar",
                                  .offset = static_cast<int64_t>(shared_->starts.at("v.mp4")) + 64,
                                  .size = 500,
                                  .name = "shard.tar: clip 12.mp4"})),
              HasSubstr("shard.tar: clip 12.mp4"));
  EXPECT_THAT(error(shared_->in_memory()[1].audio), HasSubstr("s.wav: has no video"));
}

}  // namespace
}  // namespace cavmae
