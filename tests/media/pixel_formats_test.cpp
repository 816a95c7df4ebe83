// Pictures of every pixel format beside those that the ffmpeg program makes of the same files.
#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/image_converter.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

// Whole numbers of every format's chroma samples, which ffmpeg would otherwise stretch over the picture.
constexpr int kWidth = 64, kHeight = 48;

// How a picture changes along its rows and columns.
enum class Pattern { smooth, striped_rows, striped_columns };

bool contains_any(const std::string& text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

class PixelFormats : public MediaFiles {
 protected:
  // All that ffmpeg converts to and from and a NUT file can name. It writes the others too, but reads them
  // back as RGB of 15 bits; yuvj ones as the same without the j.
  std::vector<std::string> raw_formats() const {
    ffmpeg("-pix_fmts");
    std::istringstream lines(read_text(at("log.txt")));
    std::vector<std::string> names;
    bool in_table = false;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string flags, name;
      words >> flags >> name;
      if (in_table && flags.starts_with("IO")) names.push_back(name);
      in_table = in_table || flags.starts_with("-----");
    }
    std::erase_if(names, [](const std::string& name) {
      return contains_any(name,
                          {"yuvj", "ya16", "yuv440p1", "ayuv64", "f32", "x2rgb", "x2bgr", "nv24", "nv42"}) ||
             name.starts_with("p0") || name.starts_with("p2") || name.starts_with("p4");
    });
    return names;
  }

  void make_source(const std::string& name, Pattern pattern) const {
    const std::string stripes = pattern == Pattern::striped_rows      ? "mod(floor(Y/3)*5,9)*0.6"
                                : pattern == Pattern::striped_columns ? "mod(floor(X/3)*5,9)*0.6"
                                                                      : "0";
    const std::string along = pattern == Pattern::striped_rows      ? "X/70"
                              : pattern == Pattern::striped_columns ? "Y/70"
                                                                    : "X/80+Y/90";
    const auto wave = [&](const std::string& phase) {
      return "'128+90*sin(" + along + "+" + stripes + "+" + phase + ")'";
    };
    ffmpeg("-f lavfi -i \"color=black:s=" + std::to_string(kWidth) + "x" + std::to_string(kHeight) +
           ":d=1:r=1,format=gbrp,geq=r=" + wave("0") + ":g=" + wave("2*" + along) + ":b=" + wave("4") +
           "\" -frames:v 1 " + name);
  }

  // What ffmpeg itself shows of the files, on white: uint8 [H, W, 3] each. It is told to interpolate chroma;
  // else it repeats it along rows.
  std::vector<torch::Tensor> references(const std::vector<std::string>& files) const {
    std::string command = "-filter_threads 1 ";
    for (const auto& file : files) command += "-i " + file + " ";
    for (size_t i = 0; i < files.size(); ++i)
      command += "-map " + std::to_string(i) +
                 ":v -frames:v 1 -sws_flags bicubic+accurate_rnd+full_chroma_int+full_chroma_inp -f rawvideo "
                 "-pix_fmt rgba " +
                 files[i] + ".raw ";
    ffmpeg(command);
    std::vector<torch::Tensor> pictures;
    for (const auto& file : files) {
      std::string bytes = read_text(at(file + ".raw"));
      bytes.resize(size_t{kWidth} * kHeight * 4);
      const torch::Tensor rgba =
          torch::from_blob(bytes.data(), {kHeight, kWidth, 4}, torch::kUInt8).to(torch::kFloat32);
      const torch::Tensor opacity = rgba.narrow(2, 3, 1) / 255;
      pictures.push_back(rgba.narrow(2, 0, 3) * opacity + 255 * (1 - opacity));
    }
    return pictures;
  }

  void expect_as_ffmpeg(const std::vector<std::string>& files) const {
    const auto expected = references(files);
    for (size_t i = 0; i < files.size(); ++i) {
      const torch::Tensor image = image_tensor(at(files[i]));
      ASSERT_EQ(image.sizes(), expected[i].sizes()) << files[i];
      const auto error = (image.to(torch::kFloat32) - expected[i]).abs().mean().item<double>();
      EXPECT_LE(error, 1.0) << files[i];
    }
  }

  // Writes one file for each pixel format.
  std::vector<std::string> write_formats(const std::vector<std::string>& formats, Pattern pattern) const {
    make_source("source.png", pattern);
    std::string command = "-filter_threads 1 -i source.png ";
    std::vector<std::string> files;
    for (const auto& format : formats) {
      files.push_back(format + ".nut");
      command += "-c:v rawvideo -pix_fmt " + format + " " + files.back() + " ";
    }
    ffmpeg(command);
    return files;
  }
};

TEST_F(PixelFormats, RawPicturesOfEveryFormat) {
  const auto formats = raw_formats();
  ASSERT_GT(formats.size(), 120u);
  expect_as_ffmpeg(write_formats(formats, Pattern::smooth));
}

// An odd picture is the corner of an even one, but for its edges, where other samples would follow.
TEST_F(PixelFormats, OddSizes) {
  const auto formats = raw_formats();
  const auto files = write_formats(formats, Pattern::smooth);
  std::string inputs = "-filter_threads 1 ", outputs;
  for (size_t i = 0; i < files.size(); ++i) {
    inputs += "-i " + files[i] + " ";
    outputs += "-map " + std::to_string(i) + ":v -vf crop=61:45:0:0:exact=1 -c:v rawvideo -pix_fmt " +
               formats[i] + " odd_" + files[i] + " ";
  }
  ffmpeg(inputs + outputs);
  for (const auto& file : files) {
    const torch::Tensor odd = image_tensor(at("odd_" + file)).to(torch::kInt64);
    ASSERT_EQ(odd.sizes(), (std::vector<int64_t>{45, 61, 3})) << file;
    const torch::Tensor even = image_tensor(at(file)).to(torch::kInt64);
    const torch::Tensor difference = (odd - even.narrow(0, 0, 45).narrow(1, 0, 61)).abs();
    EXPECT_EQ(difference.narrow(0, 0, 32).narrow(1, 0, 48).max().item<int64_t>(), 0) << file;
    EXPECT_LE(difference.max().item<int64_t>(), 4) << file;
  }
}

// Where chroma is not halved, its place shows to the pixel.
TEST_F(PixelFormats, ChromaStaysInItsRowAndColumn) {
  const auto formats = raw_formats();
  std::vector<std::string> whole_height, whole_width;
  for (const auto& format : formats) {
    // Few levels, which ffmpeg dithers.
    if (contains_any(format, {"mono", "4_byte", "rgb8", "bgr8", "444le", "444be", "555", "565"}) &&
        !format.starts_with("yuv"))
      continue;
    if (!contains_any(format, {"420", "410p", "440p", "nv12", "nv21"})) whole_height.push_back(format);
    if (!contains_any(format, {"420", "410p", "411p", "422", "nv12", "nv21"})) whole_width.push_back(format);
  }
  expect_as_ffmpeg(write_formats(whole_height, Pattern::striped_rows));
  expect_as_ffmpeg(write_formats(whole_width, Pattern::striped_columns));
}

TEST_F(PixelFormats, EitherRangeAndNone) {
  const std::vector<std::string> formats = {
      "gray",        "gray9le",     "gray10le",    "gray12le",    "gray16le",    "yuv420p",
      "yuv422p",     "yuv444p",     "yuv440p",     "yuv440p10le", "yuv440p12le", "yuv420p9le",
      "yuv422p10le", "yuv444p10le", "yuv420p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le",
      "yuv420p16le", "yuv444p16le", "yuva420p",    "yuva444p10le"};
  make_source("source.png", Pattern::smooth);
  std::string command = "-filter_threads 1 -i source.png ";
  std::vector<std::string> files;
  for (const auto& format : formats)
    for (const std::string range : {"", "tv", "pc"}) {
      files.push_back(format + range + ".mkv");
      command += "-c:v ffv1 -threads 1 -pix_fmt " + format +
                 (range.empty() ? " " : " -color_range " + range + " ") + files.back() + " ";
    }
  ffmpeg(command);
  expect_as_ffmpeg(files);
}

TEST_F(PixelFormats, WhateverEncodersMake) {
  const std::vector<std::pair<std::string, std::string>> encodings = {
      {"png_rgb.png", "-pix_fmt rgb24"},
      {"png_rgba.png", "-pix_fmt rgba"},
      {"png_rgb48.png", "-pix_fmt rgb48be"},
      {"png_rgba64.png", "-pix_fmt rgba64be"},
      {"png_gray.png", "-pix_fmt gray"},
      {"png_gray16.png", "-pix_fmt gray16be"},
      {"png_ya8.png", "-pix_fmt ya8"},
      {"png_ya16.png", "-pix_fmt ya16be"},
      {"png_monob.png", "-pix_fmt monob"},
      {"tiff_rgb48.tiff", "-pix_fmt rgb48le"},
      {"tiff_rgba64.tiff", "-pix_fmt rgba64le"},
      {"tiff_gray.tiff", "-pix_fmt gray"},
      {"tiff_gray16.tiff", "-pix_fmt gray16le"},
      {"tiff_ya8.tiff", "-pix_fmt ya8"},
      {"tiff_420.tiff", "-pix_fmt yuv420p"},
      {"tiff_444.tiff", "-pix_fmt yuv444p"},
      {"bmp.bmp", "-pix_fmt bgr24"},
      {"bmp_565.bmp", "-pix_fmt rgb565le"},
      {"tga.tga", "-pix_fmt bgra"},
      {"pgm16.pgm", "-pix_fmt gray16be"},
      {"ppm16.ppm", "-pix_fmt rgb48be"},
      {"pam_ya16.pam", "-pix_fmt ya16be"},
      {"floats_le.pfm", "-pix_fmt gbrpf32le"},
      {"floats_be.pfm", "-pix_fmt gbrpf32be"},
      {"sgi48.sgi", "-pix_fmt rgb48be"},
      {"dpx_10.dpx", "-pix_fmt gbrp10be"},
      {"dpx_12.dpx", "-pix_fmt gbrp12be"},
      {"jpeg2000_rgb48.jp2", "-pix_fmt rgb48le"},
      {"jpeg2000_gray16.jp2", "-pix_fmt gray16le"},
      {"jpeg2000_ya8.jp2", "-pix_fmt ya8"},
      {"jpeg2000_420.jp2", "-pix_fmt yuv420p"},
      {"exr.exr", "-pix_fmt gbrpf32le"},
      {"webp.webp", "-c:v libwebp -q:v 90 -pix_fmt yuva420p"},
      {"webp_lossless.webp", "-c:v libwebp -lossless 1 -pix_fmt bgra"},
      {"jpeg_420.mkv", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"},
      {"jpeg_422.mkv", "-c:v mjpeg -q:v 2 -pix_fmt yuvj422p"},
      {"jpeg_444.mkv", "-c:v mjpeg -q:v 2 -pix_fmt yuvj444p"},
      {"h264_420.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv420p"},
      {"h264_422.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv422p"},
      {"h264_444.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv444p"},
      {"h264_420_10.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv420p10le"},
      {"h264_422_10.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv422p10le"},
      {"h264_444_10.mp4", "-c:v libx264 -crf 10 -pix_fmt yuv444p10le"},
      {"h264_gray.mp4", "-c:v libx264 -crf 10 -pix_fmt gray"},
      {"h264_gray10.mp4", "-c:v libx264 -crf 10 -pix_fmt gray10le"},
      {"h264_rgb.mp4", "-c:v libx264rgb -crf 10 -pix_fmt rgb24"},
      {"hevc_420_10.mp4", "-c:v libx265 -x265-params log-level=none -crf 10 -pix_fmt yuv420p10le"},
      {"hevc_422_12.mp4", "-c:v libx265 -x265-params log-level=none -crf 10 -pix_fmt yuv422p12le"},
      {"hevc_gray12.mp4", "-c:v libx265 -x265-params log-level=none -crf 10 -pix_fmt gray12le"},
      {"hevc_gbrp.mp4", "-c:v libx265 -x265-params log-level=none -crf 10 -pix_fmt gbrp10le"},
      {"vp9_444.webm", "-c:v libvpx-vp9 -crf 10 -b:v 0 -pix_fmt yuv444p"},
      {"vp9_440.webm", "-c:v libvpx-vp9 -crf 10 -b:v 0 -pix_fmt yuv440p"},
      {"vp9_422_10.webm", "-c:v libvpx-vp9 -crf 10 -b:v 0 -pix_fmt yuv422p10le"},
      {"av1_420_10.mkv", "-c:v libaom-av1 -cpu-used 8 -crf 10 -pix_fmt yuv420p10le"},
      {"av1_444_12.mkv", "-c:v libaom-av1 -cpu-used 8 -crf 10 -pix_fmt yuv444p12le"},
      {"av1_gray.mkv", "-c:v libaom-av1 -cpu-used 8 -crf 10 -pix_fmt gray"},
      {"prores_422.mov", "-c:v prores_ks -pix_fmt yuv422p10le"},
      {"prores_4444.mov", "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le"},
      {"v210.mov", "-c:v v210 -pix_fmt yuv422p10le"},
      {"v308.mov", "-c:v v308 -pix_fmt yuv444p"},
      {"v408.mov", "-c:v v408 -pix_fmt yuva444p"},
      {"v410.mov", "-c:v v410 -pix_fmt yuv444p10le"},
      {"r210.mov", "-c:v r210 -pix_fmt gbrp10le"},
      {"qtrle.mov", "-c:v qtrle -pix_fmt argb"},
      {"qtrle_gray.mov", "-c:v qtrle -pix_fmt gray"},
      {"utvideo.mkv", "-c:v utvideo -pix_fmt gbrap"},
      {"huffyuv.mkv", "-c:v huffyuv -pix_fmt yuv422p"},
      {"ffvhuff_gray16.mkv", "-c:v ffvhuff -pix_fmt gray16le"},
      {"ffvhuff_411.mkv", "-c:v ffvhuff -pix_fmt yuv411p"},
      {"ffvhuff_410.mkv", "-c:v ffvhuff -pix_fmt yuv410p"},
      {"ffv1_48.mkv", "-c:v ffv1 -pix_fmt rgb48le"},
      {"magicyuv.mkv", "-c:v magicyuv -pix_fmt gray"},
      {"gif.gif", ""}};
  make_source("source.png", Pattern::smooth);
  std::string command = "-filter_threads 1 -i source.png ";
  std::vector<std::string> files;
  for (const auto& [file, arguments] : encodings) {
    command += "-frames:v 1 -threads 1 " + arguments + " " + file + " ";
    files.push_back(file);
  }
  ffmpeg(command);
  expect_as_ffmpeg(files);
}

// The same numbers with more binary places are the same picture, wherever the chroma lies.
TEST_F(PixelFormats, DeepPicturesAreAsThoseOfEightBits) {
  make_source("source.png", Pattern::smooth);
  for (const std::string size : {"64x48", "61x45"}) {
    std::string make_8 = "-filter_threads 1 -i source.png ", inputs = "-filter_threads 1 ", make_10;
    std::vector<std::string> names;
    for (const std::string layout : {"yuv420p", "yuv422p", "yuv440p"})
      for (const std::string location : {"left", "center", "topleft", "top", "unspecified"}) {
        const std::string where = " -chroma_sample_location " + location + " ";
        const std::string number = std::to_string(names.size());
        names.push_back(layout + "_" + location);
        make_8 +=
            "-c:v ffv1 -threads 1 -s " + size + " -pix_fmt " + layout + where + names.back() + "_8.mkv ";
        inputs += "-i " + names.back() + "_8.mkv ";
        make_10 += "-map " + number + ":v -c:v ffv1 -threads 1 -pix_fmt " + layout + "10le" + where +
                   names.back() + "_10.mkv ";
      }
    ffmpeg(make_8);
    ffmpeg(inputs + make_10);
    for (const auto& name : names) {
      const torch::Tensor difference = (image_tensor(at(name + "_8.mkv")).to(torch::kInt64) -
                                        image_tensor(at(name + "_10.mkv")).to(torch::kInt64))
                                           .abs();
      EXPECT_LE(difference.max().item<int64_t>(), 2) << name << " of " << size;
    }
  }
}

// The frame as FFmpeg's scaler makes it, with interpolated chroma.
ffmpeg::Frame scaled(const AVFrame& from, AVPixelFormat format) {
  ffmpeg::Frame to = ffmpeg::make_frame();
  to->width = from.width;
  to->height = from.height;
  to->format = format;
  const int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  const ffmpeg::Scaler scaler(sws_getContext(from.width, from.height, static_cast<AVPixelFormat>(from.format),
                                             from.width, from.height, format, flags, nullptr, nullptr,
                                             nullptr));
  const bool done = scaler && av_frame_get_buffer(to.get(), 0) >= 0 &&
                    sws_scale(scaler.get(), from.data, from.linesize, 0, from.height, to->data,
                              to->linesize) == from.height;
  EXPECT_TRUE(done) << av_get_pix_fmt_name(format);
  return to;
}

torch::Tensor pixels_of(const AVFrame& rgb) {
  return torch::from_blob(rgb.data[0], {rgb.height, rgb.width, 3}, {rgb.linesize[0], 3, 1}, torch::kUInt8)
      .to(torch::kFloat32);
}

// A frame striped along its rows, so that chroma half a row away shows.
ffmpeg::Frame striped_frame() {
  ffmpeg::Frame frame = ffmpeg::make_frame();
  frame->width = kWidth;
  frame->height = kHeight;
  frame->format = AV_PIX_FMT_RGB24;
  EXPECT_GE(av_frame_get_buffer(frame.get(), 0), 0);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      for (int c = 0; c < 3; ++c)
        frame->data[0][y * frame->linesize[0] + 3 * x + c] =
            static_cast<uint8_t>(128.0 + 90.0 * std::sin(x / 70.0 + y / 3 * 5 % 9 * 0.6 + 2.0 * c));
  return frame;
}

// Those that NUT files cannot name, but that decoders may yield, and some whose chroma has half the rows:
// half a row away it would be 17 levels off.
TEST(PixelFormatsOfFrames, AreAsFfmpegConvertsThem) {
  const ffmpeg::Frame source = striped_frame();
  for (const char* name :
       {"p010le",      "p010be",      "p016le",      "p016be",     "p210le",     "p210be",
        "p216le",      "p216be",      "p410le",      "p410be",     "p416le",     "p416be",
        "nv24",        "nv42",        "ayuv64le",    "x2rgb10le",  "x2bgr10le",  "ya16le",
        "ya16be",      "yuv440p10be", "yuv440p12be", "gbrapf32le", "gbrapf32be", "yuvj411p",
        "yuv420p10le", "yuv420p16be", "yuva420p",    "nv12",       "nv21"}) {
    const ffmpeg::Frame frame = scaled(*source, av_get_pix_fmt(name));
    const torch::Tensor image = to_tensor(ImageConverter().convert(*frame, {})).to(torch::kFloat32);
    const torch::Tensor expected = pixels_of(*scaled(*frame, AV_PIX_FMT_RGB24));
    EXPECT_LE((image - expected).abs().mean().item<double>(), 1.0) << name;
  }
}

// Grey of 16 bits and of floats is not taken for limited: level 17 i of 255.
TEST_F(PixelFormats, GreyKeepsItsLevels) {
  std::string levels;
  for (int i = 0; i < 16; ++i)
    for (int copy = 0; copy < 4; ++copy) levels += std::string(2, static_cast<char>(17 * i));
  write_file(at("levels.raw"), levels);
  ffmpeg(
      "-f rawvideo -pix_fmt gray16le -s 64x1 -i levels.raw g.tiff -pix_fmt gray16be g.png -pix_fmt ya16be a.png "
      "-vf format=gray,format=grayf32le f.pfm");
  for (const char* name : {"g.tiff", "g.png", "a.png", "f.pfm"}) {
    const torch::Tensor image = image_tensor(at(name));
    for (int64_t i = 0; i < 16; ++i)
      for (int64_t c = 0; c < 3; ++c) EXPECT_EQ(image[0][4 * i + 1][c].item<int64_t>(), 17 * i) << name;
  }
}

}  // namespace
}  // namespace cavmae
