// Pictures that are stored turned or mirrored: display matrices of videos, EXIF data of photos.
#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

std::string number(uint64_t value, int num_bytes, bool big_endian) {
  std::string out;
  for (int i = 0; i < num_bytes; ++i)
    out += static_cast<char>(value >> 8 * (big_endian ? num_bytes - 1 - i : i) & 255);
  return out;
}

// A TIFF structure with nothing but an orientation, as EXIF data are.
std::string exif_block(int orientation, bool big_endian) {
  const auto n = [&](uint64_t value, int num_bytes) { return number(value, num_bytes, big_endian); };
  return (big_endian ? "MM" : "II") + n(42, 2) + n(8, 4) + n(1, 2) + n(274, 2) + n(3, 2) + n(1, 4) +
         n(static_cast<uint64_t>(orientation), 2) + n(0, 2) + n(0, 4);
}

// How the picture is shown (EXIF 2.3, tag 274).
torch::Tensor shown(const torch::Tensor& stored, int orientation) {
  switch (orientation) {
    case 2:
      return stored.flip({1});
    case 3:
      return stored.flip({0, 1});
    case 4:
      return stored.flip({0});
    case 5:
      return stored.transpose(0, 1);
    case 6:
      return at::rot90(stored, -1, {0, 1});
    case 7:
      return stored.transpose(0, 1).flip({0, 1});
    case 8:
      return at::rot90(stored, 1, {0, 1});
    default:
      return stored;
  }
}

torch::Tensor uneven_picture() {
  const torch::Tensor y = at::arange(24).view({24, 1, 1}), x = at::arange(40).view({1, 40, 1});
  return (y * 5 + x * 3 + at::arange(3).view({1, 1, 3}) * 20).to(torch::kUInt8);
}

std::string crc_of(const std::string& bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return number(~crc, 4, true);
}

std::string png_with(const std::string& png, const std::string& exif) {
  const std::string chunk = "eXIf" + exif;
  const size_t end = png.find("IEND") - 4;
  return png.substr(0, end) + number(exif.size(), 4, true) + chunk + crc_of(chunk) + png.substr(end);
}

std::string jpeg_with(const std::string& jpeg, const std::string& exif) {
  const std::string data = std::string("Exif\0\0", 6) + exif;
  return jpeg.substr(0, 2) + "\xff\xe1" + number(data.size() + 2, 2, true) + data + jpeg.substr(2);
}

// `webp`: a simple file, which is a RIFF header and one chunk.
std::string webp_with(const std::string& webp, const std::string& exif, int64_t width, int64_t height) {
  const auto n = [](int64_t value, int num_bytes) {
    return number(static_cast<uint64_t>(value), num_bytes, false);
  };
  const std::string content = "WEBPVP8X" + n(10, 4) + n(8, 4) + n(width - 1, 3) + n(height - 1, 3) +
                              webp.substr(12) + "EXIF" + n(static_cast<int64_t>(exif.size()), 4) + exif;
  return "RIFF" + n(static_cast<int64_t>(content.size()), 4) + content;
}

std::string tiff_with(const torch::Tensor& picture, int orientation) {
  const auto n = [](int64_t value, int num_bytes) {
    return number(static_cast<uint64_t>(value), num_bytes, false);
  };
  constexpr int64_t kEntries = 10, kBitsAt = 8 + 2 + 12 * kEntries + 4, kPixelsAt = kBitsAt + 6;
  const auto entry = [&](int64_t tag, int64_t type, int64_t count, int64_t value) {
    return n(tag, 2) + n(type, 2) + n(count, 4) +
           (type == 3 && count == 1 ? n(value, 2) + n(0, 2) : n(value, 4));
  };
  std::string out = "II" + n(42, 2) + n(8, 4) + n(kEntries, 2);
  out += entry(256, 3, 1, picture.size(1)) + entry(257, 3, 1, picture.size(0)) + entry(258, 3, 3, kBitsAt);
  out +=
      entry(259, 3, 1, 1) + entry(262, 3, 1, 2) + entry(273, 4, 1, kPixelsAt) + entry(274, 3, 1, orientation);
  out += entry(277, 3, 1, 3) + entry(278, 3, 1, picture.size(0)) + entry(279, 4, 1, picture.numel());
  out += n(0, 4) + n(8, 2) + n(8, 2) + n(8, 2);
  const torch::Tensor pixels = picture.contiguous();
  return out.append(static_cast<const char*>(pixels.data_ptr()), static_cast<size_t>(pixels.numel()));
}

class Exif : public MediaFiles {
 protected:
  // Turned with EXIF, as it is stored without.
  void expect_turned(const std::string& name, const torch::Tensor& stored, int orientation) const {
    EXPECT_TRUE(at::equal(image_tensor(at(name)), shown(stored, orientation))) << name << " " << orientation;
    EXPECT_TRUE(at::equal(image_tensor(at(name), {.exif = false}), stored)) << name << " " << orientation;
    EXPECT_EQ(probe_media(at(name)).width_px, shown(stored, orientation).size(1)) << name;
    EXPECT_EQ(probe_media(at(name), {.exif = false}).width_px, stored.size(1)) << name;
  }
};

TEST_F(Exif, EveryOrientationOfEveryKindOfPhoto) {
  const torch::Tensor stored = uneven_picture();
  const std::string png = encode_png(stored), jpeg = encode_jpeg(stored);
  write_file(at("plain.jpg"), jpeg);
  write_file(at("plain.png"), png);
  ffmpeg("-i plain.png -c:v libwebp -lossless 1 -pix_fmt bgra plain.webp");
  const torch::Tensor of_jpeg = image_tensor(at("plain.jpg"));
  const std::string webp = read_text(at("plain.webp"));
  for (int orientation = 1; orientation <= 8; ++orientation)
    for (const bool big_endian : {false, true}) {
      const std::string exif = exif_block(orientation, big_endian);
      write_file(at("e.jpg"), jpeg_with(jpeg, exif));
      write_file(at("e.png"), png_with(png, exif));
      write_file(at("e.webp"), webp_with(webp, exif, 40, 24));
      write_file(at("e.tiff"), tiff_with(stored, orientation));
      expect_turned("e.jpg", of_jpeg, orientation);
      for (const char* name : {"e.png", "e.webp", "e.tiff"}) expect_turned(name, stored, orientation);
    }
}

TEST_F(Exif, WhatIsNoOrientationTurnsNothing) {
  const torch::Tensor stored = uneven_picture();
  const std::string png = encode_png(stored), whole = exif_block(6, false);
  for (const std::string& exif :
       {exif_block(0, false), exif_block(9, true), whole.substr(0, 12), std::string(),
        std::string("II*\0\xff\xff\xff\xff", 8), std::string(40, '\xff')}) {
    write_file(at("e.png"), png_with(png, exif));
    expect_turned("e.png", stored, 1);
  }
}

// All ways to turn and mirror, as ffmpeg shows them.
// An AVIF picture's own boxes: a turn, then a mirror, of an item of which the alpha plane is another one.
TEST_F(Exif, TurnsAndMirrorsOfAvifAreObeyed) {
  ffmpeg(
      "-f lavfi -i \"testsrc2=s=64x48:d=1:r=1,format=yuva444p,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':"
      "a='4*X'\" -filter_complex \"[0:v]split[c][a];[a]alphaextract[al];[c]format=yuv444p[cc]\" -map \"[cc]\" "
      "-map \"[al]\" -frames:v 1 -c:v libaom-av1 -cpu-used 8 -crf 5 -still-picture 1 plain.avif");
  const std::string plain = read_text(at("plain.avif"));
  const torch::Tensor upright = image_tensor(at("plain.avif"));
  const auto replace = [](std::string bytes, const std::string& from, const std::string& to, char value) {
    for (size_t box = bytes.find(from); box != std::string::npos; box = bytes.find(from, box + 4)) {
      bytes.replace(box, 4, to);
      bytes[box + 4] = value;
    }
    return bytes;
  };
  for (int quarter = 0; quarter < 4; ++quarter) {
    // The boxes that these take the place of are not needed to decode.
    const std::string turned = replace(plain, "pixi", "irot", static_cast<char>(quarter));
    ASSERT_NE(turned, plain);
    const torch::Tensor expected = at::rot90(upright, quarter, {0, 1});
    write_file(at("turned.avif"), turned);
    EXPECT_TRUE(at::equal(image_tensor(at("turned.avif")), expected)) << quarter;
    const MediaInfo info = probe_media(at("turned.avif"));
    EXPECT_EQ(info.height_px, expected.size(0)) << quarter;
    EXPECT_EQ(info.rotation_degrees, quarter * 270 % 360) << quarter;
    for (const int axis : {0, 1}) {
      write_file(at("both.avif"), replace(turned, "colr", "imir", static_cast<char>(axis)));
      EXPECT_TRUE(at::equal(image_tensor(at("both.avif")), expected.flip({axis}))) << quarter << " " << axis;
    }
  }
}

TEST_F(Exif, DisplayMatricesAreObeyed) {
  ffmpeg(
      "-f lavfi -i \"color=gray:s=96x64:r=10:d=1,drawbox=w=48:h=32:color=white:t=fill,"
      "drawbox=x=48:w=48:h=32:color=black:t=fill,drawbox=y=32:w=48:h=32:color=0x505050:t=fill\" -c:v libx264 p.mp4");
  const std::string plain = read_text(at("p.mp4"));
  const size_t matrix_at = plain.find("tkhd") + 44;
  const std::array<std::array<int, 4>, 8> matrices = {{{1, 0, 0, 1},
                                                       {-1, 0, 0, 1},
                                                       {-1, 0, 0, -1},
                                                       {1, 0, 0, -1},
                                                       {0, 1, 1, 0},
                                                       {0, 1, -1, 0},
                                                       {0, -1, -1, 0},
                                                       {0, -1, 1, 0}}};
  for (size_t i = 0; i < matrices.size(); ++i) {
    std::string turned = plain;
    for (size_t k = 0; k < 4; ++k)
      turned.replace(matrix_at + 4 * (k < 2 ? k : k + 1), 4,
                     number(static_cast<uint32_t>(matrices[i][k] * 65536), 4, true));
    write_file(at("t.mp4"), turned);
    ffmpeg("-i t.mp4 -frames:v 1 upright.png");
    const torch::Tensor image = frame_tensors(at("t.mp4"), {0.0})[0],
                        upright = image_tensor(at("upright.png"));
    ASSERT_EQ(image.sizes(), upright.sizes()) << i;
    EXPECT_LT((image.to(torch::kFloat32) - upright.to(torch::kFloat32)).abs().mean().item<double>(), 1.0)
        << i;
    const MediaInfo info = probe_media(at("t.mp4"));
    EXPECT_EQ(info.width_px, image.size(1)) << i;
    const auto& [a, b, c, d] = matrices[i];
    EXPECT_EQ(info.is_mirrored, a * d - b * c < 0) << i;
  }
}

// H.264 has a message of its own for it, which comes with the picture.
TEST_F(Exif, OrientationsWithinTheVideoAreObeyed) {
  ffmpeg(
      "-f lavfi -i \"color=gray:s=96x64:r=10:d=1,drawbox=w=48:h=32:color=white:t=fill\" -c:v libx264 p.mp4");
  for (const std::string how :
       {"flip=horizontal", "flip=vertical", "rotate=90", "rotate=90:flip=horizontal"}) {
    ffmpeg("-i p.mp4 -c copy -bsf:v h264_metadata=display_orientation=insert:" + how + " t.mp4");
    ffmpeg("-i t.mp4 -frames:v 1 upright.png");
    const torch::Tensor image = frame_tensors(at("t.mp4"), {0.0})[0],
                        upright = image_tensor(at("upright.png"));
    ASSERT_EQ(image.sizes(), upright.sizes()) << how;
    EXPECT_LT((image.to(torch::kFloat32) - upright.to(torch::kFloat32)).abs().mean().item<double>(), 1.0)
        << how;
  }
}

}  // namespace
}  // namespace cavmae
