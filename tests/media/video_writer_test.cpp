#include "cavmae/media/video_writer.h"

#include <cmath>
#include <csignal>
#include <memory>
#include <numbers>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/random.h"
#include "cavmae/media/media_reader.h"

#include "tests/support/media_tensors.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

// A picture of one colour with a white square that moves to the right.
torch::Tensor picture(const VideoWriterOptions& o, int64_t index) {
  torch::Tensor image = torch::empty({o.height_px, o.width_px, 3}, torch::kUInt8);
  image.select(2, 0).fill_(200);
  image.select(2, 1).fill_(80);
  image.select(2, 2).fill_(40);
  image.slice(0, 8, 24).slice(1, 2 * index, 2 * index + 16).fill_(255);
  return image;
}

// float [n]: silence, from `onset_seconds` on a tone of 1 kHz.
torch::Tensor tone(const VideoWriterOptions& o, double seconds, double onset_seconds) {
  const auto rate = static_cast<double>(o.sample_rate_hz);
  torch::Tensor wave = torch::zeros({static_cast<int64_t>(seconds * rate)});
  auto samples = wave.accessor<float, 1>();
  for (auto n = static_cast<int64_t>(onset_seconds * rate); n < wave.numel(); ++n)
    samples[n] =
        static_cast<float>(0.5 * std::sin(2000.0 * std::numbers::pi * static_cast<double>(n) / rate));
  return wave;
}

void write_clip(const std::filesystem::path& path, const VideoWriterOptions& options,
                int64_t audio_chunk = 1'000'000) {
  VideoWriter writer(path, options);
  for (int64_t i = 0; i < 24; ++i) writer.add_frame(to_picture(picture(options, i)));
  for (const auto& chunk : tone(options, 2.0, 0.5).split(audio_chunk)) writer.add_audio(to_waveform(chunk));
  writer.finish();
}

TEST(VideoWriter, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const VideoWriterOptions options{.width_px = 96, .height_px = 64};
  write_clip(folder / "a.mp4", options);
  const MediaInfo info = probe_media(folder / "a.mp4");
  EXPECT_TRUE(info.has_audio);
  EXPECT_TRUE(info.has_video);
  EXPECT_EQ(info.width_px, 96);
  EXPECT_EQ(info.height_px, 64);
  EXPECT_NEAR(info.frame_rate_hz, 12.0, 1e-6);
  EXPECT_NEAR(info.duration_seconds, 2.0, 0.05);
  EXPECT_EQ(info.sample_rate_hz, 16000);
  EXPECT_EQ(info.num_channels, 1);
  EXPECT_EQ(info.audio_codec, "aac");

  const auto frames = frame_tensors(folder / "a.mp4", {0.01, 1.01, 1.95});
  ASSERT_EQ(frames.size(), 3u);
  const std::vector<int64_t> indices = {0, 12, 23};
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto difference =
        (frames[i].to(torch::kFloat) - picture(options, indices[i]).to(torch::kFloat)).abs();
    EXPECT_LT(difference.mean().item<float>(), 6.0f) << "picture " << indices[i];
  }
}

TEST(VideoWriter, SoundStaysInStepWithThePictures) {
  const TemporaryFolder folder;
  write_clip(folder / "a.mp4", {});
  const torch::Tensor wave = audio_tensor(folder / "a.mp4", {});
  ASSERT_NEAR(static_cast<double>(wave.numel()), 32000.0, 1100.0);
  const torch::Tensor loud = wave.abs().gt(0.2).nonzero();
  ASSERT_GT(loud.numel(), 0);
  EXPECT_NEAR(loud[0].item<double>() / 16000.0, 0.5, 0.003);
  const auto error = wave.slice(0, 10000, 30000) - tone({}, 2.0, 0.5).slice(0, 10000, 30000);
  EXPECT_LT(error.abs().max().item<float>(), 0.05f);
}

TEST(VideoWriter, SameInputGivesSameBytes) {
  const TemporaryFolder folder;
  write_clip(folder / "a.mp4", {});
  write_clip(folder / "b.mp4", {}, /*audio_chunk=*/777);
  EXPECT_EQ(read_text(folder / "a.mp4"), read_text(folder / "b.mp4"));
}

// Leaves other bytes in the memory that the heap gives next.
void soil_heap(Random& random) {
  std::vector<std::unique_ptr<std::vector<uint8_t>>> blocks;
  for (int i = 0; i < 64; ++i)
    blocks.push_back(std::make_unique<std::vector<uint8_t>>(
        static_cast<size_t>(random.integer(1000, 300'000)), static_cast<uint8_t>(random.integer(0, 255))));
}

// A disc that goes round before a checkered, grainy ground. uint8 [side, side, 3]
torch::Tensor disc_on_checkers(int64_t side, int64_t index) {
  torch::Tensor image = torch::empty({side, side, 3}, torch::kUInt8);
  auto pixels = image.accessor<uint8_t, 3>();
  const auto t = static_cast<double>(index), half = static_cast<double>(side) / 2;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const double away = std::hypot(static_cast<double>(x) - half - 8 * std::sin(t / 2),
                                     static_cast<double>(y) - half - 6 * std::cos(t * 0.4));
      const int64_t ground = 60 + (x / 8 + y / 8) % 2 * 40 + (x * 7 + y * 13 + x * y / 4) % 8;
      const int64_t level = away < static_cast<double>(side) / 5 ? 200 : ground;
      for (int64_t c = 0; c < 3; ++c) pixels[y][x][c] = static_cast<uint8_t>(level + 10 * c);
    }
  return image;
}

TEST(VideoWriter, SmallPicturesGiveTheSameBytesWhateverTheHeapHolds) {
  const TemporaryFolder folder;
  constexpr int64_t kSide = 32;
  std::vector<torch::Tensor> pictures;
  for (int64_t i = 0; i < 24; ++i) pictures.push_back(disc_on_checkers(kSide, i));
  Random random(5);
  std::string first;
  for (int run = 0; run < 300; ++run) {
    soil_heap(random);
    VideoWriter writer(folder / "a.mp4", {.width_px = kSide, .height_px = kSide});
    for (const torch::Tensor& image : pictures) writer.add_frame(to_picture(image));
    writer.finish();
    const std::string bytes = read_text(folder / "a.mp4");
    if (first.empty()) first = bytes;
    ASSERT_TRUE(bytes == first) << "run " << run;
  }
}

// The encoder that stands in where libx264 is missing.
TEST(VideoWriter, FallsBackToAnotherEncoder) {
  const TemporaryFolder folder;
  VideoWriterOptions options;
  options.video_encoder = "mpeg4";
  write_clip(folder / "a.mp4", options);
  EXPECT_EQ(probe_media(folder / "a.mp4").video_codec, "mpeg4");
  const auto frames = frame_tensors(folder / "a.mp4", {1.01});
  const auto difference = (frames[0].to(torch::kFloat) - picture(options, 12).to(torch::kFloat)).abs();
  EXPECT_LT(difference.mean().item<float>(), 6.0f);

  options.video_encoder = "no_such_encoder";
  const auto message = message_from<MediaError>([&] { VideoWriter writer(folder / "b.mp4", options); });
  EXPECT_THAT(message, HasSubstr("b.mp4: no video encoder takes 96x96"));
  EXPECT_THAT(message, HasSubstr("no_such_encoder"));
}

TEST(VideoWriter, OneSideAloneMakesAFileWithoutTheOther) {
  const TemporaryFolder folder;
  VideoWriter silent(folder / "silent.mp4", {});
  silent.add_frame(to_picture(picture({}, 0)));
  silent.finish();
  EXPECT_FALSE(probe_media(folder / "silent.mp4").has_audio);
  VideoWriter blind(folder / "blind.mp4", {});
  blind.add_audio(to_waveform(tone({}, 0.02, 0.0)));
  blind.finish();
  EXPECT_FALSE(probe_media(folder / "blind.mp4").has_video);
  EXPECT_TRUE(probe_media(folder / "blind.mp4").has_audio);
  VideoWriter empty(folder / "empty.mp4", {});
  EXPECT_THAT(message_from<MediaError>([&] { empty.finish(); }), HasSubstr("neither a picture nor sound"));
}

TEST(VideoWriter, NothingIsLeftWithoutFinish) {
  const TemporaryFolder folder;
  {
    VideoWriter writer(folder / "a.mp4", {});
    writer.add_frame(to_picture(picture({}, 0)));
    writer.add_audio(to_waveform(tone({}, 0.5, 0.0)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(VideoWriter, ADiskThatTakesNoMoreIsAnErrorThatNamesTheFile) {
  const TemporaryFolder folder;
  // A limit on file sizes stands for the full disk: write() fails in the same place.
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = message_from<MediaError>([&] { write_clip(folder / "a.mp4", {}); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message, HasSubstr("a.mp4: cannot write: "));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));

  EXPECT_THAT(message_from<MediaError>([&] { write_clip(folder / "missing" / "a.mp4", {}); }),
              HasSubstr("missing/a.mp4: cannot be created: No such file"));
}

TEST(VideoWriter, WrongInputIsNamed) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_from<MediaError>([&] { VideoWriter(folder / "a.mp4", {.width_px = 97}); }),
              HasSubstr("must be even"));
  EXPECT_THAT(message_from<MediaError>([&] { VideoWriter(folder / "a.mp4", {.width_px = 0}); }),
              HasSubstr("0x96 pixels"));
  EXPECT_THAT(message_from<MediaError>([&] { VideoWriter(folder / "a.mp4", {.frame_rate_hz = 0}); }),
              HasSubstr("0 pictures a second"));
  EXPECT_THAT(message_from<MediaError>([&] { VideoWriter(folder / "a.mp4", {.crf = 60}); }),
              HasSubstr("crf 60"));
  EXPECT_THAT(message_from<MediaError>([&] { VideoWriter(folder / "a.mp4", {.sample_rate_hz = 12345}); }),
              HasSubstr("refuses 12345 Hz"));
  VideoWriter writer(folder / "a.mp4", {});
  EXPECT_THAT(message_from<MediaError>([&] { writer.add_frame(Picture(96, 98)); }),
              HasSubstr("96x96, not 98x96"));
  EXPECT_THAT(message_from<MediaError>([&] { writer.add_audio(std::vector<float>(100, NAN)); }),
              HasSubstr("not finite"));
}

}  // namespace
}  // namespace cavmae
