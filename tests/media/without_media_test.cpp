// A build without the media libraries (cmake -DCAVMAE_MEDIA=OFF).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/has_media.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace {

template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const MediaError& e) {
    return e.what();
  }
  return "";
}

TEST(WithoutMedia, EveryFunctionNamesTheFileAndTheCure) {
  const auto tells = testing::AllOf(testing::HasSubstr("a.mp4"), testing::HasSubstr("CAVMAE_MEDIA=ON"),
                                    testing::HasSubstr("--cache"));
  EXPECT_FALSE(has_media());
  EXPECT_THAT(error_of([] { probe_media("a.mp4"); }), tells);
  EXPECT_THAT(error_of([] { read_audio("a.mp4", {}); }), tells);
  EXPECT_THAT(error_of([] { read_frames("a.mp4", {0.0}); }), tells);
  EXPECT_THAT(error_of([] { read_image("a.mp4"); }), tells);
  EXPECT_THAT(error_of([] { write_png("a.mp4", Picture(1, 1)); }), tells);
  EXPECT_THAT(error_of([] { VideoWriter("a.mp4", {}); }), tells);
}

}  // namespace
}  // namespace cavmae
