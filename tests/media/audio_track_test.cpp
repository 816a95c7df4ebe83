// Which sound track of a file is read.
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

class AudioTracks : public MediaFiles {
 protected:
  // A file with a picture and tones of 300, 1000 and 3000 Hz as its first, second and third sound track.
  void write_tracks(const std::string& name, const std::string& codecs) const {
    ffmpeg(
        "-f lavfi -i color=gray:s=64x64:r=10:d=4 -f lavfi -i sine=300:d=4:r=16000 -f lavfi -i "
        "sine=1000:d=4:r=16000 -f lavfi -i sine=3000:d=4:r=16000 -map 0 -map 1 -map 2 -map 3 -c:v libx264 " +
        codecs + " " + name);
  }

  // Makes the first track that is AAC one of another codec: its name and its description become others.
  void disguise(const std::string& name, const std::string& codec) const {
    std::string bytes = read_text(at(name));
    const size_t tag = bytes.find("mp4a");
    ASSERT_NE(tag, std::string::npos);
    const size_t description = bytes.find("esds", tag);
    ASSERT_NE(description, std::string::npos);
    bytes.replace(tag, 4, codec);
    bytes.replace(description, 4, "free");
    write_file(at(name), bytes);
  }

  // The frequency of a pure tone, by its changes of sign.
  int64_t pitch_hz(const std::string& name, const AudioRequest& request = {}) const {
    const torch::Tensor sound = audio_tensor(at(name), request).slice(0, 8000, 24000);
    const torch::Tensor above = sound > 0;
    const auto changes = (above.slice(0, 1) != above.slice(0, 0, -1)).sum().item<int64_t>();
    return (changes + 10) / 20 * 10;
  }

  static AudioRequest track(int64_t number) {
    AudioRequest request;
    request.audio_track = number;
    return request;
  }
};

TEST_F(AudioTracks, AreChosenByNumber) {
  write_tracks("a.mkv", "-c:a flac");
  EXPECT_EQ(pitch_hz("a.mkv"), 300);
  EXPECT_EQ(pitch_hz("a.mkv", track(0)), 300);
  EXPECT_EQ(pitch_hz("a.mkv", track(1)), 1000);
  EXPECT_EQ(pitch_hz("a.mkv", track(2)), 3000);
  EXPECT_EQ(probe_media(at("a.mkv")).audio_track, 0);
  EXPECT_EQ(probe_media(at("a.mkv")).num_audio_tracks, 3);
  EXPECT_EQ(probe_media(at("a.mkv"), {.audio_track = 2}).audio_track, 2);
  const std::string error = error_of<MediaError>([&] { audio_tensor(at("a.mkv"), track(3)); });
  EXPECT_THAT(error, AllOf(HasSubstr("a.mkv"), HasSubstr("3 sound tracks"), HasSubstr("no track 3")));
  EXPECT_THAT(probe_media(at("a.mkv"), {.audio_track = 3}).audio_problem, HasSubstr("no track 3"));
}

TEST_F(AudioTracks, TheDefaultIsTheOneThatTheFileSays) {
  write_tracks("a.mkv", "-c:a flac -disposition:a 0 -disposition:a:1 default");
  EXPECT_EQ(pitch_hz("a.mkv"), 1000);
  EXPECT_EQ(probe_media(at("a.mkv")).audio_track, 1);
}

TEST_F(AudioTracks, OneThatCannotBeDecodedGivesWay) {
  for (const std::string unknown : {"apac", "ac-4", "zzzz", "mha1"}) {
    SCOPED_TRACE(unknown);
    write_tracks("a.mp4", "-c:a aac -b:a 64k");
    disguise("a.mp4", unknown);
    EXPECT_EQ(pitch_hz("a.mp4"), 1000);
    const MediaInfo info = probe_media(at("a.mp4"));
    EXPECT_TRUE(info.has_audio);
    EXPECT_EQ(info.audio_track, 1);
    EXPECT_EQ(info.num_audio_tracks, 3);
    EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("a.mp4"), track(0)); }),
                AllOf(HasSubstr("a.mp4"), HasSubstr("cannot decode"), HasSubstr("choose another track")));
    disguise("a.mp4", unknown);
    EXPECT_EQ(pitch_hz("a.mp4"), 3000);
    disguise("a.mp4", unknown);
    EXPECT_TRUE(probe_media(at("a.mp4")).has_audio) << "it is there, and what reads it says what is wrong";
    EXPECT_THAT(probe_media(at("a.mp4")).audio_problem, HasSubstr("cannot decode"));
    EXPECT_THAT(error_of<MediaError>([&] { audio_tensor(at("a.mp4"), {}); }),
                AllOf(HasSubstr("a.mp4"), HasSubstr("3 sound tracks"), HasSubstr("cannot decode")));
  }
}

// A name that has a decoder, for bytes that it was not made for.
TEST_F(AudioTracks, OneWhoseDecoderFindsNothingGivesWay) {
  for (const std::string wrong : {"ac-3", "alac"}) {
    SCOPED_TRACE(wrong);
    write_tracks("a.mp4", "-c:a aac -b:a 64k");
    disguise("a.mp4", wrong);
    EXPECT_EQ(pitch_hz("a.mp4"), 1000);
  }
}

}  // namespace
}  // namespace cavmae
