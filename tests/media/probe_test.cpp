#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

class Probe : public MediaFiles {};

TEST_F(Probe, TellsWhatAMovieHolds) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -f lavfi -i sine=d=2:r=44100 -c:v libx264 -c:a aac -ac 2 a.mp4");
  const MediaInfo info = probe_media(at("a.mp4"));
  EXPECT_TRUE(info.has_audio && info.has_video && !info.is_picture);
  EXPECT_NEAR(info.duration_seconds, 3.0, 0.05);
  EXPECT_EQ(info.width_px, 160);
  EXPECT_EQ(info.height_px, 120);
  EXPECT_NEAR(info.frame_rate_hz, 25.0, 0.01);
  EXPECT_EQ(info.rotation_degrees, 0);
  EXPECT_EQ(info.sample_rate_hz, 44100);
  EXPECT_EQ(info.num_channels, 2);
  EXPECT_EQ(info.video_codec, "h264");
  EXPECT_EQ(info.audio_codec, "aac");
  EXPECT_THAT(info.container, testing::HasSubstr("mp4"));
}

// Reading such a number as FFmpeg's enumeration is what UndefinedBehaviorSanitizer reports.
TEST_F(Probe, ColoursThatNoStandardKnowsAreNotSpecified) {
  ffmpeg("-f lavfi -i testsrc2=s=64x64:r=5:d=1 -pix_fmt yuv420p -color_trc smpte2084 -c:v ffv1 a.mkv");
  EXPECT_EQ(probe_media(at("a.mkv")).hdr, "PQ");
  std::string file = read_text(at("a.mkv"));
  const size_t transfer = file.find("\x55\xba\x81\x10");
  ASSERT_NE(transfer, std::string::npos);
  file[transfer + 3] = '\xf3';
  write_file(at("b.mkv"), file);
  EXPECT_EQ(probe_media(at("b.mkv")).hdr, "");
  EXPECT_TRUE(image_tensor(at("b.mkv")).equal(image_tensor(at("a.mkv"))));
}

TEST_F(Probe, TellsWhatSoundHolds) {
  write_wav("a.wav", 22050, 1.5);
  const MediaInfo info = probe_media(at("a.wav"));
  EXPECT_TRUE(info.has_audio && !info.has_video && !info.is_picture);
  EXPECT_NEAR(info.duration_seconds, 1.5, 0.01);
  EXPECT_EQ(info.sample_rate_hz, 22050);
  EXPECT_EQ(info.num_channels, 1);
}

}  // namespace
}  // namespace cavmae
