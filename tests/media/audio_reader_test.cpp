#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::error_of;
using testing_media::MediaFiles;

torch::Tensor to_tensor(const std::vector<float>& samples) {
  return torch::tensor(samples);
}

double correlation(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()).item<double>();
}

// By how many samples `heard` comes later than `truth`, where they agree best.
int64_t lag_of(const torch::Tensor& heard, const torch::Tensor& truth) {
  constexpr int64_t kReach = 2500, kStart = 8000, kLength = 16000;
  int64_t best = 0;
  double highest = -1.0;
  const torch::Tensor part = truth.slice(0, kStart, kStart + kLength);
  for (int64_t lag = -kReach; lag <= kReach; ++lag) {
    const double value = correlation(heard.slice(0, kStart + lag, kStart + lag + kLength), part);
    if (value > highest) {
      highest = value;
      best = lag;
    }
  }
  return best;
}

struct AudioCoding {
  std::string file;
  std::string arguments;
  double least_correlation;  // of a window with the same part of the whole
  int64_t most_lag = 0;  // of the whole: what this container adds before the sound, or cannot tell to drop
};
void PrintTo(const AudioCoding& coding, std::ostream* out) {
  *out << coding.file;
}

class AudioCodings : public MediaFiles, public testing::WithParamInterface<AudioCoding> {};

TEST_P(AudioCodings, AWindowIsASliceOfTheWhole) {
  const auto& coding = GetParam();
  const torch::Tensor truth = to_tensor(write_wav("source.wav", 16000, 9.0));
  ffmpeg("-i source.wav -f lavfi -i color=gray:s=64x64:r=10:d=9 " + coding.arguments + " " + coding.file);
  const torch::Tensor whole = audio_tensor(at(coding.file), {.duration_seconds = 60.0});
  EXPECT_NEAR(static_cast<double>(whole.numel()), 9.0 * 16000, 16000 * 0.1);
  const int64_t lag = lag_of(whole, truth);
  EXPECT_GE(lag, 0);
  EXPECT_LE(lag, coding.most_lag);
  for (const double start : {0.0, 0.5, 3.1234567, 5.0, 6.777}) {
    const torch::Tensor window =
        audio_tensor(at(coding.file), {.start_seconds = start, .duration_seconds = 1.5});
    ASSERT_EQ(window.numel(), 24000);
    const int64_t first = std::llround(start * 16000);
    EXPECT_GE(correlation(window, whole.slice(0, first, first + 24000)), coding.least_correlation) << start;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, AudioCodings,
    testing::Values(AudioCoding{"pcm.wav", "-map 0 -c:a pcm_s16le", 0.9999999},
                    AudioCoding{"cd.wav", "-map 0 -ar 44100 -c:a pcm_s16le", 0.9999999},
                    AudioCoding{"bits24.wav", "-map 0 -ar 48000 -c:a pcm_s24le", 0.9999999},
                    AudioCoding{"cd.flac", "-map 0 -ar 44100", 0.9999999},
                    AudioCoding{"a.mp3", "-map 0 -ar 44100 -q:a 2", 0.999},
                    AudioCoding{"variable.mp3", "-map 0 -q:a 4", 0.999},
                    AudioCoding{"vorbis.ogg", "-map 0 -c:a libvorbis", 0.999},
                    AudioCoding{"opus.ogg", "-map 0 -c:a libopus", 0.99},
                    AudioCoding{"a.m4a", "-map 0 -ar 44100 -b:a 128k", 0.99},
                    AudioCoding{"av.mp4", "-map 0 -map 1 -c:v libx264 -c:a aac -ar 44100 -b:a 128k", 0.99},
                    AudioCoding{"av.mov", "-map 0 -map 1 -c:v libx264 -c:a pcm_s16le -ar 48000", 0.9999999},
                    AudioCoding{"aac.mkv", "-map 0 -map 1 -c:v libx264 -g 30 -c:a aac -ar 44100 -b:a 128k",
                                0.99, 400},
                    AudioCoding{"pcm.mkv", "-map 0 -map 1 -c:v libx264 -c:a pcm_s16le -ar 44100", 0.9999999},
                    AudioCoding{"opus.webm", "-map 0 -map 1 -c:v libvpx -c:a libopus", 0.99, 400},
                    AudioCoding{"vorbis.webm", "-map 0 -map 1 -c:v libvpx -c:a libvorbis", 0.999, 400},
                    AudioCoding{"mp3.avi", "-map 0 -map 1 -c:v mpeg4 -c:a libmp3lame -ar 44100", 0.99, 401},
                    AudioCoding{"pcm.avi", "-map 0 -map 1 -c:v mpeg4 -c:a pcm_s16le", 0.9999999}),
    [](const auto& coding) {
      std::string name = coding.param.file;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

class Audio : public MediaFiles {};

// Damage in the middle shows in the windows that hold it, and only there.
TEST_F(Audio, PacketsThatCannotBeDecodedAreTold) {
  write_wav("s.wav", 48000, 12);
  for (const std::string name : {"a.m4a", "a.mkv", "a.ts", "a.opus", "a.flac", "a.mp3"}) {
    ffmpeg("-i s.wav " + name);
    const auto has_gaps = [&](const std::string& file, double start) {
      bool found = false;
      audio_tensor(at(file), {.start_seconds = start, .duration_seconds = 2.0}, &found);
      return found;
    };
    for (const double start : {0.0, 5.0, 9.5}) EXPECT_FALSE(has_gaps(name, start)) << name << " at " << start;
    if (name != "a.m4a") continue;  // whose packets have no marks that damage hides
    std::string bytes = read_text(at(name));
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2), bytes.size() / 24, '\xff');
    write_file(at("damaged_" + name), bytes);
    for (const double start : {0.0, 5.0, 9.5})
      EXPECT_EQ(has_gaps("damaged_" + name, start), start == 5.0) << name << " at " << start;
  }
}

TEST_F(Audio, SixteenKilohertzPcmIsExact) {
  const torch::Tensor truth = to_tensor(write_wav("a.wav", 16000, 3.0));
  EXPECT_TRUE(at::equal(audio_tensor(at("a.wav"), {}), truth));
  EXPECT_TRUE(at::equal(audio_tensor(at("a.wav"), {.start_seconds = 1.25, .duration_seconds = 0.5}),
                        truth.slice(0, 20000, 28000)));
}

TEST_F(Audio, FirstChannelIsTakenBeforeAnythingElse) {
  ffmpeg(
      "-f lavfi -i \"aevalsrc='0.5*sin(440*2*PI*t)|0.25|0.1|0|-0.2|0.3':s=48000:d=1:c=5.1\" -c:a pcm_f32le six.wav");
  const torch::Tensor first = audio_tensor(at("six.wav"), {});
  const torch::Tensor mean = audio_tensor(at("six.wav"), {.channels = ChannelMix::mean});
  ASSERT_EQ(first.numel(), 16000);
  const torch::Tensor time = at::arange(16000, torch::kFloat64) / 16000.0;
  const torch::Tensor sine = 0.5 * (440.0 * 2.0 * M_PI * time).sin();
  const auto middle = [](const torch::Tensor& t) { return t.slice(0, 200, 15800).to(torch::kFloat64); };
  EXPECT_LT((middle(first) - middle(sine)).abs().max().item<double>(), 2e-3);
  EXPECT_LT((middle(mean) - (middle(sine) + 0.45) / 6).abs().max().item<double>(), 2e-3);
}

TEST_F(Audio, ResampledSineKeepsPitchAndPhase) {
  for (const int rate : {8000, 11025, 22050, 32000, 44100, 48000, 96000}) {
    ffmpeg("-f lavfi -i \"aevalsrc='0.5*sin(1000*2*PI*t)':s=" + std::to_string(rate) +
           ":d=2\" -c:a pcm_s16le s.wav");
    const torch::Tensor heard = audio_tensor(at("s.wav"), {.start_seconds = 0.5, .duration_seconds = 1.0});
    ASSERT_EQ(heard.numel(), 16000) << rate;
    const torch::Tensor time = 0.5 + at::arange(16000, torch::kFloat64) / 16000.0;
    const torch::Tensor sine = 0.5 * (1000.0 * 2.0 * M_PI * time).sin();
    EXPECT_LT((heard - sine).abs().max().item<double>(), 2e-3) << rate;
  }
}

TEST_F(Audio, EightBitsAreCentred) {
  write_wav("a.wav", 16000, 1.0);
  ffmpeg("-i a.wav -c:a pcm_u8 b.wav");
  const torch::Tensor fine = audio_tensor(at("a.wav"), {}), coarse = audio_tensor(at("b.wav"), {});
  EXPECT_LT((fine - coarse).abs().max().item<double>(), 1.5 / 128);
  EXPECT_EQ((coarse * 128).frac().abs().max().item<double>(), 0.0);
}

TEST_F(Audio, ShortAndSilentSound) {
  ffmpeg("-f lavfi -i anullsrc=r=16000:cl=mono -t 0.02 tiny.wav");
  EXPECT_EQ(audio_tensor(at("tiny.wav"), {}).numel(), 320);
  ffmpeg("-f lavfi -i anullsrc=r=44100:cl=stereo -t 2 silent.mp3");
  const torch::Tensor silence = audio_tensor(at("silent.mp3"), {});
  EXPECT_NEAR(static_cast<double>(silence.numel()), 32000, 1600);
  EXPECT_LT(silence.abs().max().item<double>(), 1e-4);
}

TEST_F(Audio, FewerSamplesWhereTheFileEnds) {
  write_wav("a.wav", 44100, 3.0);
  EXPECT_EQ(audio_tensor(at("a.wav"), {}).numel(), 48000);
  EXPECT_EQ(audio_tensor(at("a.wav"), {.start_seconds = 2.5}).numel(), 8000);
}

TEST_F(Audio, SoundThatStartsLateIsPrecededBySilence) {
  write_wav("a.wav", 16000, 2.0);
  ffmpeg(
      "-f lavfi -i color=gray:s=64x64:r=10:d=3 -itsoffset 1 -i a.wav -c:v libx264 -c:a pcm_s16le late.mov");
  const torch::Tensor heard = audio_tensor(at("late.mov"), {});
  EXPECT_EQ(heard.slice(0, 0, 15900).abs().max().item<float>(), 0.0f);
  EXPECT_NEAR(static_cast<double>(heard.numel()), 48000, 200);
  EXPECT_TRUE(
      at::equal(heard.slice(0, 16000), audio_tensor(at("a.wav"), {}).slice(0, 0, heard.numel() - 16000)));
}

TEST_F(Audio, OtherRatesCanBeAskedFor) {
  write_wav("a.wav", 16000, 1.0);
  EXPECT_EQ(audio_tensor(at("a.wav"), {.sample_rate_hz = 22050}).numel(), 22050);
  EXPECT_EQ(audio_tensor(at("a.wav"), {.duration_seconds = 0.25, .sample_rate_hz = 8000}).numel(), 2000);
}

TEST_F(Audio, RefusesBadRequests) {
  write_wav("a.wav", 16000, 1.0);
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("a.wav"), {.start_seconds = 1.5}); }),
              testing::AllOf(testing::HasSubstr("a.wav"), testing::HasSubstr("ends at 1 s")));
  EXPECT_THROW(audio_tensor(at("a.wav"), {.start_seconds = -1.0}), Error);
  EXPECT_THROW(audio_tensor(at("a.wav"), {.duration_seconds = 0.0}), Error);
  EXPECT_THROW(audio_tensor(at("a.wav"), {.start_seconds = std::nan("")}), Error);
  EXPECT_THROW(audio_tensor(at("a.wav"), {.sample_rate_hz = 0}), Error);
}

}  // namespace
}  // namespace cavmae
