// Clips as loose files and in tar shards, for the tests of both. Test code only.
#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/data/pack.h"
#include "cavmae/data/read_clips.h"

#include "tests/data/toy_media.h"
#include "tests/support/tools.h"

namespace cavmae {

// A list of four clips, as loose files and packed.
class PackedMedia : public ::testing::Test {
 protected:
  // A sound with three pictures, a sound with one, a sound alone, and a video under a name that needs care;
  // of the last, a part.
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
    for (int i = 0; i < 3; ++i) write_wav(folder_ / concat("media/", i, ".wav"), 2.5, 300.0 * (i + 1));
    for (int i = 0; i < 4; ++i) write_flat_png(folder_ / concat("media/", i, ".png"), 50 * i);
    write_video(folder_ / "media/a b.x.mkv", 4, "-c:v libx264 -c:a pcm_s16le", "sine=f=500:r=16000");
    write_text(
        folder_ / "clips.jsonl",
        R"({"id": "three", "audio": "media/0.wav", "frames": ["media/0.png", "media/1.png", "media/2.png"], "labels": ["dog", "cat, grey"]}
{"id": "one", "audio": "media/1.wav", "image": "media/3.png"}
{"id": "ü/sound", "audio": "media/2.wav", "labels": ["dog"]}
{"path": "media/a b.x.mkv", "start_seconds": 1.5}
)");
    loose_ = read_clip_sources({folder_ / "clips.jsonl"}, *null_log());
  }

  PackResult pack(const PackOptions& options, const std::string& out = "shards") {
    PackOptions quiet = options;
    quiet.show_progress = false;
    return pack_clips(loose_, folder_ / out, quiet, null_log());
  }
  ClipList packed(const std::string& out = "shards") const {
    return read_clip_sources({folder_ / out}, *null_log());
  }

  // Every clip of both, as training sees it.
  void expect_alike(const ClipList& found) const {
    ASSERT_EQ(found.size(), loose_.size());
    const ClipReader reader(tiny_features());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found.id(i), loose_.id(i));
      EXPECT_EQ(found.labels(i), loose_.labels(i));
      EXPECT_EQ(found[i].start_seconds, loose_[i].start_seconds);
      const Sample a = reader.read(loose_[i], training_view(), Need::any, 7 + i),
                   b = reader.read(found[i], training_view(), Need::any, 7 + i);
      EXPECT_TRUE(same_bits(a.audio, b.audio)) << found.id(i);
      EXPECT_TRUE(same_bits(a.video, b.video)) << found.id(i);
    }
  }
  TemporaryFolder folder_;
  ClipList loose_;
};

}  // namespace cavmae
