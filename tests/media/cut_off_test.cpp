// A file whose end is missing is named; one that is complete never is.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_media::error_of;
using testing_media::MediaFiles;

struct Container {
  std::string file;
  std::string arguments;
  bool has_audio = true, has_video = true;
};
void PrintTo(const Container& container, std::ostream* out) {
  *out << container.file;
}

// About half a transport stream. It ends behind a whole packet, but not behind the last one of a picture or
// of a stretch of sound: such a file is a whole one that is shorter. Without pictures it ends within a
// packet.
std::string cut_within_a_unit(const std::string& stream, bool has_video) {
  constexpr size_t kPacketBytes = 188;
  constexpr char kBeginsAUnit = 0x40;
  size_t end = stream.size() / 2 / kPacketBytes * kPacketBytes;
  if (!has_video) return stream.substr(0, end + kPacketBytes / 2);
  const auto goes_on = [&](size_t at) {  // a packet that continues what the one before holds
    const bool same_stream = stream[at + 2] == stream[at + 2 - kPacketBytes];
    return same_stream && (stream[at + 1] & kBeginsAUnit) == 0;
  };
  while (end + kPacketBytes < stream.size() && !goes_on(end)) end += kPacketBytes;
  return stream.substr(0, end);
}

class CutOff : public MediaFiles, public testing::WithParamInterface<Container> {
 protected:
  // Whether probing, or reading what should be there, says that the file is cut off.
  bool is_named(const std::string& name) const {
    const auto& [file, arguments, has_audio, has_video] = GetParam();
    try {
      if (probe_media(at(name)).times.cut_off) return true;
      if (has_audio) audio_tensor(at(name), {.start_seconds = 0.0, .duration_seconds = 12.0});
      if (has_video) frame_tensors(at(name), {0.0, 11.0});
    } catch (const MediaError& error) {
      EXPECT_THAT(error.what(), HasSubstr("cut off"));
      EXPECT_THAT(error.what(), HasSubstr(name));
      return true;
    }
    return false;
  }
};

TEST_P(CutOff, HalfAFileIsNamedAndAWholeOneIsNot) {
  const auto& [file, arguments, has_audio, has_video] = GetParam();
  ffmpeg("-f lavfi -i testsrc2=s=160x120:r=25:d=12 -f lavfi -i anoisesrc=d=12:c=pink:r=44100:a=0.5:seed=1 " +
         std::string(has_audio ? "" : "-an ") + (has_video ? "" : "-vn ") + arguments + " " + file);
  EXPECT_FALSE(is_named(file));
  const double duration = probe_media(at(file)).duration_seconds;
  EXPECT_NEAR(duration, 12.0, 0.2);
  for (const double share : {0.5, 0.37, 0.71}) {
    truncate(file, "cut_" + file, share);
    if (file.ends_with(".ts") && share == 0.5)
      write_file(at("cut_" + file), cut_within_a_unit(read_text(at(file)), has_video));
    EXPECT_TRUE(is_named("cut_" + file)) << share;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, CutOff,
    testing::Values(
        Container{"a.mp4", "-c:v libx264 -preset veryfast -c:a aac"},
        Container{"front.mp4", "-c:v libx264 -preset veryfast -c:a aac -movflags +faststart"},
        Container{"fragments.mp4",
                  "-c:v libx264 -preset veryfast -c:a aac -movflags frag_keyframe+empty_moov"},
        Container{"a.mkv", "-c:v libx264 -preset veryfast -c:a aac"},
        Container{"a.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus"},
        Container{"live.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -live 1"},
        Container{"a.wav", "-c:a pcm_s16le", true, false},
        Container{"float.wav", "-c:a pcm_f32le", true, false},
        Container{"adpcm.wav", "-c:a adpcm_ima_wav", true, false}, Container{"a.aiff", "", true, false},
        Container{"a.flac", "", true, false}, Container{"a.mp3", "-c:a libmp3lame -q:a 2", true, false},
        Container{"constant.mp3", "-c:a libmp3lame -b:a 128k", true, false},
        Container{"no_xing.mp3", "-c:a libmp3lame -q:a 2 -write_xing 0", true, false},
        Container{"a.ac3", "-c:a ac3", true, false}, Container{"a.aac", "-c:a aac", true, false},
        Container{"a.ogg", "-c:a libvorbis", true, false}, Container{"a.opus", "-c:a libopus", true, false},
        Container{"a.m4a", "-c:a aac -movflags +faststart", true, false},
        Container{"a.ts", "-c:v libx264 -preset veryfast -c:a aac"},
        Container{"mpeg2.ts", "-c:v mpeg2video -c:a mp2"}, Container{"sound.ts", "-c:a aac", true, false},
        Container{"mute.ts", "-c:v libx264 -preset veryfast", false, true},
        Container{"a.mpg", "-c:v mpeg2video -c:a mp2"}, Container{"a.avi", "-c:v mpeg4 -c:a libmp3lame"},
        Container{"a.flv", "-c:v flv1 -c:a libmp3lame"}, Container{"a.wmv", "-c:v wmv2 -c:a wmav2"},
        Container{"pipe.avi", "-c:v mpeg4 -c:a libmp3lame -f avi pipe:3 3>"},
        Container{"a.nut", "-c:v mpeg4 -c:a libmp3lame"}, Container{"a.caf", "", true, false},
        Container{"a.w64", "", true, false}, Container{"a.voc", "", true, false},
        Container{"a.wv", "", true, false}, Container{"a.tta", "", true, false},
        Container{"a.latm", "-c:a aac", true, false}, Container{"a.gif", "-r 5", false, true}),
    [](const auto& container) {
      std::string name = container.param.file;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

class WholeFiles : public MediaFiles {};

// What follows the last frame of an MP3 file is no frame that lacks its end.
TEST_F(WholeFiles, TagsAtTheEndAreNoDamage) {
  write_wav("s.wav", 44100, 3);
  ffmpeg("-i s.wav -c:a libmp3lame -q:a 2 -metadata title=x -write_id3v1 1 id3.mp3");
  std::string mp3 = read_text(at("id3.mp3"));
  ASSERT_EQ(mp3.substr(mp3.size() - 128, 3), "TAG");
  EXPECT_FALSE(probe_media(at("id3.mp3")).times.cut_off);
  mp3.resize(mp3.size() - 128);
  const std::string item = std::string("\x03\0\0\0\0\0\0\0", 8) + "Artist" + std::string(1, '\0') + "abc";
  const std::string header = "APETAGEX" + std::string("\xd0\x07\0\0", 4) +
                             std::string(1, static_cast<char>(item.size() + 32)) +
                             std::string("\0\0\0\x01\0\0\0", 7);
  write_file(at("ape.mp3"), mp3 + header + std::string("\0\0\0\xa0", 4) + std::string(8, '\0') + item +
                                header + std::string("\0\0\0\x80", 4) + std::string(8, '\0'));
  EXPECT_FALSE(probe_media(at("ape.mp3")).times.cut_off);
  write_file(at("zeros.mp3"), mp3 + std::string(5000, '\0'));
  EXPECT_FALSE(probe_media(at("zeros.mp3")).times.cut_off);
}

// Where the header itself is not whole, FFmpeg does not open the file.
TEST_F(WholeFiles, AnIndexThatLacksItsEndIsACutOffFile) {
  ffmpeg("-f lavfi -i testsrc2=s=64x64:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 -c:a aac a.mp4");
  const std::string bytes = read_text(at("a.mp4"));
  for (const size_t lacking : {300, 900}) {
    write_file(at("cut.mp4"), bytes.substr(0, bytes.size() - lacking));
    EXPECT_THAT(error_of<MediaError>([&] { probe_media(at("cut.mp4")); }), HasSubstr("cut off")) << lacking;
  }
}

TEST_F(WholeFiles, BytesBehindTheEndAreNoDamage) {
  ffmpeg("-f lavfi -i testsrc2=s=64x64:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 -c:a aac a.mp4");
  ffmpeg("-i a.mp4 -c copy a.mkv");
  ffmpeg("-i a.mp4 -vn a.wav");
  ffmpeg("-i a.mp4 -c:v mpeg4 -c:a libmp3lame a.avi");
  ffmpeg("-i a.mp4 -an -r 5 a.gif");
  for (const char* name : {"a.mp4", "a.mkv", "a.wav", "a.avi", "a.gif"}) {
    for (const std::string& tail : {std::string(1000, '\0'), std::string("\r\n"), std::string(500, 'x')}) {
      write_file(at(std::string("tail_") + name), read_text(at(name)) + tail);
      const MediaInfo info = probe_media(at(std::string("tail_") + name));
      EXPECT_FALSE(info.times.cut_off) << name;
      EXPECT_NEAR(info.duration_seconds, 2.0, 0.25) << name;
      if (info.has_video) {
        EXPECT_EQ(frame_tensors(at(std::string("tail_") + name), {5.0}).size(), 1u) << name;
      }
      if (info.has_audio) {
        EXPECT_GT(audio_tensor(at(std::string("tail_") + name), {}).numel(), 30000) << name;
      }
    }
  }
}

}  // namespace
}  // namespace cavmae
