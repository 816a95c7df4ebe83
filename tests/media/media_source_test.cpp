#include "cavmae/media/media_source.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

class MediaSourceTest : public MediaFiles {
 protected:
  // The files one behind another with something between them, so that none begins at a round offset.
  void pack(const std::string& name, const std::vector<std::string>& members) {
    std::string bytes = "this is no media";
    for (const std::string& member : members) {
      bytes += std::string(7 + bytes.size() % 5, '#');
      offsets_.push_back(static_cast<int64_t>(bytes.size()));
      bytes += read_text(at(member));
    }
    write_file(at(name), bytes + "and neither is this");
  }
  MediaSource part(const std::string& packed, const std::string& member, int64_t offset) const {
    return part_of_file({.file = at(packed),
                         .offset = offset,
                         .size = static_cast<int64_t>(std::filesystem::file_size(at(member))),
                         .name = packed + ": " + member});
  }
  std::vector<int64_t> offsets_;
};

// Everything that reading gives.
struct Everything {
  MediaInfo info;
  torch::Tensor audio;                // of a window in the middle
  std::vector<torch::Tensor> frames;  // of several times
};

Everything read_everything(const MediaSource& source) {
  Everything all{.info = probe_media(source), .audio = {}, .frames = {}};
  if (all.info.has_audio) all.audio = audio_tensor(source, {.start_seconds = 2.4, .duration_seconds = 1.1});
  if (all.info.has_video) all.frames = frame_tensors(source, {0.0, 0.3, 2.9, 3.0});
  if (all.info.is_picture) all.frames.push_back(image_tensor(source));
  return all;
}

void expect_same(const Everything& a, const Everything& b, const std::string& what) {
  const auto text = [](const MediaInfo& i) {
    return concat(i.has_audio, i.has_video, i.is_picture, " ", i.duration_seconds, " ", i.width_px, "x",
                  i.height_px, " ", i.frame_rate_hz, " ", i.rotation_degrees, " ", i.sample_rate_hz, " ",
                  i.num_channels, " ", i.container, " ", i.video_codec, " ", i.audio_codec);
  };
  EXPECT_EQ(text(a.info), text(b.info)) << what;
  ASSERT_EQ(a.audio.defined(), b.audio.defined()) << what;
  EXPECT_TRUE(!a.audio.defined() || at::equal(a.audio, b.audio)) << what;
  ASSERT_EQ(a.frames.size(), b.frames.size()) << what;
  for (size_t i = 0; i < a.frames.size(); ++i) EXPECT_TRUE(at::equal(a.frames[i], b.frames[i])) << what;
}

TEST_F(MediaSourceTest, PartsAndMemoryGiveWhatTheFilesGive) {
  const std::string movie =
      "-f lavfi -i testsrc2=s=64x48:r=10:d=4 -f lavfi -i \"anoisesrc=d=4:c=pink:r=22050:a=0.5:seed=1\" ";
  std::vector<std::string> names = {"a.mp4", "b.mkv", "c.avi",  "d.mpg", "e.ts",  "f.webm", "g.wav",
                                    "h.mp3", "i.ogg", "j.flac", "k.jpg", "l.png", "m.gif",  "n.bmp"};
  for (const char* video : {"a.mp4", "b.mkv"}) ffmpeg(movie + "-c:v libx264 -g 10 -c:a aac " + video);
  for (const char* video : {"c.avi", "d.mpg", "e.ts"}) ffmpeg(movie + "-r 25 -ar 44100 -c:a mp2 " + video);
  ffmpeg(movie + "-c:v vp8 -c:a libvorbis f.webm");
  write_wav("g.wav", 16000, 4.0);
  for (const char* sound : {"h.mp3", "i.ogg", "j.flac"}) ffmpeg("-i g.wav " + std::string(sound));
  for (const char* picture : {"k.jpg", "l.png", "n.bmp"})
    ffmpeg("-f lavfi -i testsrc2=s=50x40:r=1:d=1 -frames:v 1 " + std::string(picture));
  ffmpeg("-f lavfi -i testsrc2=s=50x40:r=5:d=4 m.gif");
  pack("shard.tar", names);
  for (size_t i = 0; i < names.size(); ++i) {
    const Everything expected = read_everything(at(names[i]));
    expect_same(read_everything(part("shard.tar", names[i], offsets_[i])), expected, "part " + names[i]);
    expect_same(read_everything(media_in_memory(read_text(at(names[i])), names[i])), expected,
                "memory " + names[i]);
    // The name's extension says nothing wrong when it says nothing.
    expect_same(read_everything(media_in_memory(read_text(at(names[i])), "upload")), expected,
                "nameless " + names[i]);
  }
}

TEST_F(MediaSourceTest, ThreadsShareOneSource) {
  ffmpeg("-f lavfi -i testsrc2=s=64x48:r=10:d=4 -f lavfi -i sine=d=4:r=22050 -c:v libx264 -g 5 a.mp4");
  pack("shard.tar", {"a.mp4"});
  const std::vector<MediaSource> sources = {part("shard.tar", "a.mp4", offsets_[0]),
                                            media_in_memory(read_text(at("a.mp4")), "a.mp4")};
  const Everything expected = read_everything(at("a.mp4"));
  std::vector<std::vector<Everything>> found(4);
  std::vector<std::thread> threads;
  for (auto& mine : found)
    threads.emplace_back([&sources, &mine] {
      for (int round = 0; round < 3; ++round)
        for (const MediaSource& source : sources) mine.push_back(read_everything(source));
    });
  for (auto& thread : threads) thread.join();
  for (const auto& mine : found)
    for (const Everything& one : mine) expect_same(one, expected, "thread");
}

TEST_F(MediaSourceTest, ErrorsNameTheSource) {
  write_file(at("short.tar"), std::string(100, 'x'));
  const MediaSource beyond =
      part_of_file({.file = at("short.tar"), .offset = 50, .size = 51, .name = "short.tar: clip 12.mp4"});
  EXPECT_THAT(error_of<MediaError>([&] { probe_media(beyond); }),
              AllOf(HasSubstr("'short.tar: clip 12.mp4'"), HasSubstr("51 bytes from byte 50"),
                    HasSubstr("of 100 bytes")));
  const MediaSource absent =
      part_of_file({.file = at("absent.tar"), .offset = 0, .size = 9, .name = "absent.tar: clip 3.wav"});
  EXPECT_FALSE(absent.exists());
  EXPECT_EQ(absent.stamp(), "missing");
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(absent, {}); }),
              AllOf(HasSubstr("absent.tar: clip 3.wav"), HasSubstr("no such file")));
  for (const MediaSource& empty :
       {media_in_memory("", "nothing.jpg"),
        part_of_file({.file = at("short.tar"), .offset = 3, .size = 0, .name = "nothing.jpg"})})
    EXPECT_THAT(error_of<MediaError>([&] { image_tensor(empty); }),
                AllOf(HasSubstr("nothing.jpg"), HasSubstr("0 bytes")));
  EXPECT_THAT(error_of<MediaError>([&] { image_tensor(media_in_memory("no picture", "upload.jpg")); }),
              HasSubstr("upload.jpg"));
  EXPECT_THROW(media_in_memory(std::shared_ptr<const std::string>(), "x"), Error);
  EXPECT_THROW(part_of_file({.file = "x", .offset = -1, .size = 1, .name = "x"}), Error);
  EXPECT_THROW(MediaSource().open(), Error);
}

TEST_F(MediaSourceTest, ReadsByPosition) {
  write_file(at("ten"), "0123456789");
  const MediaSource part = part_of_file({.file = at("ten"), .offset = 2, .size = 5, .name = "part"});
  const std::vector<std::pair<MediaSource, std::string>> all = {
      {at("ten"), "0123456789"}, {part, "23456"}, {media_in_memory("23456", "memory"), "23456"}};
  for (const auto& [source, expected] : all) {
    const auto bytes = source.open();
    const auto size = static_cast<int64_t>(expected.size());
    EXPECT_EQ(bytes->size(), size);
    for (int64_t from = 0; from <= size + 1; ++from) {
      std::string read(20, ' ');
      const size_t n = bytes->read_at(from, read.data(), read.size());
      EXPECT_EQ(read.substr(0, n), from <= size ? expected.substr(static_cast<size_t>(from)) : "");
    }
    char two[2];
    EXPECT_EQ(bytes->read_at(1, two, 2), 2u);
    EXPECT_EQ(std::string(two, 2), expected.substr(1, 2));
  }
}

TEST_F(MediaSourceTest, PathsAreSourcesOfThatName) {
  const MediaSource from_path = at("a.wav"), from_text = at("a.wav").string(), none, empty = "";
  EXPECT_EQ(from_path, from_text);
  EXPECT_EQ(from_path.name(), at("a.wav").string());
  EXPECT_EQ(from_path.path(), at("a.wav"));
  EXPECT_EQ(from_path.identity(), at("a.wav").string());
  EXPECT_EQ(MediaSource("x/./b.wav").identity(), (std::filesystem::current_path() / "x" / "b.wav").string());
  EXPECT_EQ(MediaSource("no_such_folder/../b.wav").identity(),
            (std::filesystem::current_path() / "no_such_folder" / ".." / "b.wav").string());
  std::filesystem::create_directory(at("x"));
  EXPECT_EQ(MediaSource(at("x/../b.wav")).identity(), at("b.wav").string());
  EXPECT_TRUE(none.empty() && empty.empty());
  EXPECT_EQ(none, empty);
  EXPECT_NE(from_path, none);
  EXPECT_EQ(concat(from_path, "|", none), at("a.wav").string() + "|");
  EXPECT_EQ(media_in_memory("x", "a.wav").path(), "");
}

TEST_F(MediaSourceTest, StampAndIdentityTellContentsApart) {
  write_file(at("t.tar"), std::string(20, 'x'));
  const auto at_offset = [&](int64_t offset) {
    return part_of_file({.file = at("t.tar"), .offset = offset, .size = 4, .name = "t.tar: 1.wav"});
  };
  EXPECT_EQ(at_offset(2), at_offset(2));
  EXPECT_NE(at_offset(2), at_offset(3));
  EXPECT_NE(media_in_memory("first", "upload.wav"), media_in_memory("other", "upload.wav"));
  EXPECT_EQ(media_in_memory("first", "upload.wav"), media_in_memory("first", "upload.wav"));
  const std::string before = at_offset(2).stamp();
  write_file(at("t.tar"), std::string(21, 'x'));
  EXPECT_NE(at_offset(2).stamp(), before);
  struct stat status {};
  ASSERT_EQ(::stat(at("t.tar").c_str(), &status), 0);
  const std::string time = std::to_string(1'000'000'000 + status.st_mtim.tv_nsec).substr(1);
  EXPECT_EQ(MediaSource(at("t.tar")).stamp(), concat("21:", status.st_mtim.tv_sec, ".", time));
}

// A place that media/ does not know: as a server's ranges, with a connection that may break.
class RemoteOrigin : public MediaOrigin {
 public:
  RemoteOrigin(std::string content, int64_t breaks_at)
      : content_(std::move(content)), breaks_at_(breaks_at) {}
  const std::string& name() const override { return name_; }
  std::string stamp() const override { return "etag"; }
  std::unique_ptr<MediaBytes> open() const override { return std::make_unique<Bytes>(*this); }

 private:
  struct Bytes : MediaBytes {
    explicit Bytes(const RemoteOrigin& origin) : origin(origin) {}
    int64_t size() const override { return static_cast<int64_t>(origin.content_.size()); }
    size_t read_at(int64_t offset, void* out, size_t count) const override {
      CAVMAE_CHECK_AS(MediaError, offset + static_cast<int64_t>(count) < origin.breaks_at_, origin.name_,
                      ": the server went away");
      if (offset >= size()) return 0;
      return origin.content_.copy(static_cast<char*>(out), count, static_cast<size_t>(offset));
    }
    const RemoteOrigin& origin;
  };

  std::string name_ = "http://host/shard.tar: 1.avi", content_;
  int64_t breaks_at_;
};

TEST_F(MediaSourceTest, OtherPlacesAreAddedByDerivingAndTheirErrorsArrive) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=64x48:r=10:d=4 -f lavfi -i sine=d=4:r=22050 -c:v mjpeg -c:a pcm_s16le a.avi");
  const std::string content = read_text(at("a.avi"));
  const auto remote = [&](int64_t breaks_at) {
    return MediaSource(std::make_shared<const RemoteOrigin>(content, breaks_at));
  };
  expect_same(read_everything(remote(INT64_MAX)), read_everything(at("a.avi")), "remote");
  // Whether it breaks at once or later: it is neither an end nor damage.
  for (const int64_t breaks_at : {int64_t{10}, int64_t{50'000}, static_cast<int64_t>(content.size()) / 2})
    EXPECT_THAT(error_of<MediaError>([&] {
                  frame_tensors(remote(breaks_at), {0.0, 3.9});
                }),
                HasSubstr("the server went away"));
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(remote(100'000), {.duration_seconds = 4.0}); }),
              HasSubstr("the server went away"));
}

}  // namespace
}  // namespace cavmae
