#include "cavmae/media/frame_reader.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

struct VideoCoding {
  std::string file;
  std::string arguments;
};
void PrintTo(const VideoCoding& coding, std::ostream* out) {
  *out << coding.file;
}

class FrameCodings : public MediaFiles, public testing::WithParamInterface<VideoCoding> {};

TEST_P(FrameCodings, GivesThePictureShownAtEachTime) {
  const auto& [file, arguments] = GetParam();
  ffmpeg(numbered_frames(25, 8) + arguments + " " + file);
  const std::vector<std::vector<double>> requests = {
      {0.0, 0.8, 1.6, 2.4, 3.2, 4.0, 4.8, 5.6, 6.4, 7.2},
      {0.0, 0.04, 0.05, 0.0799, 0.1, 2.0, 2.0, 2.04, 7.96, 9.5},
      {7.0},
      {3.99, 4.0, 4.01},
      {0.3, 7.9}};
  for (const auto& times : requests) {
    const auto pictures = frame_tensors(at(file), times);
    ASSERT_EQ(pictures.size(), times.size());
    for (size_t i = 0; i < times.size(); ++i) {
      const int64_t expected =
          std::min<int64_t>(199, static_cast<int64_t>(std::floor(times[i] * 25.0 + 0.03)));
      EXPECT_EQ(frame_number(pictures[i]), expected) << file << " at " << times[i];
      EXPECT_THAT(pictures[i].sizes(), testing::ElementsAre(64, 128, 3));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, FrameCodings,
    testing::Values(
        VideoCoding{"short_gop.mp4", "-c:v libx264 -preset veryfast -g 12"},
        VideoCoding{"long_gop.mp4", "-c:v libx264 -preset fast -bf 3 -b-pyramid normal"},
        VideoCoding{"open_gop.mp4", "-c:v libx264 -preset fast -g 20 -x264-params open-gop=1:bframes=3"},
        VideoCoding{"fast_start.mov", "-c:v libx264 -preset veryfast -g 30 -movflags +faststart"},
        VideoCoding{"fragments.mp4",
                    "-c:v libx264 -preset veryfast -g 25 -movflags frag_keyframe+empty_moov"},
        VideoCoding{"h264.mkv", "-c:v libx264 -preset veryfast -g 25"},
        VideoCoding{"vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -g 25"},
        VideoCoding{"vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -auto-alt-ref 1"},
        VideoCoding{"mpeg4.avi", "-c:v mpeg4 -q:v 3 -g 12"},
        VideoCoding{"bframes.avi", "-c:v mpeg4 -q:v 3 -g 12 -bf 2"},
        VideoCoding{"h264.avi", "-c:v libx264 -preset veryfast -g 25 -bf 2"},
        VideoCoding{"mjpeg.avi", "-c:v mjpeg -q:v 3"},
        VideoCoding{"mpeg2.mkv", "-c:v mpeg2video -q:v 3 -g 12 -bf 2"},
        VideoCoding{"h264.ts", "-c:v libx264 -preset veryfast -g 25"},
        VideoCoding{"ten_bits.mkv", "-c:v ffv1 -pix_fmt yuv422p10le"},
        VideoCoding{"hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30"}),
    [](const auto& coding) {
      std::string name = coding.param.file;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

class Frames : public MediaFiles {};

TEST_F(Frames, VariableRateShowsTheLastPictureBeforeATime) {
  ffmpeg(numbered_frames(25, 8) +
         "-vf \"select='lt(n,20)+not(mod(n,17))'\" -vsync vfr -c:v libx264 -preset veryfast -g 5 v.mp4");
  const auto expected = [](double t) {
    int64_t shown = 0;
    for (int64_t n = 0; n < 200 && static_cast<double>(n) / 25.0 <= t + 1e-3; ++n)
      if (n < 20 || n % 17 == 0) shown = n;
    return shown;
  };
  for (const std::vector<double>& times :
       {std::vector<double>{0.1, 0.75, 1.0, 1.4, 3.0, 5.5, 7.9}, {4.2}, {6.7}}) {
    const auto pictures = frame_tensors(at("v.mp4"), times);
    for (size_t i = 0; i < times.size(); ++i)
      EXPECT_EQ(frame_number(pictures[i]), expected(times[i])) << times[i];
  }
}

TEST_F(Frames, TimesCountFromTheFilesStart) {
  ffmpeg(numbered_frames(25, 4) + "-c:v libx264 -preset veryfast -g 10 -output_ts_offset 100 late.ts");
  ffmpeg(numbered_frames(25, 4) + "-c:v libx264 -preset veryfast -g 10 -output_ts_offset 5 late.mkv");
  for (const char* file : {"late.ts", "late.mkv"}) {
    const auto pictures = frame_tensors(at(file), {0.0, 2.0});
    EXPECT_EQ(frame_number(pictures[0]), 0) << file;
    EXPECT_EQ(frame_number(pictures[1]), 50) << file;
  }
}

TEST_F(Frames, ObeysRotation) {
  // The four quarters differ, so that every turn shows; ffmpeg itself turns the picture that we compare with.
  ffmpeg(
      "-f lavfi -i "
      "\"color=gray:s=96x64:r=10:d=1,drawbox=w=48:h=32:color=white:t=fill,drawbox=x=48:w=48:h=32:color=black:t=fill\" -c:v libx264 plain.mp4");
  EXPECT_GT(frame_tensors(at("plain.mp4"), {0.0})[0][16][24][0].item<int64_t>(), 200);
  std::set<int64_t> seen;
  for (const int degrees : {90, 180, 270}) {
    ffmpeg("-i plain.mp4 -c copy -metadata:s:v rotate=" + std::to_string(degrees) + " turned.mp4");
    ffmpeg("-i turned.mp4 -frames:v 1 upright.png");
    const torch::Tensor image = frame_tensors(at("turned.mp4"), {0.0})[0],
                        upright = image_tensor(at("upright.png"));
    ASSERT_EQ(image.sizes(), upright.sizes());
    EXPECT_LT((image.to(torch::kFloat32) - upright.to(torch::kFloat32)).abs().mean().item<double>(), 2.0);
    const MediaInfo info = probe_media(at("turned.mp4"));
    seen.insert(info.rotation_degrees);
    EXPECT_EQ(info.width_px, image.size(1));
    EXPECT_EQ(info.height_px, image.size(0));
    EXPECT_EQ(info.width_px, degrees == 180 ? 96 : 64);
  }
  EXPECT_THAT(seen, testing::ElementsAre(90, 180, 270));
}

TEST_F(Frames, ColoursSurviveEveryPixelFormat) {
  // Patches away from the extremes, so that no format clips them.
  ffmpeg("-f lavfi -i \"color=0xc86432:s=64x64:r=5:d=1\" -c:v ffv1 -pix_fmt bgr0 source.mkv");
  const std::vector<std::string> formats = {
      "-c:v ffv1 -pix_fmt yuv420p",
      "-c:v ffv1 -pix_fmt yuv444p10le",
      "-c:v ffv1 -pix_fmt yuv422p",
      "-c:v ffv1 -pix_fmt bgr0",
      "-c:v libx264 -crf 1 -pix_fmt yuvj420p",
      "-c:v ffv1 -vf scale=out_color_matrix=bt709 -colorspace bt709 -pix_fmt yuv420p",
      "-c:v ffv1 -vf scale=out_range=full -color_range pc -pix_fmt yuv420p"};
  for (const auto& format : formats) {
    ffmpeg("-i source.mkv " + format + " c.mkv");
    const torch::Tensor pixel = frame_tensors(at("c.mkv"), {0.4})[0][30][30].to(torch::kInt64);
    EXPECT_NEAR(pixel[0].item<int64_t>(), 0xc8, 3) << format;
    EXPECT_NEAR(pixel[1].item<int64_t>(), 0x64, 3) << format;
    EXPECT_NEAR(pixel[2].item<int64_t>(), 0x32, 3) << format;
  }
}

TEST_F(Frames, OddSizesAreExact) {
  ffmpeg("-f lavfi -i testsrc2=s=101x67:r=5:d=1 -c:v ffv1 -pix_fmt bgr0 odd.mkv");
  ffmpeg("-i odd.mkv -frames:v 1 odd.png");
  EXPECT_TRUE(at::equal(frame_tensors(at("odd.mkv"), {0.0})[0], image_tensor(at("odd.png"))));
}

TEST_F(Frames, DecodesOnlyWhatIsNeeded) {
  ffmpeg(numbered_frames(25, 10) + "-c:v libx264 -preset fast -g 25 -sc_threshold 0 short.mp4");
  FrameStats one;
  EXPECT_EQ(frame_number(to_tensors(read_frames(at("short.mp4"), {8.2}, one))[0]), 205);
  EXPECT_EQ(one.seeks, 1);
  EXPECT_EQ(one.converted, 1);
  EXPECT_LE(one.packets, 20) << "from the keyframe at 8.0 s on, with the decoder's look-ahead";

  FrameStats ten;
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) times.push_back(i * 1.0);
  read_frames(at("short.mp4"), times, ten);
  EXPECT_EQ(ten.converted, 10);
  EXPECT_LE(ten.packets, 10 * 12) << "each time is a keyframe's: nothing between is decoded";

  FrameStats near;
  read_frames(at("short.mp4"), {3.2, 3.4, 3.6, 3.8}, near);
  EXPECT_EQ(near.seeks, 1) << "neighbours are decoded in one go";
  EXPECT_LE(near.packets, 40);

  FrameStats same;
  const auto twice = read_frames(at("short.mp4"), {2.0, 2.001, 2.002}, same);
  EXPECT_EQ(same.converted, 1);
  EXPECT_TRUE(twice[0].shares(twice[2]));
}

TEST_F(Frames, SkipsPicturesThatNoOtherNeeds) {
  ffmpeg(numbered_frames(25, 9) + "-c:v libx264 -preset fast -bf 3 -b-pyramid none -sc_threshold 0 long.mp4");
  FrameStats stats;
  EXPECT_EQ(frame_number(to_tensors(read_frames(at("long.mp4"), {8.3}, stats))[0]), 207);
  EXPECT_GT(stats.packets, 200);
  EXPECT_LT(stats.decoded, stats.packets * 2 / 3);
}

}  // namespace
}  // namespace cavmae
