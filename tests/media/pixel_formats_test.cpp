// Pictures of every pixel format beside those that the ffmpeg program makes of the same files.
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

struct Size {
  int width, height;
};

constexpr Size kSizes[] = {{64, 48}, {61, 45}};

// How a picture changes along its rows and columns.
enum class Pattern { smooth, striped_rows, striped_columns };

class PixelFormats : public MediaFiles {
 protected:
  // All that ffmpeg converts to and from.
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
    std::erase(names, "yuvj411p");  // which ffmpeg cannot read back from its own file
    return names;
  }

  void make_source(const std::string& name, const Size& size, Pattern pattern) const {
    const std::string stripes = pattern == Pattern::striped_rows      ? "mod(floor(Y/3)*5,9)*0.6"
                                : pattern == Pattern::striped_columns ? "mod(floor(X/3)*5,9)*0.6"
                                                                      : "0";
    const std::string along = pattern == Pattern::striped_rows      ? "X/70"
                              : pattern == Pattern::striped_columns ? "Y/70"
                                                                    : "X/80+Y/90";
    const auto wave = [&](const std::string& phase) {
      return "'128+90*sin(" + along + "+" + stripes + "+" + phase + ")'";
    };
    ffmpeg("-f lavfi -i \"color=black:s=" + std::to_string(size.width) + "x" + std::to_string(size.height) +
           ":d=1:r=1,format=gbrp,geq=r=" + wave("0") + ":g=" + wave("2*" + along) + ":b=" + wave("4") +
           "\" -frames:v 1 " + name);
  }

  // What ffmpeg itself shows of the files, on white: uint8 [H, W, 3] each.
  std::vector<torch::Tensor> references(const std::vector<std::string>& files, const Size& size) const {
    std::string command;
    for (const auto& file : files) command += "-i " + file + " ";
    for (size_t i = 0; i < files.size(); ++i)
      command +=
          "-map " + std::to_string(i) + ":v -frames:v 1 -f rawvideo -pix_fmt rgba " + files[i] + ".raw ";
    ffmpeg(command);
    std::vector<torch::Tensor> pictures;
    for (const auto& file : files) {
      std::string bytes = read_text(at(file + ".raw"));
      bytes.resize(static_cast<size_t>(size.width) * static_cast<size_t>(size.height) * 4);
      const torch::Tensor rgba =
          torch::from_blob(bytes.data(), {size.height, size.width, 4}, torch::kUInt8).to(torch::kFloat32);
      const torch::Tensor opacity = rgba.narrow(2, 3, 1) / 255;
      pictures.push_back(rgba.narrow(2, 0, 3) * opacity + 255 * (1 - opacity));
    }
    return pictures;
  }

  void expect_as_ffmpeg(const std::vector<std::string>& files, const Size& size) const {
    const auto expected = references(files, size);
    for (size_t i = 0; i < files.size(); ++i) {
      const torch::Tensor image = read_image(at(files[i]));
      ASSERT_EQ(image.sizes(), expected[i].sizes()) << files[i];
      const auto error = (image.to(torch::kFloat32) - expected[i]).abs().mean().item<double>();
      EXPECT_LE(error, 1.0) << files[i] << " of " << size.width << " x " << size.height;
    }
  }

  // Writes one file for each pixel format and compares all.
  void expect_formats_as_ffmpeg(const std::vector<std::string>& formats, const std::string& how,
                                const std::string& extension, Pattern pattern) const {
    for (const Size& size : kSizes) {
      make_source("source.png", size, pattern);
      std::string command = "-i source.png ";
      std::vector<std::string> files;
      for (const auto& format : formats) {
        files.push_back(format + extension);
        command += how + " -pix_fmt " + format + " " + files.back() + " ";
      }
      ffmpeg(command);
      expect_as_ffmpeg(files, size);
    }
  }
};

bool contains_any(const std::string& text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

TEST_F(PixelFormats, RawPicturesOfEveryFormat) {
  const auto formats = raw_formats();
  ASSERT_GT(formats.size(), 150u);
  expect_formats_as_ffmpeg(formats, "-c:v rawvideo", ".nut", Pattern::smooth);
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
    if (!contains_any(format, {"420", "410p", "440p", "nv12", "nv21", "p010", "p016"}))
      whole_height.push_back(format);
    if (!contains_any(format, {"420", "410p", "411p", "422", "nv12", "nv21", "p010", "p016", "p21"}))
      whole_width.push_back(format);
  }
  expect_formats_as_ffmpeg(whole_height, "-c:v rawvideo", ".nut", Pattern::striped_rows);
  expect_formats_as_ffmpeg(whole_width, "-c:v rawvideo", ".nut", Pattern::striped_columns);
}

TEST_F(PixelFormats, EitherRangeAndNone) {
  const std::vector<std::string> formats = {
      "gray",        "gray9le",     "gray10le",    "gray12le",    "gray16le",    "yuv420p",     "yuv422p",
      "yuv444p",     "yuv440p",     "yuv420p9le",  "yuv422p10le", "yuv444p10le", "yuv420p10le", "yuv420p12le",
      "yuv422p12le", "yuv444p12le", "yuv420p16le", "yuv444p16le", "yuva420p",    "yuva444p10le"};
  for (const std::string range : {"", "-color_range tv", "-color_range pc"})
    expect_formats_as_ffmpeg(formats, "-c:v ffv1 " + range, ".mkv", Pattern::smooth);
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
  for (const Size& size : kSizes) {
    make_source("source.png", size, Pattern::smooth);
    std::string command = "-i source.png ";
    std::vector<std::string> files;
    for (const auto& [file, arguments] : encodings) {
      command += "-frames:v 1 " + arguments + " " + file + " ";
      files.push_back(file);
    }
    ffmpeg(command);
    expect_as_ffmpeg(files, size);
  }
}

// The same numbers with more binary places are the same picture, wherever the chroma lies.
TEST_F(PixelFormats, DeepPicturesAreAsThoseOfEightBits) {
  make_source("source.png", {61, 45}, Pattern::smooth);
  for (const std::string layout : {"yuv420p", "yuv422p", "yuv440p"})
    for (const std::string location : {"left", "center", "topleft", "top", "unspecified"}) {
      const std::string where = " -chroma_sample_location " + location;
      ffmpeg("-i source.png -c:v ffv1 -pix_fmt " + layout + where + " 8.mkv");
      ffmpeg("-i 8.mkv -c:v ffv1 -pix_fmt " + layout + "10le" + where + " 10.mkv");
      const auto difference =
          (read_image(at("8.mkv")).to(torch::kInt64) - read_image(at("10.mkv")).to(torch::kInt64)).abs();
      EXPECT_LE(difference.max().item<int64_t>(), 2) << layout << " " << location;
    }
}

// Grey of 16 bits is not taken for limited: level 17 i of 255.
TEST_F(PixelFormats, GreyKeepsItsLevels) {
  std::string levels;
  for (int i = 0; i < 16; ++i)
    for (int copy = 0; copy < 4; ++copy) levels += std::string(2, static_cast<char>(17 * i));
  write_file(at("levels.raw"), levels);
  ffmpeg(
      "-f rawvideo -pix_fmt gray16le -s 64x1 -i levels.raw g.tiff -pix_fmt gray16be g.png -pix_fmt ya16be a.png");
  for (const char* name : {"g.tiff", "g.png", "a.png"}) {
    const torch::Tensor image = read_image(at(name));
    for (int64_t i = 0; i < 16; ++i)
      for (int64_t c = 0; c < 3; ++c) EXPECT_EQ(image[0][4 * i + 1][c].item<int64_t>(), 17 * i) << name;
  }
}

}  // namespace
}  // namespace cavmae
