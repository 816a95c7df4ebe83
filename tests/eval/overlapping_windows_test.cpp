#include "cavmae/eval/overlapping_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ClipSource window(const std::string& audio, const std::string& video, std::optional<double> start) {
  ClipSource clip;
  clip.audio = audio;
  clip.video = video;
  clip.start_seconds = start;
  return clip;
}

TEST(OverlappingWindows, AreThoseOfTheSameFileCloserThanAWindow) {
  const std::vector<ClipSource> clips = {window("a.mp4", "a.mp4", 0.0),  window("a.mp4", "a.mp4", 5.0),
                                         window("b.mp4", "b.mp4", 5.0),  window("a.mp4", "a.mp4", 10.0),
                                         window("a.mp4", "a.mp4", 12.0), window("a.mp4", "a.mp4", {})};
  // Row 2 of the embeddings is clip 3: clip 2 could not be read.
  EXPECT_THAT(
      overlapping_windows(clips, {0, 1, 3, 4, 5}, 10.0),
      ElementsAre(ElementsAre(1), ElementsAre(0, 2, 3), ElementsAre(1, 3), ElementsAre(1, 2), IsEmpty()));
  EXPECT_THAT(overlapping_windows(clips, {2, 1}, 10.0), ElementsAre(IsEmpty(), IsEmpty()));
}

TEST(OverlappingWindows, ShareTheSoundOrThePicture) {
  const std::vector<ClipSource> clips = {window("s.wav", "p.mp4", 0.0), window("s.wav", "q.mp4", 1.0),
                                         window("t.wav", "q.mp4", 2.0)};
  EXPECT_THAT(overlapping_windows(clips, {0, 1, 2}, 10.0),
              ElementsAre(ElementsAre(1), ElementsAre(0, 2), ElementsAre(1)));
}

}  // namespace
}  // namespace cavmae
