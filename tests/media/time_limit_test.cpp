// A limit on the time of reading, with sources that come slowly or never end.
#include "cavmae/core/time_limit.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

// `bytes` over and over, as many times as asked for; each reading of it takes a while.
class SlowOrigin : public MediaOrigin {
 public:
  SlowOrigin(std::string bytes, std::string name, int64_t times, int wait_milliseconds)
      : bytes_(std::move(bytes)), name_(std::move(name)), times_(times), wait_(wait_milliseconds) {}

  const std::string& name() const override { return name_; }
  std::string stamp() const override { return "always the same"; }
  std::unique_ptr<MediaBytes> open() const override { return std::make_unique<Bytes>(*this); }

 private:
  struct Bytes : MediaBytes {
    explicit Bytes(const SlowOrigin& origin) : origin(origin) {}
    int64_t size() const override { return origin.times_ * static_cast<int64_t>(origin.bytes_.size()); }
    size_t read_at(int64_t offset, void* out, size_t count) const override {
      std::this_thread::sleep_for(origin.wait_);
      const auto period = static_cast<int64_t>(origin.bytes_.size());
      for (size_t i = 0; i < count; ++i) {
        const int64_t at = offset + static_cast<int64_t>(i);
        if (at >= size()) return i;
        static_cast<char*>(out)[i] = origin.bytes_[static_cast<size_t>(at % period)];
      }
      return count;
    }
    const SlowOrigin& origin;
  };

  std::string bytes_, name_;
  int64_t times_;
  std::chrono::milliseconds wait_;
};

class ReadingTime : public MediaFiles {
 protected:
  MediaSource repeated(const std::string& file, int64_t times, int wait_milliseconds) const {
    return MediaSource(
        std::make_shared<const SlowOrigin>(read_text(at(file)), "slow " + file, times, wait_milliseconds));
  }
};

TEST_F(ReadingTime, OfASlowSourceEndsWithItsName) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=320x240:r=25:d=8 -f lavfi -i anoisesrc=d=8:r=44100:seed=1 -c:v mpeg4 -b:v 2M -c:a aac x.mp4");
  const MediaSource source = repeated("x.mp4", 1, 30);
  const auto is_named =
      AllOf(HasSubstr("'slow x.mp4' was not read within 0.05 s"), HasSubstr("--clip-timeout"));
  const auto error = [&](const auto& read) {
    const TimeLimit limit(0.05);
    return error_of<MediaError>(read);
  };
  EXPECT_THAT(error([&] { probe_media(source); }), is_named);
  EXPECT_THAT(error([&] { audio_tensor(source, {.start_seconds = 4.0, .duration_seconds = 4.0}); }),
              is_named);
  EXPECT_THAT(error([&] { frame_tensors(source, {0.0, 3.0, 7.0}); }), is_named);
}

TEST_F(ReadingTime, OfAnEndlessSoundEndsBetweenPackets) {
  ffmpeg("-f lavfi -i sine=d=1:r=16000 -c:a libmp3lame -b:a 32k -write_xing 0 -id3v2_version 0 x.mp3");
  const MediaSource source = repeated("x.mp3", int64_t{1} << 36, 0);
  const TimeLimit limit(0.5);
  EXPECT_THAT(error_of<MediaError>([&] {
                // Packet by packet to a place that is decades away.
                audio_tensor(source, {.start_seconds = 9e6, .duration_seconds = 1.0});
                probe_media(source);
                while (true) audio_tensor(source, {.start_seconds = 0.0, .duration_seconds = 5.0});
              }),
              HasSubstr("'slow x.mp3' was not read within 0.5 s"));
}

TEST_F(ReadingTime, HoldsForMemoryToo) {
  write_wav("x.wav", 16000, 2.0);
  const MediaSource source = media_in_memory(read_text(at("x.wav")), "x.wav");
  EXPECT_EQ(audio_tensor(source, {.duration_seconds = 2.0}).numel(), 32000);
  const TimeLimit limit(1e-9);
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(source, {.duration_seconds = 2.0}); }),
              HasSubstr("'x.wav' was not read within"));
  EXPECT_THAT(error_of<MediaError>([&] { probe_media(source); }), HasSubstr("'x.wav' was not read within"));
}

}  // namespace
}  // namespace cavmae
