// Which of several sound tracks and channels is read, and what is said of silent ones.
#include <cmath>
#include <string>

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
using testing::IsEmpty;
using testing_media::error_of;
using testing_media::MediaFiles;

class Tracks : public MediaFiles {
 protected:
  // How strong a pure tone is in the sound, 0 to 1.
  static double tone(const torch::Tensor& sound, double hz) {
    const torch::Tensor phase = at::arange(sound.size(0), torch::kFloat64) * (2 * M_PI * hz / 16000);
    const torch::Tensor s = sound.to(torch::kFloat64);
    return 2 * std::hypot((s * phase.sin()).mean().item<double>(), (s * phase.cos()).mean().item<double>());
  }
  torch::Tensor sound_of(const std::string& name, std::optional<int64_t> track) const {
    return audio_tensor(at(name), {.duration_seconds = 1.0, .audio_track = track});
  }
  std::string silence(const std::string& name, AudioRequest request) const {
    request.duration_seconds = 1.0;
    return silence_of(read_audio(at(name), request), at(name), request);
  }
};

TEST_F(Tracks, AreCountedFrom0) {
  for (const char* file : {"a.mp4", "a.mkv", "a.ts"}) {
    ffmpeg(
        "-f lavfi -i testsrc2=s=64x48:r=5:d=2 -f lavfi -i sine=300:d=2 -f lavfi -i sine=1000:d=2 -map 1 -map 0 -map 2 "
        "-c:v libx264 -c:a aac -disposition:a:0 0 -disposition:a:1 default " +
        std::string(file));
    EXPECT_GT(tone(sound_of(file, 0), 300), 0.05) << file;
    EXPECT_LT(tone(sound_of(file, 0), 1000), 0.01) << file;
    EXPECT_GT(tone(sound_of(file, 1), 1000), 0.05) << file;
    EXPECT_LT(tone(sound_of(file, 1), 300), 0.01) << file;
    EXPECT_THAT(error_of<MediaError>([&] { sound_of(file, 2); }),
                AllOf(HasSubstr(file), HasSubstr("no track 2")));
    const MediaInfo info = probe_media(at(file), {.audio_track = 1});
    EXPECT_EQ(info.audio_track, 1) << file;
    EXPECT_EQ(info.num_audio_tracks, 2) << file;
  }
}

TEST_F(Tracks, OneThatCannotBeDecodedIsNamed) {
  ffmpeg(
      "-f lavfi -i sine=300:d=2 -f lavfi -i sine=1000:d=2 -map 0 -map 1 -c:a aac -movflags +faststart a.mp4");
  std::string bytes = read_text(at("a.mp4"));
  // The name of the codec and, without which FFmpeg would still know it, its description.
  const size_t tag = bytes.find("mp4a", bytes.find("stsd"));
  bytes.replace(tag, 4, "apac");
  bytes.replace(bytes.find("esds", tag), 4, "free");
  write_file(at("b.mp4"), bytes);
  EXPECT_THAT(error_of<MediaError>([&] { sound_of("b.mp4", 0); }),
              AllOf(HasSubstr("apac"), HasSubstr("cannot decode")));
  EXPECT_GT(tone(sound_of("b.mp4", 1), 1000), 0.05);
  EXPECT_TRUE(probe_media(at("b.mp4")).has_audio);
}

TEST_F(Tracks, SilentChannelsAreToldWithTheCure) {
  ffmpeg("-f lavfi -i \"aevalsrc=0|0.5*sin(2000*t):s=16000:d=2\" right.wav");
  ffmpeg("-i right.wav -c:a aac right.m4a");
  ffmpeg("-f lavfi -i \"aevalsrc=0.5*sin(2000*t)|0:s=16000:d=2\" left.wav");
  ffmpeg("-f lavfi -i \"aevalsrc=0.5*sin(2000*t)|-0.5*sin(2000*t):s=16000:d=2\" opposite.wav");
  ffmpeg("-f lavfi -i \"aevalsrc=0|0:s=16000:d=2\" nothing.wav");
  for (const char* file : {"right.wav", "right.m4a"}) {
    EXPECT_THAT(silence(file, {}), HasSubstr("--audio-channels mean")) << file;
    EXPECT_THAT(silence(file, {.channels = ChannelMix::mean}), IsEmpty()) << file;
  }
  EXPECT_THAT(silence("left.wav", {}), IsEmpty());
  EXPECT_THAT(silence("opposite.wav", {}), IsEmpty());
  EXPECT_THAT(silence("opposite.wav", {.channels = ChannelMix::mean}), HasSubstr("--audio-channels first"));
  EXPECT_THAT(silence("nothing.wav", {}), IsEmpty()) << "there is nothing to hear";
}

TEST_F(Tracks, SilentTracksAreToldWithTheCure) {
  ffmpeg(
      "-f lavfi -i \"aevalsrc=0:s=16000:d=2\" -f lavfi -i \"aevalsrc=0|0.4*sin(3000*t):s=16000:d=2\" -map 0 -map 1 -c:a "
      "aac a.mp4");
  EXPECT_THAT(silence("a.mp4", {}), HasSubstr("--audio-track 1"));
  EXPECT_THAT(silence("a.mp4", {.audio_track = 0}), HasSubstr("--audio-track 1"));
  EXPECT_THAT(silence("a.mp4", {.channels = ChannelMix::mean, .audio_track = 1}), IsEmpty());
}

}  // namespace
}  // namespace cavmae
