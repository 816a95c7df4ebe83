#include "cavmae/media/media_sequence.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::error_of;
using testing_media::MediaFiles;

class MediaSequence : public MediaFiles, public testing::WithParamInterface<const char*> {};

// Overlapping windows, windows that touch, and some with a gap that is worth a seek between them.
const std::vector<double> kStarts = {0, 0.4, 0.8, 1.2, 2.2, 3.3333, 7, 7.5, 11.25};

TEST_P(MediaSequence, WindowsAreThoseOfReadersOfTheirOwn) {
  write_wav("source.wav", 44100, 13.0);
  ffmpeg(std::string("-i source.wav -f lavfi -i testsrc2=s=64x48:r=10:d=13 -map 0 -map 1 ") + GetParam());
  const std::string arguments = GetParam();
  const auto file = at(arguments.substr(arguments.rfind(' ') + 1));
  for (const int64_t rate : {16000, 44100}) {
    AudioRequest request{.duration_seconds = 1.5, .sample_rate_hz = rate};
    AudioSequence sounds(file, request);
    for (const double start : kStarts) {
      request.start_seconds = start;
      EXPECT_TRUE(at::equal(to_tensor(sounds.read(start)), audio_tensor(file, request)))
          << rate << " Hz, " << start << " s";
    }
  }
  FrameSequence pictures(file);
  for (const double start : kStarts)
    EXPECT_TRUE(at::equal(to_tensor(pictures.at(start)), frame_tensors(file, {start}).front()))
        << start << " s";
}

INSTANTIATE_TEST_SUITE_P(Files, MediaSequence,
                         testing::Values("-c:a aac -aac_pns 0 -c:v libx264 -g 30 a.mp4",
                                         "-c:a pcm_s16le -c:v libx264 -bf 3 -g 50 a.mov",
                                         "-ar 48000 -c:a libopus -c:v libvpx -g 20 a.webm",
                                         "-c:a flac -c:v mpeg4 -g 12 a.mkv",
                                         "-c:a libmp3lame -c:v mpeg4 -g 12 a.avi",
                                         "-c:a aac -aac_pns 0 -c:v libx264 -g 25 a.ts"));

class MediaSequences : public MediaFiles {};

TEST_F(MediaSequences, GoOnBehindAWindowThatCannotBeRead) {
  write_wav("source.wav", 16000, 6.0);
  AudioSequence sounds(at("source.wav"), {.duration_seconds = 1.0});
  EXPECT_EQ(sounds.read(1.0).size(), 16000u);
  EXPECT_EQ(sounds.read(5.5).size(), 8000u);
  for (int i = 0; i < 100; ++i)
    EXPECT_THAT(error_of<MediaError>([&] { sounds.read(7.0 + i); }), testing::HasSubstr("source.wav"));
  EXPECT_THROW(sounds.read(2.0), Error);  // not ascending
}

TEST_F(MediaSequences, OfADamagedFileReadWhatIsWhole) {
  write_wav("source.wav", 16000, 12.0);
  ffmpeg(
      "-i source.wav -f lavfi -i testsrc2=s=64x48:r=10:d=12 -map 0 -map 1 -c:a aac -aac_pns 0 -c:v libx264 -g 10 "
      "-movflags +faststart whole.mp4");
  truncate("whole.mp4", "cut.mp4", 0.6);
  AudioSequence sounds(at("cut.mp4"), {.duration_seconds = 1.0});
  FrameSequence pictures(at("cut.mp4"));
  int num_read = 0, num_refused = 0;
  for (double start = 0; start < 11; start += 1.0) {
    torch::Tensor alone, heard, seen_alone, seen;
    try {
      alone = audio_tensor(at("cut.mp4"), {.start_seconds = start, .duration_seconds = 1.0});
    } catch (const MediaError&) {
    }
    try {
      heard = to_tensor(sounds.read(start));
    } catch (const MediaError&) {
    }
    try {
      seen_alone = frame_tensors(at("cut.mp4"), {start}).front();
    } catch (const MediaError&) {
    }
    try {
      seen = to_tensor(pictures.at(start));
    } catch (const MediaError&) {
    }
    ASSERT_EQ(alone.defined(), heard.defined()) << start;
    ASSERT_EQ(seen_alone.defined(), seen.defined()) << start;
    if (alone.defined()) {
      EXPECT_TRUE(at::equal(alone, heard)) << start;
    }
    if (seen_alone.defined()) {
      EXPECT_TRUE(at::equal(seen_alone, seen)) << start;
    }
    ++(alone.defined() && seen.defined() ? num_read : num_refused);
  }
  EXPECT_GE(num_read, 3);
  EXPECT_GE(num_refused, 3);
}

}  // namespace
}  // namespace cavmae
