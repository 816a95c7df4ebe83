// Pictures that cannot be read, and why: damaged ones, and whole ones that FFmpeg does not know.
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
using testing::Not;
using testing_media::error_of;
using testing_media::MediaFiles;

class BadPictures : public MediaFiles {
 protected:
  void SetUp() override {
    MediaFiles::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ffmpeg("-f lavfi -i \"testsrc2=s=160x120:r=1:d=1\" -frames:v 1 whole.png");
  }
  void expect_damaged(const std::string& name) const {
    EXPECT_THAT(error_of<MediaError>([&] { image_tensor(at(name)); }),
                AllOf(HasSubstr(at(name).string()), HasSubstr("damaged")))
        << name;
  }
  void expect_unsupported(const std::string& name, const std::string& kind) const {
    const auto matcher = AllOf(HasSubstr(at(name).string()), HasSubstr(kind), HasSubstr("cannot read"),
                               Not(HasSubstr("damaged")));
    EXPECT_THAT(error_of<MediaError>([&] { image_tensor(at(name)); }), matcher);
    EXPECT_THAT(error_of<MediaError>([&] { probe_media(at(name)); }), matcher);
  }
};

std::string le(uint64_t value, int num_bytes) {
  std::string out;
  for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
  return out;
}

TEST_F(BadPictures, HalfAPictureIsNone) {
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"a.jpg", "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p"},
      {"b.jpg", "-c:v mjpeg -q:v 3 -pix_fmt yuvj444p"},
      {"gray.jpg", "-c:v mjpeg -q:v 3 -pix_fmt gray"},
      {"lossless.jpg", "-c:v ljpeg -pix_fmt bgr24"},
      {"a.png", ""},
      {"lossy.webp", "-c:v libwebp -q:v 80"},
      {"lossless.webp", "-c:v libwebp -lossless 1"},
      {"a.tiff", "-pix_fmt rgb24"},
      {"a.bmp", ""},
      {"a.ppm", ""},
      {"a.jp2", ""},
      {"a.tga", "-rle 0"}};
  for (const auto& [name, arguments] : kinds) {
    ffmpeg("-i whole.png " + arguments + " " + name);
    EXPECT_EQ(image_tensor(at(name)).size(0), 120) << name;
    truncate(name, "half_" + name, 0.5);
    expect_damaged("half_" + name);
  }
  truncate("a.jpg", "nine_tenths.jpg", 0.9);
  expect_damaged("nine_tenths.jpg");
  const std::string jpeg = read_text(at("a.jpg"));
  write_file(at("more.jpg"), jpeg + "and more");
  EXPECT_EQ(image_tensor(at("more.jpg")).size(0), 120) << "what follows the picture does no harm";
  write_file(at("no_end.jpg"), jpeg.substr(0, jpeg.size() - 2));
  EXPECT_TRUE(at::equal(image_tensor(at("no_end.jpg")), image_tensor(at("a.jpg"))))
      << "the last marker alone is missing";
}

TEST_F(BadPictures, RubbishInAJpegIsDamage) {
  ffmpeg("-i whole.png -c:v mjpeg -q:v 3 -pix_fmt yuvj420p a.jpg");
  std::string jpeg = read_text(at("a.jpg"));
  jpeg.replace(jpeg.size() / 2, 64, std::string(64, '\xff'));
  write_file(at("rubbish.jpg"), jpeg);
  expect_damaged("rubbish.jpg");
}

TEST_F(BadPictures, WhatFfmpegCannotReadIsNotCalledDamaged) {
  const std::string sound(2000, 'x');
  write_file(at("photo.heic"), std::string("\0\0\0\x18", 4) + "ftypheic" + std::string(4, '\0') + "mif1heic" +
                                   std::string("\0\0\x07\xd8", 4) + "mdat" + sound);
  expect_unsupported("photo.heic", "HEIC");
  ffmpeg("-f lavfi -i testsrc2=s=64x48:r=5:d=1 -c:v libwebp_anim moving.webp");
  expect_unsupported("moving.webp", "animated WebP");
  // 8 x 8 pixels: width, height, bits, compression, photometric, strip, samples, rows, bytes, sample format.
  const auto tiff = [&](int bits, int compression, int format) {
    const auto entry = [](int tag, int type, uint64_t value) {
      return le(tag, 2) + le(type, 2) + le(1, 4) + le(value, 4);
    };
    const std::string pixels(static_cast<size_t>(8 * 8 * bits / 8), '\x3f');
    return "II" + le(42, 2) + le(8, 4) + le(10, 2) + entry(256, 3, 8) + entry(257, 3, 8) +
           entry(258, 3, static_cast<uint64_t>(bits)) + entry(259, 3, static_cast<uint64_t>(compression)) +
           entry(262, 3, 1) + entry(273, 4, 134) + entry(277, 3, 1) + entry(278, 3, 8) +
           entry(279, 4, pixels.size()) + entry(339, 3, static_cast<uint64_t>(format)) + le(0, 4) + pixels;
  };
  write_file(at("plain.tiff"), tiff(8, 1, 1));
  EXPECT_EQ(image_tensor(at("plain.tiff"))[0][0][0].item<int64_t>(), 0x3f);
  write_file(at("jpeg.tiff"), tiff(8, 7, 1));
  expect_unsupported("jpeg.tiff", "JPEG inside");
  write_file(at("old_jpeg.tiff"), tiff(8, 6, 1));
  expect_unsupported("old_jpeg.tiff", "JPEG inside");
  write_file(at("half.tiff"), tiff(16, 1, 3));
  expect_unsupported("half.tiff", "floating point");
  write_file(at("float.tiff"), tiff(32, 1, 3));
  expect_unsupported("float.tiff", "floating point");
}

TEST_F(BadPictures, AStreamThatCannotBeDecodedIsNamed) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=64x48:r=5:d=2 -f lavfi -i sine=300:d=2 -c:v libx264 -c:a aac -movflags +faststart a.mp4");
  std::string movie = read_text(at("a.mp4"));
  movie.replace(movie.find("avc1", movie.find("stsd")), 4, "vvc1");
  write_file(at("v.mp4"), movie);
  EXPECT_TRUE(probe_media(at("v.mp4")).has_video);
  EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(at("v.mp4"), {0.0}); }),
              AllOf(HasSubstr("v.mp4"), HasSubstr("cannot decode")));
  EXPECT_EQ(audio_tensor(at("v.mp4"), {.duration_seconds = 1.0}).size(0), 16000);
}

}  // namespace
}  // namespace cavmae
