#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

class Images : public MediaFiles {
 protected:
  static torch::Tensor picture(int64_t height, int64_t width) {
    const torch::Tensor y = at::arange(height).view({height, 1, 1}),
                        x = at::arange(width).view({1, width, 1});
    const torch::Tensor c = at::arange(3).view({1, 1, 3});
    return ((y * (2 + c) + x * (3 - c) + 40 * c) % 256).to(torch::kUInt8);
  }
  static double mean_difference(const torch::Tensor& a, const torch::Tensor& b) {
    return (a.to(torch::kFloat32) - b.to(torch::kFloat32)).abs().mean().item<double>();
  }
};

TEST_F(Images, PngIsLossless) {
  for (const int64_t width : {1, 7, 64, 101}) {
    const torch::Tensor image = picture(33, width);
    write_png(at("a.png"), image);
    EXPECT_TRUE(at::equal(image_tensor(at("a.png")), image)) << width;
  }
  write_png(at("t.png"), picture(20, 30).transpose(0, 1));
  EXPECT_TRUE(at::equal(image_tensor(at("t.png")), picture(20, 30).transpose(0, 1)));
}

TEST_F(Images, JpegQualityIsObeyed) {
  const torch::Tensor image = (picture(64, 96).to(torch::kFloat32) / 4 + 60).to(torch::kUInt8);
  size_t last_size = 0;
  double last_error = 1e9;
  for (const int quality : {10, 50, 85, 100}) {
    const std::string bytes = encode_jpeg(image, quality);
    write_file(at("a.jpg"), bytes);
    const torch::Tensor back = image_tensor(at("a.jpg"));
    ASSERT_EQ(back.sizes(), image.sizes());
    const double error = mean_difference(back, image);
    EXPECT_GT(bytes.size(), last_size) << quality;
    EXPECT_LT(error, last_error) << quality;
    last_size = bytes.size();
    last_error = error;
  }
  EXPECT_LT(last_error, 2.0);
  EXPECT_THROW(encode_jpeg(image, 0), Error);
  EXPECT_THROW(encode_png(image.to(torch::kFloat32)), Error);
}

TEST_F(Images, JpegIsWhatPillowReads) {
  const std::filesystem::path golden = std::filesystem::path(CAVMAE_TEST_DATA) / "golden/media";
  for (const std::string name : {"jpeg_420_61x45", "jpeg_422_progressive_61x45", "jpeg_gray_61x45"})
    EXPECT_TRUE(at::equal(image_tensor(golden / (name + ".jpg")), image_tensor(golden / (name + ".png"))))
        << name;
}

// What libjpeg leaves to FFmpeg is read all the same.
TEST_F(Images, UnusualJpegsAreRead) {
  write_png(at("rgb.png"), picture(48, 64));
  const torch::Tensor usual = [&] {
    ffmpeg("-i rgb.png -q:v 2 -pix_fmt yuvj444p usual.jpg");
    return image_tensor(at("usual.jpg"));
  }();
  std::filesystem::copy_file(at("usual.jpg"), at("jpeg_by_another_name.png"));
  EXPECT_TRUE(at::equal(image_tensor(at("jpeg_by_another_name.png")), usual));
  ffmpeg("-i rgb.png -c:v ljpeg -pix_fmt yuvj444p lossless.jpg");
  const torch::Tensor lossless = image_tensor(at("lossless.jpg"));
  ASSERT_EQ(lossless.sizes(), usual.sizes());
  EXPECT_LT((lossless.to(torch::kFloat32) - usual.to(torch::kFloat32)).abs().mean().item<float>(), 4.0f);
  std::string bytes = encode_jpeg(picture(48, 64));
  write_file(at("cut.jpg"), bytes.substr(0, bytes.size() / 2));
  try {  // half a picture or an error that names the file; never a crash
    EXPECT_EQ(image_tensor(at("cut.jpg")).size(0), 48);
  } catch (const MediaError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cut.jpg"));
  }
}

TEST_F(Images, EveryKindOfPictureBecomesRgb) {
  write_png(at("rgb.png"), picture(48, 64));
  for (const std::string kind : {"-pix_fmt rgba a.png", "-pix_fmt rgb48be b.png", "-pix_fmt bgr24 c.bmp",
                                 "-c:v libwebp -lossless 1 d.webp", "-pix_fmt rgb24 e.tiff", "f.ppm"}) {
    ffmpeg("-i rgb.png " + kind);
    const auto file = at(kind.substr(kind.rfind(' ') + 1));
    EXPECT_LE((image_tensor(file).to(torch::kInt64) - picture(48, 64).to(torch::kInt64))
                  .abs()
                  .max()
                  .item<int64_t>(),
              kind.starts_with("-pix_fmt rgb48") ? 1 : 0)
        << kind;
    const MediaInfo info = probe_media(file);
    EXPECT_TRUE(info.is_picture && info.has_video && !info.has_audio) << kind;
    EXPECT_EQ(info.width_px, 64);
    EXPECT_EQ(info.height_px, 48);
    EXPECT_EQ(info.duration_seconds, 0.0);
  }
  ffmpeg("-i rgb.png -pix_fmt gray g.png");
  const torch::Tensor gray = image_tensor(at("g.png"));
  EXPECT_TRUE(at::equal(gray.select(2, 0), gray.select(2, 2)));
  EXPECT_GT(gray.max().item<int64_t>(), 235) << "gray has its full range";
  ffmpeg("-i rgb.png -vf palettegen palette.png");
  ffmpeg("-i rgb.png -i palette.png -lavfi paletteuse -pix_fmt pal8 p.png");
  EXPECT_LT(mean_difference(image_tensor(at("p.png")), picture(48, 64)), 12.0);
}

// Left half opaque, right half 40 % opaque over what FFmpeg keeps beneath, the last column wholly
// transparent.
TEST_F(Images, WhatIsTransparentShowsWhite) {
  write_png(at("rgb.png"), picture(24, 32));
  ffmpeg(
      "-f lavfi -i color=s=32x24 -vf \"format=gray,geq='if(lt(X,16),255,if(eq(X,31),0,102))'\" -frames:v 1 o.png");
  ffmpeg(
      "-i rgb.png -i o.png -filter_complex \"[0]format=rgba[c];[1]format=gray[o];[c][o]alphamerge\" a.png");
  torch::Tensor expected = picture(24, 32).to(torch::kFloat64);
  const torch::Tensor seen_through = expected.narrow(1, 16, 15);
  seen_through.copy_(seen_through * 0.4 + 255 * 0.6);
  expected.select(1, 31).fill_(255);
  const torch::Tensor image = image_tensor(at("a.png"));
  EXPECT_LE((image.to(torch::kFloat64) - expected).abs().max().item<double>(), 0.51);
  EXPECT_TRUE(at::equal(image.narrow(1, 0, 16), picture(24, 32).narrow(1, 0, 16)));
  for (const std::string kind : {"-pix_fmt rgba64be b.png", "-c:v libwebp -lossless 1 d.webp", "e.tiff"}) {
    ffmpeg("-i a.png " + kind);
    const auto file = at(kind.substr(kind.rfind(' ') == std::string::npos ? 0 : kind.rfind(' ') + 1));
    EXPECT_LE((image_tensor(file).to(torch::kFloat64) - expected).abs().max().item<double>(), 1.01) << kind;
  }
}

TEST_F(Images, APictureAnswersEveryTime) {
  write_png(at("a.png"), picture(8, 8));
  const auto pictures = frame_tensors(at("a.png"), {0.0, 3.0, 9.0});
  for (const auto& image : pictures) EXPECT_TRUE(at::equal(image, picture(8, 8)));
}

TEST_F(Images, NamesWithPatternLettersAreJustNames) {
  write_png(at("frame_%03d.png"), picture(8, 8));
  write_png(at("all*?[1].png"), picture(8, 9));
  EXPECT_EQ(image_tensor(at("frame_%03d.png")).size(1), 8);
  EXPECT_EQ(image_tensor(at("all*?[1].png")).size(1), 9);
}

TEST_F(Images, DamagedPicturesAreNamed) {
  write_file(at("text.jpg"), "This is a text.");
  write_file(at("text.png"), "This is a text.");
  for (const char* name : {"text.jpg", "text.png"}) {
    EXPECT_THAT(error_of<MediaError>([&] { image_tensor(at(name)); }), HasSubstr(name));
    EXPECT_THAT(error_of<MediaError>([&] { probe_media(at(name)); }), HasSubstr(name));
  }
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("text.jpg"), {}); }), HasSubstr("text.jpg"));
}

}  // namespace
}  // namespace cavmae
