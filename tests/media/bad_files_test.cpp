#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

class BadFiles : public MediaFiles {
 protected:
  // The three ways to open a file agree on what is wrong with it.
  void expect_refused(const std::string& name, const std::string& reason) const {
    const auto matcher = AllOf(HasSubstr(at(name).string()), HasSubstr(reason));
    EXPECT_THAT(error_of<MediaError>([&] { probe_media(at(name)); }), matcher);
    EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at(name), {}); }), matcher);
    EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(at(name), {0.0}); }), matcher);
  }
  void make_movie(const std::string& name, const std::string& arguments = "") const {
    ffmpeg(
        "-f lavfi -i testsrc2=s=160x120:r=25:d=8 -f lavfi -i \"anoisesrc=d=8:c=pink:r=44100:a=0.5:seed=1\" -c:v "
        "libx264 -preset veryfast -g 25 -c:a aac " +
        arguments + " " + name);
  }
};

TEST_F(BadFiles, AreNamedWithTheReason) {
  expect_refused("missing.mp4", "no such file");
  write_file(at("empty.mp4"), "");
  expect_refused("empty.mp4", "0 bytes");
  std::filesystem::create_directory(at("folder.mp4"));
  expect_refused("folder.mp4", "is a folder");
  write_file(at("text.mp4"), "This is a text, whatever its name says.\n");
  expect_refused("text.mp4", "not a media file");
  for (const char* name :
       {"text.wav", "text.mkv", "text.txt", "text.avi", "text.ogg", "text.flac", "text.webm"}) {
    std::string text(3000, 'a');
    text.append("\nThis is a text.\n");
    write_file(at(name), text);
    expect_refused(name, "");
  }
  write_file(at("list.mp4"), "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n");
  expect_refused("list.mp4", "");
}

TEST_F(BadFiles, UnreadableFilesSayHowToCureThem) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  write_wav("secret.wav", 16000, 0.1);
  std::filesystem::permissions(at("secret.wav"), std::filesystem::perms::none);
  expect_refused("secret.wav", "permission denied");
}

TEST_F(BadFiles, SoundOrPicturesMayLack) {
  write_wav("sound.wav", 16000, 1.0);
  EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(at("sound.wav"), {0.0}); }),
              HasSubstr("has no video stream"));
  ffmpeg("-f lavfi -i testsrc2=s=64x64:r=5:d=1 -c:v libx264 silent.mp4");
  EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("silent.mp4"), {}); }), HasSubstr("has no audio"));
  EXPECT_FALSE(probe_media(at("silent.mp4")).has_audio);
}

TEST_F(BadFiles, CoverArtIsNoVideo) {
  write_wav("sound.wav", 44100, 1.0);
  ffmpeg("-f lavfi -i testsrc2=s=64x64:r=5:d=1 -frames:v 1 cover.png");
  ffmpeg("-i sound.wav -i cover.png -map 0 -map 1 -c:v copy -disposition:v attached_pic song.mp3");
  const MediaInfo info = probe_media(at("song.mp3"));
  EXPECT_TRUE(info.has_audio);
  EXPECT_FALSE(info.has_video);
  EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(at("song.mp3"), {0.0}); }),
              HasSubstr("has no video stream"));
  EXPECT_NEAR(static_cast<double>(audio_tensor(at("song.mp3"), {}).numel()), 16000, 800);
}

TEST_F(BadFiles, Mp4WithoutItsIndexIsCutOff) {
  make_movie("whole.mp4");
  truncate("whole.mp4", "cut.mp4", 0.6);
  expect_refused("cut.mp4", "cut off");
}

TEST_F(BadFiles, WhatACutOffFileStillHoldsIsUsed) {
  make_movie("whole.mp4", "-movflags +faststart");
  make_movie("whole.mkv");
  for (const std::string extension : {"mp4", "mkv"}) {
    truncate("whole." + extension, "cut." + extension, 0.5);
    const auto file = at("cut." + extension);
    EXPECT_EQ(audio_tensor(file, {.duration_seconds = 2.0}).numel(), 32000);
    EXPECT_EQ(frame_tensors(file, {0.0, 1.0, 2.0}).size(), 3u);
    EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(file, {.duration_seconds = 8.0}); }),
                HasSubstr("cut off"));
    EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(file, {.start_seconds = 6.0}); }),
                HasSubstr("cut off"));
    EXPECT_THAT(error_of<MediaError>([&] { frame_tensors(file, {0.0, 7.0}); }), HasSubstr("cut off"));
  }
  write_wav("whole.wav", 16000, 4.0);
  truncate("whole.wav", "cut.wav", 0.5);
  EXPECT_EQ(audio_tensor(at("cut.wav"), {.duration_seconds = 1.5}).numel(), 24000);
}

TEST_F(BadFiles, DamagedBytesNeverCrash) {
  make_movie("whole.mp4", "-movflags +faststart");
  make_movie("whole.mkv");
  ffmpeg("-i whole.mp4 -vn whole.mp3");
  ffmpeg("-i whole.mp4 -c:v mpeg4 -c:a libmp3lame whole.avi");
  ffmpeg("-i whole.mp4 -c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis whole.webm");
  for (const std::string name : {"whole.mp4", "whole.mkv", "whole.mp3", "whole.avi", "whole.webm"}) {
    const std::string bytes = read_text(at(name));
    for (uint64_t seed = 0; seed < 12; ++seed) {
      Random random{seed, bytes.size()};
      std::string damaged = bytes;
      // Half of them near the front, where the headers are.
      const auto reach =
          static_cast<int64_t>(seed % 2 == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 3000)) - 1;
      for (int i = 0; i < 60; ++i)
        damaged[static_cast<size_t>(random.integer(0, reach))] = static_cast<char>(random.integer(0, 255));
      write_file(at("damaged" + name), damaged);
      for (const double start : {0.0, 5.0}) {
        try {
          audio_tensor(at("damaged" + name), {.start_seconds = start, .duration_seconds = 2.0});
        } catch (const MediaError&) {
        }
        try {
          frame_tensors(at("damaged" + name), {start, start + 1.0});
        } catch (const MediaError&) {
        }
      }
    }
  }
}

}  // namespace
}  // namespace cavmae
