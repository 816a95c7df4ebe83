// When sound and pictures begin and end, in every kind of file whose header does not simply say so.
#include "cavmae/media/media_times.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

// The strongest frequency of a second of sound. waveform: float [16000]
int64_t loudest_hz(const torch::Tensor& waveform) {
  return at::fft_rfft(waveform - waveform.mean()).abs().argmax().item<int64_t>();
}

class MediaTimesTest : public MediaFiles {
 protected:
  // Numbered pictures at 25 a second beside a tone that rises by 100 Hz every second, from 300 Hz on.
  void make_movie(const std::string& name, double seconds, const std::string& coding) const {
    const std::string length = std::to_string(seconds);
    ffmpeg(numbered_frames(25, seconds) +
           "-f lavfi -i \"aevalsrc=0.5*sin(2*PI*(300+100*floor(t))*t):s=48000:d=" + length + "\" " + coding +
           " " + name);
  }

  // What is heard in the second that begins there.
  int64_t heard_hz(const std::string& name, double seconds) const {
    const torch::Tensor waveform =
        audio_tensor(at(name), {.start_seconds = seconds, .duration_seconds = 1.0});
    EXPECT_EQ(waveform.numel(), 16000) << name << " at " << seconds;
    return waveform.numel() == 16000 ? loudest_hz(waveform) : 0;
  }
  int64_t seen_number(const std::string& name, double seconds) const {
    return frame_number(frame_tensors(at(name), {seconds})[0]);
  }

  void expect_sound(const std::string& name, double start, double end, double tolerance = 0.06) const {
    const MediaTimes times = probe_media(at(name)).times;
    EXPECT_NEAR(times.audio.start_seconds, start, tolerance) << name;
    EXPECT_NEAR(times.audio.end_seconds, end, tolerance) << name;
    EXPECT_FALSE(times.cut_off) << name;
  }
  void expect_pictures(const std::string& name, double start, double end, double tolerance = 0.06) const {
    const MediaTimes times = probe_media(at(name)).times;
    EXPECT_NEAR(times.video.start_seconds, start, tolerance) << name;
    EXPECT_NEAR(times.video.end_seconds, end, tolerance) << name;
    EXPECT_FALSE(times.cut_off) << name;
  }
};

TEST_F(MediaTimesTest, AStartThatIsNot0MovesNothing) {
  make_movie("plain.mp4", 5, "-c:v libx264 -preset veryfast -bf 2 -c:a aac");
  for (const std::string name : {"late.mp4", "late.mov", "late.mkv", "late.ts", "late.flv", "late.nut"}) {
    ffmpeg("-i plain.mp4 -c copy -output_ts_offset 100 " + name);
    expect_sound(name, 0, 5);
    expect_pictures(name, 0, 5);
    for (const double seconds : {0.0, 0.04, 1.0, 3.52, 4.96})
      EXPECT_EQ(seen_number(name, seconds), std::lround(seconds * 25)) << name << " at " << seconds;
    for (const int64_t second : {0, 2, 3})
      EXPECT_EQ(heard_hz(name, static_cast<double>(second)), 300 + 100 * second) << name;
  }
  make_movie("plain.webm", 5, "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus");
  ffmpeg("-i plain.webm -c copy -output_ts_offset 100 late.webm");
  for (const double seconds : {0.0, 1.02, 3.5})
    EXPECT_EQ(seen_number("late.webm", seconds), seen_number("plain.webm", seconds)) << seconds;
  EXPECT_EQ(heard_hz("late.webm", 2), 500);
}

TEST_F(MediaTimesTest, OtherTracksAndTheWholeFilesLengthMoveNothing) {
  make_movie("a.mp4", 5, "-c:v libx264 -preset veryfast -c:a aac");
  write_file(at("s.srt"), "1\n00:00:01,000 --> 00:10:00,000\nx\n");
  write_file(at("chapters.txt"), ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=900\ntitle=one\n");
  ffmpeg("-i a.mp4 -i s.srt -map 0 -map 1 -c copy -c:s mov_text sub.mp4");
  ffmpeg("-i a.mp4 -i s.srt -map 0 -map 1 -c copy -c:s srt sub.mkv");
  ffmpeg("-i a.mp4 -i chapters.txt -map_metadata 1 -c copy chapters.mp4");
  ffmpeg("-i a.mp4 -i chapters.txt -map_metadata 1 -c copy chapters.mkv");
  ffmpeg(
      "-i a.mp4 -f lavfi -i sine=d=40 -map 0 -map 1 -c:v copy -c:a aac -disposition:a:0 default tracks.mp4");
  std::string stale = read_text(at("a.mp4"));
  const size_t mvhd = stale.find("mvhd");
  ASSERT_NE(mvhd, std::string::npos);
  stale[mvhd + 20] = '\x7f';  // the first byte of the duration
  write_file(at("stale.mp4"), stale);
  for (const char* name : {"sub.mp4", "sub.mkv", "chapters.mp4", "chapters.mkv", "tracks.mp4", "stale.mp4"}) {
    expect_sound(name, 0, 5);
    expect_pictures(name, 0, 5);
  }
}

TEST_F(MediaTimesTest, EachSideHasItsOwnLength) {
  ffmpeg("-f lavfi -i testsrc=s=64x64:d=30 -f lavfi -i sine=300:d=6 -c:v libx264 -c:a aac short.mp4");
  ffmpeg(
      "-f lavfi -i testsrc=s=64x64:d=20 -f lavfi -i anullsrc=d=5 -f lavfi -i sine=300:d=10 -map 0 -map 2 "
      "-c:v libx264 -c:a aac whole.mp4");
  ffmpeg("-i whole.mp4 -itsoffset 5 -i whole.mp4 -map 0:v -map 1:a -c copy late_sound.mp4");
  for (const std::string extension : {"mp4", "mkv", "ts", "avi", "flv"}) {
    if (extension != "mp4") {
      ffmpeg("-i short.mp4 -c copy short." + extension);
      if (extension != "avi") ffmpeg("-i late_sound.mp4 -c copy late_sound." + extension);
    }
    expect_sound("short." + extension, 0, 6);
    expect_pictures("short." + extension, 0, 30);
    if (extension == "avi") continue;
    expect_sound("late_sound." + extension, 5, 15);
    expect_pictures("late_sound." + extension, 0, 20);
    const torch::Tensor heard = audio_tensor(at("late_sound." + extension), {.start_seconds = 4.0});
    EXPECT_LT(heard.slice(0, 0, 15000).abs().max().item<float>(), 1e-3f) << extension;
    EXPECT_GT(heard.slice(0, 17000, 18000).abs().max().item<float>(), 0.05f) << extension;
  }
}

struct Unmeasured {
  std::string file;
  std::string arguments;  // from movie.mp4
  bool has_audio = true, has_video = true;
};
void PrintTo(const Unmeasured& file, std::ostream* out) {
  *out << file.file;
}

class UnmeasuredFiles : public MediaTimesTest, public testing::WithParamInterface<Unmeasured> {};

TEST_P(UnmeasuredFiles, AreAsLongAsTheirPackets) {
  const auto& [file, arguments, has_audio, has_video] = GetParam();
  make_movie("movie.mp4", 12, "-c:v libx264 -preset veryfast -g 50 -c:a aac");
  ffmpeg("-i movie.mp4 " + arguments + " 3> " + file);
  const MediaTimes times = probe_media(at(file)).times;
  EXPECT_FALSE(times.cut_off);
  if (has_audio) {
    EXPECT_NEAR(times.audio.end_seconds - times.audio.start_seconds, 12, 0.2);
    EXPECT_EQ(heard_hz(file, 7.0 + times.audio.start_seconds), 1000);
    EXPECT_GT(audio_tensor(at(file), {.start_seconds = 10.0}).numel(), 30000) << "nothing is cut off";
  }
  if (has_video) {
    EXPECT_NEAR(times.video.end_seconds - times.video.start_seconds, 12, 0.2);
    EXPECT_NEAR(static_cast<double>(seen_number(file, 7.0)), 175, 6);
    EXPECT_EQ(frame_tensors(at(file), {20.0}).size(), 1u) << "the last picture stays";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, UnmeasuredFiles,
    testing::Values(
        Unmeasured{"no_xing.mp3", "-vn -c:a libmp3lame -q:a 0 -write_xing 0 -f mp3 pipe:3", true, false},
        Unmeasured{"adts.aac", "-vn -c copy -f adts pipe:3", true, false},
        Unmeasured{"live.webm",
                   "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -f webm -live 1 pipe:3"},
        Unmeasured{"pipe.mkv", "-c copy -f matroska pipe:3"},
        Unmeasured{"pipe.flac", "-vn -c:a flac -f flac pipe:3", true, false},
        Unmeasured{"pipe.avi", "-c:v mpeg4 -c:a libmp3lame -f avi pipe:3"},
        Unmeasured{"pipe.flv", "-c copy -f flv pipe:3"},
        Unmeasured{"pipe.wav", "-vn -c:a pcm_f32le -f wav pipe:3", true, false},
        Unmeasured{"pipe.au", "-vn -c:a pcm_s16be -f au pipe:3", true, false},
        Unmeasured{"pipe.ogg", "-vn -c:a libvorbis -f ogg pipe:3", true, false},
        Unmeasured{"pipe.ts", "-c copy -f mpegts pipe:3"},
        Unmeasured{"pipe.mpg", "-c:v mpeg2video -c:a mp2 -f mpeg pipe:3"},
        Unmeasured{"pipe.wmv", "-c:v wmv2 -c:a wmav2 -f asf pipe:3"},
        Unmeasured{"fragments.mp4", "-c copy -movflags frag_keyframe+empty_moov -f mp4 pipe:3"},
        Unmeasured{"raw.h264", "-an -c copy -bsf:v h264_mp4toannexb -f h264 pipe:3", false, true},
        Unmeasured{"raw.ac3", "-vn -c:a ac3 -f ac3 pipe:3", true, false}),
    [](const auto& file) {
      std::string name = file.param.file;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST_F(MediaTimesTest, WrongHeadersOfSoundAreNotBelieved) {
  write_wav("v.wav", 44100, 8);
  ffmpeg("-i v.wav -c:a pcm_f32le f.wav");
  std::string wav = read_text(at("f.wav"));
  const size_t fact = wav.find("fact");
  ASSERT_NE(fact, std::string::npos);
  for (const char byte : {'\0', '\x7f'}) {
    wav[fact + 11] = byte;
    wav[fact + 9] = byte;
    write_file(at("fact.wav"), wav);
    expect_sound("fact.wav", 0, 8, 0.001);
    EXPECT_EQ(audio_tensor(at("fact.wav"), {.start_seconds = 7.0}).numel(), 16000);
  }
  ffmpeg("-i v.wav -c:a libmp3lame -q:a 2 x.mp3");
  std::string mp3 = read_text(at("x.mp3"));
  const size_t xing = mp3.find("Xing");
  ASSERT_NE(xing, std::string::npos);
  for (const char frames : {'\0', '\x30'}) {  // 306 frames become 50 or 12,000
    mp3[xing + 10] = frames;
    mp3[xing + 11] = '\x32';
    write_file(at("xing.mp3"), mp3);
    expect_sound("xing.mp3", 0, 8);
    EXPECT_GT(audio_tensor(at("xing.mp3"), {.start_seconds = 6.0}).numel(), 31000);
  }
  write_file(at("twice.mp3"), read_text(at("x.mp3")) + read_text(at("x.mp3")));
  expect_sound("twice.mp3", 0, 16, 0.1);
}

TEST_F(MediaTimesTest, ATtaFileIsAsLongAsItsHeaderCounts) {
  write_wav("v.wav", 44100, 8);
  ffmpeg("-i v.wav v.tta");
  expect_sound("v.tta", 0, 8, 0.0001);
  EXPECT_EQ(audio_tensor(at("v.tta"), {.start_seconds = 7.0}).numel(), 16000);
}

TEST_F(MediaTimesTest, ALastPictureThatIsHeldIsNoDamage) {
  ffmpeg("-f lavfi -i testsrc=s=64x64:r=10:d=0.5 -final_delay 500 held.gif");
  ffmpeg(numbered_frames(25, 1) +
         "-vf \"setpts='if(eq(N,24),24+25*20,N)'/25/TB\" -vsync vfr -c:v libx264 gap.mp4");
  ffmpeg(numbered_frames(25, 60) + "-vf \"select='not(mod(n,500))'\" -vsync vfr -c:v libx264 slides.mkv");
  ffmpeg("-i slides.mkv -c copy slides.mp4");
  for (const char* name : {"held.gif", "gap.mp4", "slides.mkv", "slides.mp4"}) {
    const MediaInfo info = probe_media(at(name));
    EXPECT_FALSE(info.times.cut_off) << name;
    const torch::Tensor last = frame_tensors(at(name), {info.duration_seconds + 30.0})[0];
    EXPECT_TRUE(at::equal(last, frame_tensors(at(name), {info.duration_seconds - 0.01})[0])) << name;
  }
  expect_pictures("held.gif", 0, 5.4);
}

TEST_F(MediaTimesTest, OnePictureStaysAsLongAsTheSound) {
  write_wav("s.wav", 44100, 6);
  ffmpeg(numbered_frames(25, 0.04) + "-i s.wav -c:v libx264 -c:a aac one.mp4");
  ffmpeg("-i one.mp4 -c copy one.mkv");
  ffmpeg("-i one.mp4 -c copy one.flv");
  ffmpeg("-i one.mp4 -c copy one.ts");  // of which FFmpeg does not tell the size of the picture
  for (const char* name : {"one.mp4", "one.mkv", "one.flv", "one.ts"}) {
    expect_sound(name, 0, 6);
    expect_pictures(name, 0, 6);
  }
}

TEST_F(MediaTimesTest, AClockThatBeginsAgainIsOneAxis) {
  const std::string coding = "-c:v libx264 -preset veryfast -g 25 -c:a aac";
  const auto piece = [&](const char* colour, int hz, const std::string& name) {
    ffmpeg(std::string("-f lavfi -i color=") + colour +
           ":s=64x64:r=25:d=5 -f lavfi -i sine=" + std::to_string(hz) + ":d=5 " + coding + " " + name);
  };
  piece("red", 300, "a.ts");
  piece("blue", 1000, "b.ts");
  ffmpeg("-i a.ts -c copy -output_ts_offset 5000 later.ts");
  const std::string a = read_text(at("a.ts")), b = read_text(at("b.ts")), later = read_text(at("later.ts"));
  write_file(at("ab.ts"), a + b);
  write_file(at("abab.ts"), a + b + a + b);
  write_file(at("jumps.ts"), later + b + later + b);  // back, forward, back
  for (const std::string name : {"ab.ts", "abab.ts", "jumps.ts"}) {
    const double seconds = name == "ab.ts" ? 10 : 20;
    expect_sound(name, 0, seconds, 0.08);
    expect_pictures(name, 0, seconds, 0.08);
    std::vector<double> times;
    for (double t = 0.5; t < seconds; t += 1.0) times.push_back(t);
    const auto pictures = frame_tensors(at(name), times);
    for (size_t i = 0; i < times.size(); ++i) {
      const bool is_red = static_cast<int64_t>(times[i]) % 10 < 5;
      EXPECT_EQ(pictures[i][32][32][0].item<int64_t>() > 128, is_red) << name << " at " << times[i];
      const auto alone = frame_tensors(at(name), {times[i]})[0];
      EXPECT_TRUE(at::equal(alone, pictures[i])) << name << " at " << times[i];
    }
    for (double t = 0.0; t < seconds; t += 5.0) {
      const bool is_red = static_cast<int64_t>(t) % 10 < 5;
      EXPECT_EQ(heard_hz(name, t + 0.2), is_red ? 300 : 1000) << name << " at " << t;
      EXPECT_EQ(heard_hz(name, t + 3.6), is_red ? 300 : 1000) << name << " at " << t;
    }
  }
}

// The sound of a piece overlaps that of the one before by its encoder's priming, which moves nothing.
TEST_F(MediaTimesTest, SoundOfAJoinedPieceStaysWithItsPictures) {
  write_wav("noise.wav", 48000, 4);
  for (const std::string codec : {"aac -aac_pns 0", "mp2"}) {
    ffmpeg("-f lavfi -i color=red:s=64x64:r=25:d=4 -i noise.wav -c:v libx264 -bf 0 -b:a 256k -c:a " + codec +
           " a.ts");
    const std::string piece = read_text(at("a.ts"));
    write_file(at("three.ts"), piece + piece + piece);
    const auto heard = [&](const std::string& name, double seconds) {
      return audio_tensor(at(name), {.start_seconds = seconds, .duration_seconds = 2.0});
    };
    const torch::Tensor alone = heard("a.ts", 1.0);
    for (const double start : {1.0, 5.0, 9.0}) {
      const torch::Tensor joined = heard("three.ts", start);
      ASSERT_EQ(joined.sizes(), alone.sizes());
      const double likeness =
          ((joined * alone).sum() / (joined.square().sum() * alone.square().sum()).sqrt()).item<double>();
      EXPECT_GT(likeness, 0.99) << codec << " at " << start;
    }
  }
}

TEST_F(MediaTimesTest, OggFilesOneAfterAnotherAreOneAxis) {
  for (const auto& [name, codec] : {std::pair("a.ogg", "libvorbis"), std::pair("a.opus", "libopus")}) {
    ffmpeg(std::string("-f lavfi -i sine=300:d=4:r=48000 -c:a ") + codec + " first_" + name);
    ffmpeg(std::string("-f lavfi -i sine=1000:d=4:r=48000 -c:a ") + codec + " second_" + name);
    write_file(at(name),
               read_text(at(std::string("first_") + name)) + read_text(at(std::string("second_") + name)));
    expect_sound(name, 0, 8, 0.1);
    EXPECT_EQ(heard_hz(name, 2.5), 300) << name;
    EXPECT_EQ(heard_hz(name, 5.0), 1000) << name;
  }
}

// The checksum of an Ogg page, whose own four bytes count as zeros.
uint32_t ogg_checksum(const std::string& page) {
  uint32_t sum = 0;
  for (const unsigned char byte : page) {
    sum ^= static_cast<uint32_t>(byte) << 24;
    for (int bit = 0; bit < 8; ++bit) sum = (sum << 1) ^ ((sum >> 31) != 0 ? 0x04c11db7U : 0U);
  }
  return sum;
}

// Encoders of old ended files so, as those of Debian's tuxpaint-stamps-default.
TEST_F(MediaTimesTest, AnOggFileMayEndBeforeItsLastPacketBegins) {
  ffmpeg("-f lavfi -i sine=r=8000:d=1 -c:a libvorbis sound.ogg");
  std::string bytes = read_text(at("sound.ogg"));
  const size_t page = bytes.rfind("OggS");
  const auto put = [&](size_t offset, uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes[page + offset + i] = static_cast<char>(value >> (8 * i));
  };
  uint64_t samples = 0;
  for (int i = 7; i >= 0; --i) samples = samples << 8 | static_cast<unsigned char>(bytes[page + 6 + i]);
  ASSERT_EQ(samples, 8000U);
  put(6, samples - 2000, 8);
  put(22, 0, 4);
  put(22, ogg_checksum(bytes.substr(page)), 4);
  write_file(at("sound.ogg"), bytes);
  expect_sound("sound.ogg", 0, 1, /*tolerance=*/0.3);
  EXPECT_GT(audio_tensor(at("sound.ogg"), {.duration_seconds = 1.0}).numel(), 11000);
}

TEST_F(MediaTimesTest, MatroskaFilesOneAfterAnotherAreOneAxis) {
  for (const auto& [extension, coding] : {std::pair(".mkv", "-c:v libx264 -g 25 -c:a aac"),
                                          std::pair(".webm", "-c:v libvpx -g 25 -c:a libopus")}) {
    const auto piece = [&, coding = coding](const char* colour, int hz, const std::string& name) {
      ffmpeg(std::string("-f lavfi -i color=") + colour + ":s=64x64:r=25:d=8 -f lavfi -i sine=" +
             std::to_string(hz) + ":d=8:r=48000 " + coding + " " + name);
      return read_text(at(name));
    };
    const std::string name = std::string("ab") + extension;
    write_file(at(name), piece("red", 300, "a_" + name) + piece("blue", 1000, "b_" + name));
    expect_sound(name, 0, 16, 0.1);
    expect_pictures(name, 0, 16, 0.1);
    for (const double seconds : {0.5, 7.5, 8.5, 15.0}) {
      const bool is_red = frame_tensors(at(name), {seconds})[0][32][32][0].item<int64_t>() > 128;
      EXPECT_EQ(is_red, seconds < 8) << name << " at " << seconds;
    }
    EXPECT_EQ(heard_hz(name, 6.5), 300) << name;
    EXPECT_EQ(heard_hz(name, 8.5), 1000) << name;
    EXPECT_EQ(heard_hz(name, 14.5), 1000) << name;
  }
}

TEST_F(MediaTimesTest, SoundAndPicturesAreOfOneProgramme) {
  ffmpeg(
      "-f lavfi -i color=red:s=64x64:r=25:d=4 -f lavfi -i sine=300:d=4 -f lavfi -i color=blue:s=128x128:r=25:d=4 "
      "-f lavfi -i sine=1000:d=4 -map 2:v -map 1:a -map 0:v -map 3:a -c:v libx264 -c:a aac "
      "-program title=one:st=1:st=2 -program title=two:st=0:st=3 two.ts");
  const bool is_red = frame_tensors(at("two.ts"), {1.0})[0][32][32][0].item<int64_t>() > 128;
  EXPECT_EQ(heard_hz("two.ts", 1.0), is_red ? 300 : 1000);
  // The larger pictures have no sound in their programme.
  ffmpeg(
      "-f lavfi -i color=red:s=64x64:r=25:d=4 -f lavfi -i sine=300:d=4 -f lavfi -i color=blue:s=128x128:r=25:d=4 "
      "-map 2:v -map 0:v -map 1:a -c:v libx264 -c:a aac -program title=one:st=1:st=2 -program title=two:st=0 one.ts");
  EXPECT_GT(frame_tensors(at("one.ts"), {1.0})[0][32][32][0].item<int64_t>(), 128);
  EXPECT_EQ(heard_hz("one.ts", 1.0), 300);
}

TEST_F(MediaTimesTest, KnownTimesSaveTheScanAndGiveTheSame) {
  make_movie("a.ts", 6, "-c:v libx264 -preset veryfast -g 25 -c:a aac");
  const MediaTimes times = probe_media(at("a.ts")).times;
  EXPECT_TRUE(at::equal(audio_tensor(at("a.ts"), {.start_seconds = 2.0, .times = &times}),
                        audio_tensor(at("a.ts"), {.start_seconds = 2.0})));
  EXPECT_TRUE(
      at::equal(frame_tensors(at("a.ts"), {4.0}, {}, &times)[0], frame_tensors(at("a.ts"), {4.0})[0]));
}

}  // namespace
}  // namespace cavmae
