// Files that ask for more than a clip may have: refused by name, with the cure.
#include "cavmae/media/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/tensorfile/zip_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string little_endian(uint64_t value, int num_bytes) {
  std::string bytes;
  for (int i = 0; i < num_bytes; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

class FileLimits : public MediaFiles {
 protected:
  void expect_too_large(const std::string& name, const std::string& size) const {
    const auto matcher = AllOf(HasSubstr(at(name).string()), HasSubstr("has pictures of " + size + " pixels"),
                               HasSubstr("at most 134217728"), HasSubstr("-vf scale="));
    EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(at(name), {0.0}); }), matcher);
    EXPECT_THAT(error_of<MediaError>([&] { image_tensor(at(name)); }), matcher);
  }

  // Samples of 16 bits, a tenth of a second.
  void write_sound(const std::string& name, uint32_t channels, uint32_t rate_hz) const {
    const uint32_t block = channels * 2, bytes = block * 100;
    write_file(at(name), "RIFF" + little_endian(36 + bytes, 4) + "WAVEfmt " + little_endian(16, 4) +
                             little_endian(1, 2) + little_endian(channels, 2) + little_endian(rate_hz, 4) +
                             little_endian(uint64_t{rate_hz} * block, 4) + little_endian(block, 2) +
                             little_endian(16, 2) + "data" + little_endian(bytes, 4) +
                             std::string(bytes, 'x'));
  }
};

TEST_F(FileLimits, PixelsOfPictures) {
  for (const uint32_t side : {12'000, 60'000}) {
    const std::string size = std::to_string(side) + "x" + std::to_string(side);
    ffmpeg("-f lavfi -i testsrc2=s=64x64 -frames:v 1 x.png");
    std::string png = read_text(at("x.png"));
    png.replace(16, 8, big_endian(side) + big_endian(side));
    png.replace(29, 4, big_endian(crc32(png.data() + 12, 17)));
    write_file(at("x.png"), png);
    expect_too_large("x.png", size);

    ffmpeg("-f lavfi -i testsrc2=s=64x64 -frames:v 1 x.jpg");
    std::string jpeg = read_text(at("x.jpg"));
    const size_t frame = jpeg.find("\xff\xc0");
    ASSERT_NE(frame, std::string::npos);
    jpeg.replace(frame + 5, 4, big_endian(side << 16 | side));
    write_file(at("x.jpg"), jpeg);
    expect_too_large("x.jpg", size);
  }
}

TEST_F(FileLimits, PixelsOfVideos) {
  write_file(at("x.y4m"), "YUV4MPEG2 W12000 H12000 F25:1 C420jpeg\nFRAME\n" + std::string(1'000'000, 'x'));
  expect_too_large("x.y4m", "12000x12000");
}

TEST_F(FileLimits, ChannelsAndSampleRate) {
  write_sound("x.wav", 600, 16000);
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("x.wav"), {.duration_seconds = 0.1}); }),
              AllOf(HasSubstr("x.wav' has 600 channels of sound; at most 512"), HasSubstr("-ac 2")));
  write_sound("x.wav", 1, 2'000'000'000);
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("x.wav"), {.duration_seconds = 0.1}); }),
              AllOf(HasSubstr("x.wav' has 2000000000 samples of sound a second; at most 12288000"),
                    HasSubstr("-ar 48000")));
}

TEST_F(FileLimits, Seconds) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=64x64:d=1:r=2 -vf setpts=N*20000000/TB -fps_mode passthrough -c:v mjpeg x.mkv");
  EXPECT_THAT(error_of<MediaError>([&] { probe_media(at("x.mkv")); }),
              AllOf(HasSubstr("x.mkv' says that it lasts 2e+07 s; at most 1e+07"), HasSubstr("-c copy")));
}

TEST_F(FileLimits, Streams) {
  std::string maps;
  for (int i = 0; i < 257; ++i) maps += " -map 0";
  ffmpeg("-f lavfi -i sine=d=0.1:r=8000" + maps + " -c:a pcm_s16le x.mkv");
  EXPECT_THAT(error_of<MediaError>([&] { probe_media(at("x.mkv")); }),
              AllOf(HasSubstr("x.mkv' has more than 256 streams"), HasSubstr("-map 0:a:0")));
}

TEST_F(FileLimits, BytesInOnePiece) {
  ffmpeg("-f lavfi -i sine=d=0.1:r=8000 x.wav");
  probe_media(at("x.wav"));  // whatever is opened first sets it
  const auto is_granted = [](size_t bytes) {
    void* memory = av_malloc(bytes);
    const bool granted = memory != nullptr;
    av_free(memory);
    return granted;
  };
  EXPECT_TRUE(is_granted(kMaxBytesAtOnce / 2));
  EXPECT_FALSE(is_granted(kMaxBytesAtOnce + 1));
}

}  // namespace
}  // namespace cavmae
