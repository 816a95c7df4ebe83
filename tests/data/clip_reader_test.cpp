#include "cavmae/data/clip_reader.h"

#include <algorithm>
#include <optional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/data/media_files.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"

#include "tests/data/toy_media.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kGoldenMedia = fs::path(CAVMAE_TEST_DATA) / "golden/media";

ClipSource clip_at(const fs::path& path) {
  ClipSource clip = clip_of_file(path);
  clip.id = path.stem().string();
  return clip;
}

std::string media_error(const ClipSource& clip, Need need, const ViewOptions& view = {}) {
  return message_from<MediaError>([&] { ClipReader(tiny_features()).read(clip, view, need, 0); });
}

// One video of five seconds, made once for all tests.
class ClipReaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder();
    write_video(*shared_ / "video.mp4", 5, "", "sine=f=300:beep_factor=4:r=44100");
    write_video(*shared_ / "short.mkv", 1);
    write_video(*shared_ / "mute.mp4", 1, "", "");
  }
  static void TearDownTestSuite() { delete shared_; }

  const ClipReader reader{tiny_features()};
  const ClipSource video = clip_at(*shared_ / "video.mp4");
  TemporaryFolder folder;

  static TemporaryFolder* shared_;
};
TemporaryFolder* ClipReaderTest::shared_ = nullptr;

// The pictures that frame_tensors() finds at these times, as the model sees them.
std::vector<torch::Tensor> pictures_at(const MediaSource& source, const std::vector<double>& times) {
  std::vector<torch::Tensor> out;
  for (const auto& image : frame_tensors(source, times))
    out.push_back(normalize_image(resize_and_crop(image, tiny_features().image_size)));
  return out;
}

TEST_F(ClipReaderTest, EvaluationSeesTheMiddleOfTheMiddle) {
  const Sample sample = reader.read(video, {}, Need::both, 1);
  // Window [1.5, 3.5): frame 5 of 10 is at 2.5 s.
  EXPECT_TRUE(same_bits(sample.video, pictures_at(video.video, {2.5})[0]));
  const auto spec = tiny_features();
  const auto waveform = audio_tensor(video.audio, {.start_seconds = 1.5, .duration_seconds = 2});
  const auto fbank = Fbank({.num_mel_bins = spec.num_mel_bins}).compute(waveform);
  const auto expected = (fit_frames(fbank, 208) - spec.fbank_mean) / spec.fbank_std;
  EXPECT_EQ(sample.audio.sizes(), (torch::IntArrayRef{208, 32}));
  EXPECT_TRUE(at::allclose(sample.audio, expected, 0, 1e-5));
}

TEST_F(ClipReaderTest, PaddingIsNormalisedZeros) {
  const auto spec = tiny_features();
  const Sample sample = reader.read(clip_at(kGoldenMedia / "short_0.3s_16k.wav"), {}, Need::audio, 0);
  const auto padding = sample.audio.narrow(0, 100, 108);
  EXPECT_TRUE(at::allclose(padding, torch::full_like(padding, -spec.fbank_mean / spec.fbank_std)));
}

TEST_F(ClipReaderTest, AllFramesAreSpreadOverTheWindow) {
  const Sample all = reader.read(video, {.frames = FrameChoice::all}, Need::video, 0);
  ASSERT_EQ(all.video.sizes(), (torch::IntArrayRef{10, 3, 32, 32}));
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) times.push_back(1.5 + 0.2 * i);
  const auto expected = pictures_at(video.video, times);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(same_bits(all.video[i], expected[i])) << i;
  EXPECT_TRUE(same_bits(all.video[5], reader.read(video, {}, Need::video, 0).video));
}

TEST_F(ClipReaderTest, ShortFileSpreadsItsFramesOverWhatItHas) {
  const auto clip = clip_at(*shared_ / "short.mkv");
  const double length = probe_media(clip.video).duration_seconds;
  const Sample sample = reader.read(clip, {}, Need::video, 0);
  EXPECT_TRUE(same_bits(sample.video, pictures_at(clip.video, {length / 2})[0]));
}

TEST_F(ClipReaderTest, RandomFramesAreAmongTheTenAndReachAll) {
  const Sample all = reader.read(video, {.frames = FrameChoice::all}, Need::video, 0);
  std::set<int> chosen;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto picture = reader.read(video, {.frames = FrameChoice::random}, Need::video, seed).video;
    for (int i = 0; i < 10; ++i)
      if (same_bits(picture, all.video[i])) chosen.insert(i);
  }
  EXPECT_EQ(chosen.size(), 10u);
}

TEST_F(ClipReaderTest, WindowIsPinnedByTheClipAndByTheViewBeforeIt) {
  ClipSource pinned = video;
  pinned.start_seconds = 0.5;
  EXPECT_TRUE(same_bits(reader.read(pinned, {.random_window = true}, Need::video, 0).video,
                        pictures_at(video.video, {1.5})[0]));
  EXPECT_TRUE(same_bits(reader.read(pinned, {.window_start = 2.0}, Need::video, 0).video,
                        pictures_at(video.video, {3.0})[0]));
  EXPECT_THAT(media_error(video, Need::both, {.window_start = 60.0}), HasSubstr("is to start at 60 s"));
  EXPECT_THAT(media_error(video, Need::both, {.window_start = 60.0}), HasSubstr("video.mp4"));
}

TEST_F(ClipReaderTest, EverythingRandomDependsOnTheSeedAlone) {
  const Sample first = reader.read(video, training_view(), Need::both, 11);
  const Sample again = reader.read(video, training_view(), Need::both, 11);
  EXPECT_TRUE(same_bits(first.audio, again.audio));
  EXPECT_TRUE(same_bits(first.video, again.video));
  EXPECT_FALSE(same_bits(first.audio, reader.read(video, training_view(), Need::both, 12).audio));
  // One choice does not shift another: without noise the window and the roll stay the same.
  ViewOptions quiet = training_view();
  quiet.noise = false;
  const auto difference = first.audio - reader.read(video, quiet, Need::both, 11).audio;
  EXPECT_GE(difference.min().item<float>(), -1e-5);
  EXPECT_LE(difference.max().item<float>(), 0.1 + 1e-5);
  EXPECT_GT(difference.max().item<float>(), 0);
}

TEST_F(ClipReaderTest, TwoStepsReadWhatOneReads) {
  ViewOptions view = training_view();
  view.frequency_mask = 8;
  view.time_mask = 40;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const Sample at_once = reader.read(video, view, Need::both, seed);
    const Sample in_steps = reader.finish(reader.read_raw(video, view, Need::both, seed), view, seed);
    EXPECT_TRUE(same_bits(at_once.audio, in_steps.audio));
    EXPECT_TRUE(same_bits(at_once.video, in_steps.video));
  }
  EXPECT_FALSE(reader.read_raw(video, view, Need::video, 0).waveform.defined());
}

TEST_F(ClipReaderTest, MasksHideBeforeTheFilterbankIsNormalised) {
  const auto spec = tiny_features();
  ViewOptions masked;
  masked.time_mask = 208;
  bool changed = false;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const auto plain = reader.read(video, {}, Need::audio, seed).audio;
    const auto audio = reader.read(video, masked, Need::audio, seed).audio;
    const auto hidden = audio.ne(plain);
    const auto zero = torch::full_like(audio, -spec.fbank_mean / spec.fbank_std);
    EXPECT_TRUE(at::allclose(audio.masked_select(hidden), zero.masked_select(hidden)));
    changed = changed || hidden.any().item<bool>();
  }
  EXPECT_TRUE(changed);
}

TEST_F(ClipReaderTest, SoundAndPictureMayBeSeparateFiles) {
  write_wav(folder / "s.wav", 1, 400);
  write_flat_png(folder / "p.png", 128);
  ClipSource clip;
  clip.audio = folder / "s.wav";
  clip.video = folder / "p.png";
  const Sample sample = reader.read(clip, {.frames = FrameChoice::all}, Need::both, 0);
  EXPECT_TRUE(sample.audio.isfinite().all().item<bool>());
  const auto grey = normalize_image(torch::full({32, 32, 3}, 128, torch::kUInt8));
  EXPECT_TRUE(same_bits(sample.video, grey.expand({10, 3, 32, 32}).contiguous()));
}

TEST_F(ClipReaderTest, MissingFrameIsReplacedByALowerOneThenByAHigher) {
  ClipSource clip;
  for (int i = 0; i < 10; ++i) clip.frames.push_back(folder / ("f" + std::to_string(i) + ".png"));
  for (const int i : {2, 3, 7}) write_flat_png(clip.frames[i].path(), 20 * i);
  const Sample all = reader.read(clip, {.frames = FrameChoice::all}, Need::video, 0);
  const int expected[] = {2, 2, 2, 3, 3, 3, 3, 7, 7, 7};
  for (int i = 0; i < 10; ++i) {
    const auto grey = normalize_image(torch::full({32, 32, 3}, 20 * expected[i], torch::kUInt8));
    EXPECT_TRUE(same_bits(all.video[i], grey)) << i;
  }
  for (const int i : {2, 3, 7}) fs::remove(clip.frames[i].path());
  EXPECT_THAT(media_error(clip, Need::video), HasSubstr("nor does any other picture"));
}

TEST_F(ClipReaderTest, FewOrManyListedFramesAreSpreadEvenly) {
  for (const int listed : {1, 3, 25}) {
    ClipSource clip;
    for (int i = 0; i < listed; ++i) {
      clip.frames.push_back(folder / (std::to_string(listed) + "_" + std::to_string(i) + ".png"));
      write_flat_png(clip.frames.back().path(), i);
    }
    const Sample all = reader.read(clip, {.frames = FrameChoice::all}, Need::video, 0);
    for (int i = 0; i < 10; ++i) {
      const auto grey = normalize_image(torch::full({32, 32, 3}, i * listed / 10, torch::kUInt8));
      EXPECT_TRUE(same_bits(all.video[i], grey)) << listed << " " << i;
    }
    EXPECT_TRUE(same_bits(all.video[5], reader.read(clip, {}, Need::video, 0).video));
  }
}

TEST_F(ClipReaderTest, LackOfASideIsAnErrorUnlessAnyWillDo) {
  write_wav(folder / "s.wav", 1, 400);
  write_flat_png(folder / "p.png", 128);
  const auto sound = clip_at(folder / "s.wav"), picture = clip_at(folder / "p.png"),
             mute = clip_at(*shared_ / "mute.mp4");
  EXPECT_THAT(media_error(sound, Need::both), HasSubstr("s.wav: has no video"));
  EXPECT_THAT(media_error(picture, Need::both), HasSubstr("p.png: has no audio"));
  EXPECT_THAT(media_error(mute, Need::audio), HasSubstr("mute.mp4: has no audio"));
  EXPECT_TRUE(reader.read(sound, {}, Need::audio, 0).audio.defined());
  EXPECT_TRUE(reader.read(mute, {}, Need::video, 0).video.defined());
  const Sample any = reader.read(mute, {}, Need::any, 0);
  EXPECT_TRUE(any.video.defined());
  EXPECT_FALSE(any.audio.defined());
  EXPECT_FALSE(reader.read(sound, {}, Need::any, 0).video.defined());
  EXPECT_FALSE(reader.read(picture, {}, Need::any, 0).audio.defined());
}

// A copy of the file with all places of a text replaced by another of its length.
std::filesystem::path replaced(const fs::path& from, const fs::path& to, const std::string& text,
                               const std::string& by) {
  std::string bytes = testing_support::read_whole(from);
  for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1))
    bytes.replace(at, text.size(), by);
  write_text(to, bytes);
  return to;
}

TEST_F(ClipReaderTest, ASideThatCannotBeDecodedIsThereAndNamed) {
  const auto lost = [&](const ClipSource& clip) -> std::optional<SideError> {
    try {
      reader.read(clip, {}, Need::any, 0);
    } catch (const SideError& e) {
      return e;
    }
    return std::nullopt;
  };
  // FFmpeg knows the codec by its name and by its description.
  replaced(video.video.path(), folder / "renamed.mp4", "mp4a", "apac");
  const auto deaf = lost(clip_at(replaced(folder / "renamed.mp4", folder / "deaf.mp4", "esds", "free")));
  ASSERT_TRUE(deaf);
  EXPECT_EQ(deaf->side(), ClipSide::audio);
  EXPECT_FALSE(deaf->is_lacking());
  EXPECT_THAT(deaf->what(), testing::AllOf(HasSubstr("deaf.mp4"), HasSubstr("cannot decode")));
  const auto blind = lost(clip_at(replaced(video.video.path(), folder / "blind.mp4", "avc1", "xyz1")));
  ASSERT_TRUE(blind);
  EXPECT_EQ(blind->side(), ClipSide::video);
  EXPECT_FALSE(blind->is_lacking());
  EXPECT_THAT(blind->what(), testing::AllOf(HasSubstr("blind.mp4"), HasSubstr("cannot decode")));
  // One that is not there at all.
  EXPECT_FALSE(lost(clip_at(*shared_ / "mute.mp4")));
}

TEST_F(ClipReaderTest, SamplesThatAreNoNumbersAreRefused) {
  write_video(folder / "nan.mkv", 1, "-c:v mpeg4 -c:a pcm_f32le", "aevalsrc=0/0:s=16000");
  EXPECT_THAT(media_error(clip_at(folder / "nan.mkv"), Need::audio),
              testing::AllOf(HasSubstr("nan.mkv"), HasSubstr("not finite")));
}

TEST_F(ClipReaderTest, WhatAFileIsCalledHidesNothingOfIt) {
  for (const char* name : {"called.wav", "called.mp3", "called.jpg", "called", "called.xyz"}) {
    fs::copy(video.video.path(), folder / name);
    const Sample sample = reader.read(clip_at(folder / name), {}, Need::both, 1),
                 original = reader.read(video, {}, Need::both, 1);
    EXPECT_TRUE(same_bits(sample.audio, original.audio) && same_bits(sample.video, original.video)) << name;
  }
  write_video(folder / "theora.ogg", 2, "-c:v libtheora -c:a libvorbis");
  const Sample theora = reader.read(clip_at(folder / "theora.ogg"), {}, Need::any, 0);
  EXPECT_TRUE(theora.audio.defined() && theora.video.defined());
}

TEST_F(ClipReaderTest, ASegmentIsAPartOrAFileOfItsOwn) {
  ClipSource segment = video;
  segment.start_seconds = 2.5;
  segment.end_seconds = 4.5;
  EXPECT_TRUE(same_bits(reader.read(segment, {}, Need::audio, 0).audio,
                        reader.read(video, {.window_start = 2.5}, Need::audio, 0).audio));
  // A file that ends before it would was cut out already.
  segment.start_seconds = 30;
  segment.end_seconds = 40;
  EXPECT_TRUE(same_bits(reader.read(segment, {}, Need::audio, 0).audio,
                        reader.read(video, {}, Need::audio, 0).audio));
}

TEST_F(ClipReaderTest, HostileFilesAreMediaErrorsThatNameThem) {
  write_text(folder / "text.mp4", "I am a text, not a video.\n");
  write_text(folder / "empty.mp4", "");
  const std::string whole = testing_support::read_whole(video.video.path());
  write_text(folder / "cut.mp4", whole.substr(0, whole.size() / 3));
  for (const char* name : {"text.mp4", "empty.mp4", "cut.mp4", "gone.mp4"})
    EXPECT_THAT(media_error(clip_at(folder / name), Need::both), HasSubstr(name));
  EXPECT_THAT(media_error(clip_at(kGoldenMedia / "tiny_20ms_16k.wav"), Need::audio),
              HasSubstr("too short: 20 ms, at least 25 ms"));
}

TEST_F(ClipReaderTest, SilenceIsAClip) {
  const Sample sample = reader.read(clip_at(kGoldenMedia / "silence_2s_16k.wav"), {}, Need::audio, 0);
  EXPECT_TRUE(sample.audio.isfinite().all().item<bool>());
}

// Pictures that were prepared for another recipe stand beside sounds that are not theirs.
TEST_F(ClipReaderTest, FewerListedPicturesThanSegmentsAreToldOnce) {
  ClipSource clip;
  clip.id = "prepared";
  for (int i = 0; i < 5; ++i) {
    clip.frames.push_back(folder / ("p" + std::to_string(i) + ".jpg"));
    write_file(clip.frames.back().path(), encode_jpeg(torch::full({32, 32, 3}, 50 * i, torch::kUInt8)));
  }
  const auto told = [&](const InputSpec& spec, size_t pictures) {
    ClipSource some = clip;
    some.frames.erase(some.frames.begin() + static_cast<std::ptrdiff_t>(pictures), some.frames.end());
    const CapturedLog log;
    const ClipReader logged(spec, {}, log.log);
    for (int repeat = 0; repeat < 2; ++repeat)
      logged.read(some, {.frames = FrameChoice::all}, Need::video, 0);
    return log.text->str();
  };
  InputSpec aligned = tiny_features();
  EXPECT_EQ(told(aligned, 5), "") << "a whole clip's sound belongs to all";
  aligned.alignment = Alignment::picture;
  aligned.audio_window_frames = 32;
  const std::string said = told(aligned, 5);
  EXPECT_THAT(said, HasSubstr("prepared: lists 5 pictures, and the network compares 10 of a clip"));
  EXPECT_EQ(said.find("lists 5"), said.rfind("lists 5"));
  EXPECT_EQ(told(aligned, 1), "") << "a still picture is every moment's";
  aligned.num_frames = 5;
  EXPECT_EQ(told(aligned, 5), "");
}

// A damaged picture of a list gives way like a missing one, and is named once.
TEST_F(ClipReaderTest, DamagedPicturesOfAListGiveWay) {
  ClipSource clip;
  for (int i = 0; i < 5; ++i) {
    clip.frames.push_back(folder / ("f" + std::to_string(i) + ".jpg"));
    write_file(clip.frames.back().path(), encode_jpeg(torch::full({32, 32, 3}, 50 * i, torch::kUInt8)));
  }
  for (const int i : {0, 3}) {
    const std::string bytes = testing_support::read_whole(clip.frames[i].path());
    write_file(clip.frames[i].path(), bytes.substr(0, bytes.size() / 2));
  }
  const CapturedLog log;
  const ClipReader logged(tiny_features(), {}, log.log);
  for (int repeat = 0; repeat < 2; ++repeat) {
    const Sample all = logged.read(clip, {.frames = FrameChoice::all}, Need::video, 0);
    EXPECT_TRUE(at::equal(all.video[0], all.video[2])) << "the next one stands for the first";
    EXPECT_TRUE(at::equal(all.video[6], all.video[4])) << "the one before stands for a later one";
    EXPECT_FALSE(at::equal(all.video[8], all.video[6]));
  }
  const std::string said = log.text->str();
  for (const char* name : {"f0.jpg", "f3.jpg"}) {
    const size_t first = said.find(std::string(name) + ": another picture");
    ASSERT_NE(first, std::string::npos) << said;
    EXPECT_EQ(said.find(std::string(name) + ": another picture", first + 1), std::string::npos) << said;
  }
  for (const auto& frame : clip.frames) write_file(frame.path(), "no picture");
  EXPECT_THAT(media_error(clip, Need::video), HasSubstr("nor can any other picture"));
}

TEST_F(ClipReaderTest, PhotosAreTurnedWhereTheSpecSaysSo) {
  const torch::Tensor stored =
      at::cat({torch::full({32, 16, 3}, 250, torch::kUInt8), torch::zeros({32, 16, 3}, torch::kUInt8)}, 1);
  const std::string jpeg = encode_jpeg(stored);
  const std::string exif(
      "\xff\xe1\0\x22"
      "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
      36);
  write_file(folder / "turned.jpg", jpeg.substr(0, 2) + exif + jpeg.substr(2));
  const ClipSource clip = clip_at(folder / "turned.jpg");
  InputSpec spec = tiny_features();
  const torch::Tensor as_stored = ClipReader(spec).read(clip, {}, Need::video, 0).video;
  EXPECT_GT((as_stored[0][16][2] - as_stored[0][16][29]).item<float>(), 1.0f) << "light at the left";
  spec.exif = true;
  const torch::Tensor upright = ClipReader(spec).read(clip, {}, Need::video, 0).video;
  EXPECT_GT((upright[0][2][16] - upright[0][29][16]).item<float>(), 1.0f) << "light at the top";
  const fs::path cache = folder / "cache";
  for (int repeat = 0; repeat < 2; ++repeat) {
    EXPECT_TRUE(
        at::equal(ClipReader(tiny_features(), cache).read(clip, {}, Need::video, 0).video, as_stored));
    EXPECT_TRUE(at::equal(ClipReader(spec, cache).read(clip, {}, Need::video, 0).video, upright));
  }
}

// Once a clip, also where the sound comes out of the cache.
TEST_F(ClipReaderTest, SilenceForWantOfAnotherOptionIsTold) {
  const std::string command =
      "ffmpeg -nostdin -v error -y -f lavfi -i 'aevalsrc=0|0.5*sin(2000*t):s=16000:d=2' " +
      (folder / "right.wav").string();
  ASSERT_EQ(testing_support::run_shell(command).exit_code, 0);
  const ClipSource clip = clip_at(folder / "right.wav");
  for (const bool cached : {false, true, true}) {
    const CapturedLog log;
    const ClipReader logged(tiny_features(), cached ? folder / "cache" : fs::path(), log.log);
    for (int repeat = 0; repeat < 2; ++repeat) logged.read(clip, {}, Need::audio, 0);
    const std::string said = log.text->str();
    const size_t first = said.find("--audio-channels mean");
    ASSERT_NE(first, std::string::npos) << said;
    EXPECT_THAT(said, HasSubstr("right.wav"));
    EXPECT_EQ(said.find("--audio-channels mean", first + 1), std::string::npos) << said;
  }
  InputSpec spec = tiny_features();
  spec.audio_channels = ChannelMix::mean;
  const CapturedLog log;
  ClipReader(spec, folder / "cache", log.log).read(clip, {}, Need::audio, 0);
  EXPECT_EQ(log.text->str(), "");
}

// What lacks in a window because its packets are damaged is told, once a clip, and nowhere else.
TEST_F(ClipReaderTest, SoundThatCannotBeDecodedIsTold) {
  const std::string command =
      "ffmpeg -nostdin -v error -y -f lavfi -i anoisesrc=r=16000:d=12:seed=1 -c:a aac " +
      (folder / "noise.m4a").string();
  ASSERT_EQ(testing_support::run_shell(command).exit_code, 0);
  std::string bytes = read_text(folder / "noise.m4a");
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2), bytes.size() / 24, '\xff');
  write_file(folder / "noise.m4a", bytes);
  ClipSource clip = clip_at(folder / "noise.m4a");
  for (const double start : {1.0, 5.0, 9.0}) {
    clip.start_seconds = start;
    const CapturedLog log;
    const ClipReader logged(tiny_features(), folder / "cache", log.log);
    for (int repeat = 0; repeat < 2; ++repeat) logged.read(clip, {}, Need::audio, 0);
    const std::string said = log.text->str();
    const size_t first = said.find("could not be decoded");
    EXPECT_EQ(first != std::string::npos, start == 5.0) << said;
    if (first != std::string::npos) {
      EXPECT_THAT(said, HasSubstr("noise.m4a"));
      EXPECT_EQ(said.find("could not be decoded", first + 1), std::string::npos) << said;
    }
  }
}

TEST(InputSpec, EveryWrongFieldIsNamed) {
  InputSpec spec;
  EXPECT_NO_THROW(spec.validate());
  spec.num_fbank_frames = 0;
  spec.image_size = -1;
  spec.fbank_std = 0;
  spec.window_seconds = 0.001;
  const auto message = message_from<ConfigError>([&] { ClipReader reader(spec); });
  for (const char* name : {"num_fbank_frames", "image_size", "fbank_std", "window_seconds"})
    EXPECT_THAT(message, HasSubstr(name));
}

}  // namespace
}  // namespace cavmae
