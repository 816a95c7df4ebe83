// Which part of a file makes a clip, where its sound and its pictures do not lie where its header says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/feature_cache.h"
#include "cavmae/data/media_files.h"
#include "cavmae/features/augment.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/media/media_reader.h"

#include "tests/data/toy_media.h"
#include "tests/support/media_tensors.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ClipTimesTest : public testing::Test {
 protected:
  void SetUp() override { CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg"); }

  void ffmpeg(const std::string& arguments) const {
    const auto outcome = testing_support::run_shell("cd '" + folder.path().string() +
                                                    "' && ffmpeg -nostdin -v error -y " + arguments);
    ASSERT_EQ(outcome.exit_code, 0) << arguments << "\n" << outcome.err;
  }

  ClipSource clip(const std::string& name) const {
    ClipSource clip = clip_of_file(folder / name);
    clip.id = name;
    return clip;
  }

  // That the clip's window begins there, whichever sides of it are asked for.
  void expect_window_at(const ClipSource& clip, double start, Need need = Need::both) const {
    const Sample sample = reader.read(clip, {}, need, 0);
    const InputSpec spec = tiny_features();
    if (sample.audio.defined()) {
      const auto waveform = audio_tensor(clip.audio, {.start_seconds = start, .duration_seconds = 2});
      const auto fbank = Fbank({.num_mel_bins = spec.num_mel_bins}).compute(waveform);
      const auto expected = (fit_frames(fbank, 208) - spec.fbank_mean) / spec.fbank_std;
      EXPECT_LT((sample.audio - expected).abs().mean().item<double>(), 0.1) << clip.id << " sound";
    }
    if (sample.video.defined()) {
      const auto picture = frame_tensors(clip.video, {start + 1.0})[0];
      EXPECT_TRUE(same_bits(sample.video, normalize_image(resize_and_crop(picture, spec.image_size))))
          << clip.id << " picture";
    }
  }

  TemporaryFolder folder;
  const ClipReader reader{tiny_features()};
};

TEST_F(ClipTimesTest, TheWindowLiesWhereSoundAndPicturesBothAre) {
  const std::string sources = "-f lavfi -i testsrc2=s=96x64:r=10:d=12 -f lavfi -i ";
  ffmpeg(sources + "\"aevalsrc=0.5*sin(300*t*t):s=16000:d=4\" -c:v libx264 -c:a aac short_sound.mp4");
  // FFmpeg may count the encoder's priming to the copied sound, so that the window begins 32 ms earlier; the
  // offset lets its middle fall into the same picture either way.
  ffmpeg("-i short_sound.mp4 -itsoffset 6.05 -i short_sound.mp4 -map 0:v -map 1:a -c copy late_sound.mp4");
  ffmpeg(sources + "\"aevalsrc=0.5*sin(300*t*t):s=16000:d=30\" -c:v libx264 -c:a aac long_sound.mp4");
  for (const std::string extension : {"mp4", "mkv", "ts"}) {
    for (const std::string name : {"short_sound.", "late_sound.", "long_sound."})
      if (extension != "mp4") ffmpeg("-i " + name + "mp4 -c copy " + name + extension);
    expect_window_at(clip("short_sound." + extension), 1.0);
    expect_window_at(clip("short_sound." + extension), 1.0, Need::any);
    expect_window_at(clip("short_sound." + extension), 5.0, Need::video);
    expect_window_at(clip("late_sound." + extension), 7.05);
    expect_window_at(clip("late_sound." + extension), 7.05, Need::audio);
    expect_window_at(clip("long_sound." + extension), 5.0);
    expect_window_at(clip("long_sound." + extension), 14.0, Need::audio);
  }
  // A side that begins a little later than the other moves the middle by half of that.
  ffmpeg(
      "-itsoffset 0.15 -f lavfi -i testsrc2=s=96x64:r=20:d=12 -f lavfi -i "
      "\"aevalsrc=0.5*sin(300*t*t):s=16000:d=12\" -c:v libx264 -bf 0 -c:a flac late_pictures.mkv");
  expect_window_at(clip("late_pictures.mkv"), 5.075);
  ClipSource pinned = clip("late_sound.mp4");
  pinned.start_seconds = 5.0;
  const auto sample = reader.read(pinned, {}, Need::both, 0);
  EXPECT_TRUE(sample.audio.defined() && sample.video.defined()) << "silence comes before the sound";
}

TEST_F(ClipTimesTest, SidesThatNeverMeetAreNamed) {
  ffmpeg("-f lavfi -i testsrc2=s=96x64:r=10:d=4 -f lavfi -i sine=d=4 -c:v libx264 -c:a aac a.mp4");
  ffmpeg("-i a.mp4 -itsoffset 9 -i a.mp4 -map 0:v -map 1:a -c copy apart.mkv");
  const auto message = message_from<MediaError>([&] { reader.read(clip("apart.mkv"), {}, Need::both, 0); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr("apart.mkv"), HasSubstr("never there together")));
  EXPECT_TRUE(reader.read(clip("apart.mkv"), {}, Need::video, 0).video.defined());
}

TEST_F(ClipTimesTest, ACutOffFileOfUnknownLengthIsReadWhereItIsPinned) {
  ffmpeg("-f lavfi -i testsrc2=s=96x64:r=10:d=12 -f lavfi -i sine=d=12 -c:v libx264 -c:a aac a.ts");
  const std::string whole = testing_support::read_whole(folder / "a.ts");
  // In the middle of a packet of the transport stream: one that ends between two pictures is a shorter whole
  // one.
  constexpr size_t kTransportPacketBytes = 188;
  write_text(folder / "cut.ts",
             whole.substr(0, whole.size() / 2 / kTransportPacketBytes * kTransportPacketBytes + 94));
  EXPECT_THAT(message_from<MediaError>([&] { reader.read(clip("cut.ts"), {}, Need::both, 0); }),
              testing::AllOf(HasSubstr("cut.ts"), HasSubstr("cut off")));
  ClipSource pinned = clip("cut.ts");
  pinned.start_seconds = 1.0;
  EXPECT_TRUE(reader.read(pinned, {}, Need::both, 0).audio.defined());
}

// What a program of before entries had versions has probed and decoded: all of it wrong.
TEST_F(ClipTimesTest, AnOldCacheKeepsNoOldFaults) {
  ffmpeg(
      "-f lavfi -i testsrc2=s=96x64:r=10:d=12 -f lavfi -i \"aevalsrc=0.5*sin(300*t*t):s=16000:d=4\" -c:v libx264 "
      "-c:a aac a.mp4");
  const ClipSource source = clip("a.mp4");
  const std::string identity = source.audio.identity(), stamp = source_stamp({source.audio});
  const FeatureCache old(folder / "cache", nullptr, /*version=*/0);
  old.store({.name = "facts\n" + identity, .stamp = stamp},
            torch::tensor({{1.0, 1.0, 0.0, 500.0}}, torch::kFloat64));
  for (const char* start : {"1000000", "249000000"}) {
    old.store({.name = "fbank\n" + identity + "\n" + start + " 2000000 32 first", .stamp = stamp},
              torch::zeros({1, 198, 32}));
    old.store({.name = std::string("pictures ") + start + " 2000000 10 32\n" + identity, .stamp = stamp},
              torch::zeros({10, 32, 32, 3}, torch::kUInt8));
  }
  CapturedLog captured;
  const ClipReader cached(tiny_features(), folder / "cache", captured.log);
  const ViewOptions all{.frames = FrameChoice::all};
  const Sample expected = reader.read(source, all, Need::both, 0);
  for (int i = 0; i < 2; ++i) {
    const Sample found = cached.read(source, all, Need::both, 0);
    EXPECT_TRUE(same_bits(found.audio, expected.audio));
    EXPECT_TRUE(same_bits(found.video, expected.video));
  }
  const std::string text = captured.text->str();
  EXPECT_THAT(text, HasSubstr("5 entries are of another version"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

// The facts of a file whose clock jumps are many numbers; the cache gives all of them back.
TEST_F(ClipTimesTest, ACacheKeepsTheAxisOfAFileWhoseClockJumps) {
  ffmpeg("-f lavfi -i testsrc2=s=96x64:r=10:d=4 -f lavfi -i sine=d=4 -c:v libx264 -g 10 -c:a aac a.ts");
  const std::string piece = testing_support::read_whole(folder / "a.ts");
  write_text(folder / "joined.ts", piece + piece + piece);
  const ClipReader cached(tiny_features(), folder / "cache");
  for (const double start : {0.5, 5.0, 9.0}) {
    const ViewOptions view{.window_start = start};
    const Sample expected = reader.read(clip("joined.ts"), view, Need::both, 0);
    for (int i = 0; i < 2; ++i) {
      const Sample found = cached.read(clip("joined.ts"), view, Need::both, 0);
      EXPECT_TRUE(same_bits(found.audio, expected.audio)) << start;
      EXPECT_TRUE(same_bits(found.video, expected.video)) << start;
    }
    const auto shown = normalize_image(resize_and_crop(
        frame_tensors(folder / "a.ts", {std::fmod(start + 1.0, 4.0)})[0], tiny_features().image_size));
    EXPECT_TRUE(same_bits(expected.video, shown)) << start;
  }
}

}  // namespace
}  // namespace cavmae
