#include "cavmae/data/clip_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/data/string_pool.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::ElementsAre;

TEST(StringPool, NumbersDistinctTextsInTheirOrder) {
  StringPool pool;
  for (uint32_t i = 0; i < 5000; ++i) ASSERT_EQ(pool.add("text " + std::to_string(i)), i);
  EXPECT_EQ(pool.add("text 4000"), 4000u);
  EXPECT_EQ(pool.add(""), 5000u);
  EXPECT_EQ(pool.size(), 5001u);
  EXPECT_EQ(pool[123], "text 123");
  EXPECT_EQ(pool[5000], "");
  EXPECT_EQ(pool.find("text 17"), 17u);
  EXPECT_FALSE(pool.find("text"));
  EXPECT_FALSE(StringPool().find("text"));
}

// Every kind of entry, kept in little memory, is the clip that a program would have made.
TEST(ClipList, ListedClipsAreMadeWhenTheyAreAskedFor) {
  TemporaryFolder folder;
  write_text(folder / "v.mp4", "");
  write_text(folder / "m.jsonl", R"({"path": "v.mp4", "id": "one", "labels": ["a", "b"], "start_seconds": 2.5}
{"audio": "deep/s.wav", "image": "/abs/p.jpg", "labels": "a,b", "id": "two"}
{"frames": ["0.jpg", "1.jpg"], "id": "three"}
{"path": "s.wav", "id": "four"})");
  const ClipList clips = read_clip_sources({folder / "m.jsonl"}, *null_log());
  ASSERT_EQ(clips.size(), 4u);
  const ClipSource one = clips[0], two = clips[1], three = clips[2];
  EXPECT_EQ(one.audio, folder / "v.mp4");
  EXPECT_EQ(one.video, folder / "v.mp4");
  EXPECT_EQ(one.start_seconds, 2.5);
  EXPECT_EQ(two.audio, folder / "deep/s.wav");
  EXPECT_EQ(two.video, "/abs/p.jpg");
  EXPECT_THAT(two.labels, ElementsAre("a", "b"));
  EXPECT_THAT(three.frames, ElementsAre(folder / "0.jpg", folder / "1.jpg"));
  EXPECT_TRUE(three.audio.empty() && three.video.empty());
  EXPECT_FALSE(clips.promised(2).audio);
  EXPECT_TRUE(clips.promised(2).video);
  EXPECT_FALSE(clips.promised(3).video);
  EXPECT_EQ(clips.id(3), "four");
  EXPECT_THROW(clips[4], Error);
}

TEST(ClipList, PartsAndCopiesShareWhatTheyHold) {
  std::vector<ClipSource> made(3);
  for (size_t i = 0; i < made.size(); ++i) {
    made[i].id = std::to_string(i);
    made[i].labels = {"label " + made[i].id};
    made[i].audio = media_in_memory("bytes", "sound.wav");
  }
  ClipList part;
  {
    const ClipList clips = made;
    part = clips.at({2, 0, 2}).at({1, 2});
  }
  ASSERT_EQ(part.size(), 2u);
  EXPECT_EQ(part.id(0), "0");
  EXPECT_EQ(part[1].id, "2");
  EXPECT_THAT(part.labels(1), ElementsAre("label 2"));
  EXPECT_EQ(part[0].audio, made[0].audio);
  EXPECT_TRUE(ClipList().empty());
  size_t count = 0;
  for (const ClipSource& clip : part) count += clip.labels.size();
  EXPECT_EQ(count, 2u);
}

}  // namespace
}  // namespace cavmae
