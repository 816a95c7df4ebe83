// --clip-timeout as the loader keeps it. What the readers of media make of it:
// tests/media/time_limit_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/loader.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::Each;
using testing::Field;
using testing::HasSubstr;

class ClipTimeout : public testing::Test {
 protected:
  // Reads four clips in two batches; returns how many batches came.
  int64_t read_all(const LoaderOptions& options) {
    std::vector<ClipSource> clips;
    for (int64_t i = 0; i < 4; ++i) {
      const auto wav = folder_ / (std::to_string(i) + ".wav"), png = folder_ / (std::to_string(i) + ".png");
      write_wav(wav, 0.5, 300.0);
      write_flat_png(png, 10 * i);
      ClipSource clip;
      clip.id = "clip" + std::to_string(i);
      clip.audio = wav;
      clip.video = png;
      clips.push_back(std::move(clip));
    }
    Loader loader(clips, std::make_shared<const ClipReader>(tiny_features()), training_view(), Need::both,
                  options, captured_.log);
    loader.start_epoch({.epoch = 0, .seed = 1, .drop_last = false});
    int64_t batches = 0;
    while (const auto batch = loader.next()) batches += batch->empty() ? 0 : 1;
    bad_ = loader.bad_clips();
    return batches;
  }

  TemporaryFolder folder_;
  CapturedLog captured_;
  std::vector<BadClip> bad_;
};

TEST_F(ClipTimeout, MakesABadClipThatIsNamed) {
  for (const int64_t workers : {0, 2}) {
    EXPECT_EQ(read_all({.batch_size = 2, .num_workers = workers, .max_bad_ratio = 1.0, .clip_timeout = 1e-9}),
              0);
    EXPECT_EQ(bad_.size(), 4u);
    EXPECT_THAT(bad_, Each(Field(&BadClip::reason, AllOf(HasSubstr(".wav' was not read within"),
                                                         HasSubstr("--clip-timeout")))));
  }
}

TEST_F(ClipTimeout, ZeroAndLongOnesLetEveryClipThrough) {
  for (const double seconds : {0.0, 600.0})
    EXPECT_EQ(read_all({.batch_size = 2, .max_bad_ratio = 0.0, .clip_timeout = seconds}), 2);
}

TEST_F(ClipTimeout, MustNotBeNegative) {
  EXPECT_THAT(message_from<ConfigError>([] { LoaderOptions{.clip_timeout = -1.0}.validate(); }),
              HasSubstr("clip_timeout is -1"));
}

}  // namespace
}  // namespace cavmae
