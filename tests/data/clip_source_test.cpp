#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/data/labels.h"
#include "cavmae/data/media_files.h"

#include "tests/data/listed_clips.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

using ClipSourceTest = ListedClipsTest;

TEST_F(ClipSourceTest, FolderIsSearchedInOrderWithoutHiddenFiles) {
  make_files({"b/two.MKV", "b/.hidden.mp4", ".git/x.mp4", "a.mp4", "c.wav", "b/a/one.png", "b/notes.txt"});
  const auto clips = read_all({folder.path()});
  EXPECT_THAT(ids(clips), ElementsAre("a", "one", "two", "c"));
  EXPECT_EQ(clips[0].audio, folder / "a.mp4");
  EXPECT_EQ(clips[0].video, folder / "a.mp4");
  // Only opening tells what is in a file; its name promises something.
  EXPECT_EQ(clips[1].video, folder / "b/a/one.png");
  EXPECT_FALSE(promised_modalities(clips[1]).audio);
  EXPECT_EQ(clips[3].audio, folder / "c.wav");
  EXPECT_FALSE(promised_modalities(clips[3]).video);
  EXPECT_TRUE(promised_modalities(clips[0]).audio && promised_modalities(clips[0]).video);
}

TEST_F(ClipSourceTest, LinkedFoldersAreFollowedButNeverInCircles) {
  make_files({"real/a.mp4", "data/b.mp4"});
  fs::create_directory_symlink("../real", folder / "data/link");
  fs::create_directory_symlink("..", folder / "data/up");
  EXPECT_THAT(ids(read_all({folder / "data"})), ElementsAre("b", "link/a.mp4", "up/real/a.mp4"));
}

TEST_F(ClipSourceTest, FolderWithAManifestUsesIt) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "manifest.jsonl", R"({"path": "b.mp4", "parameters": {"pitch": 3}})");
  EXPECT_THAT(ids(read_all({folder.path()})), ElementsAre("b"));
}

TEST_F(ClipSourceTest, SingleMediaFileIsAClip) {
  make_files({"a.mp4"});
  EXPECT_THAT(ids(read_all({folder / "a.mp4"})), ElementsAre("a"));
}

TEST_F(ClipSourceTest, SeveralDataAddUpAndUnnamedClipsGetDistinctNames) {
  make_files({"1/x.mp4", "1/sub/x.mp4", "2/x.mp4", "2/y.mp4", "2/y.wav", "2/z.mp4"});
  const auto clips = read_all({folder / "1", folder / "2", folder / "2/z.mp4"});
  EXPECT_THAT(ids(clips), ElementsAre("sub/x.mp4", (folder / "1/x.mp4").string(),
                                      (folder / "2/x.mp4").string(), "y.mp4", "y.wav", "z"));
}

TEST_F(ClipSourceTest, UnnamedClipGivesWayToANamedOne) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4"}
{"path": "b.mp4", "id": "a"})");
  EXPECT_THAT(ids(read_all({folder / "m.jsonl"})), ElementsAre("a.mp4", "a"));
}

TEST_F(ClipSourceTest, RepeatedClipCountsOnceAndIsTold) {
  make_files({"d/a.mp4", "d/b.mp4"});
  CapturedLog captured;
  const auto clips = read_clip_sources({folder / "d", folder / "d/a.mp4"}, *captured.log);
  EXPECT_THAT(ids(clips), ElementsAre("a", "b"));
  EXPECT_THAT(captured.text->str(), HasSubstr("1 clips are listed more than once"));
}

TEST_F(ClipSourceTest, TwoNamedClipsOfOneIdAreAnErrorThatNamesBothPlaces) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "id": "same"}
{"path": "b.mp4", "id": "same"})");
  const std::string message = error_of("m.jsonl");
  EXPECT_THAT(message, HasSubstr("m.jsonl:1"));
  EXPECT_THAT(message, HasSubstr("m.jsonl:2: the id 'same'"));
}

TEST_F(ClipSourceTest, MissingPathNamesWhatIsMissingAndTheNearest) {
  make_files({"videos/train/a.mp4"});
  EXPECT_THAT(error_of("videos/trian"), HasSubstr("there is no 'trian'"));
  EXPECT_THAT(error_of("videos/trian"), HasSubstr("did you mean 'train'?"));
  EXPECT_THAT(error_of("vidoes/train"), HasSubstr("did you mean 'videos'?"));
}

TEST_F(ClipSourceTest, FolderWithoutMediaSaysWhatWasLookedFor) {
  make_files({"d/readme.md"});
  EXPECT_THAT(error_of("d"), HasSubstr("1 other file left out: .md"));
  EXPECT_THAT(error_of("d"), HasSubstr(".mp4"));
}

TEST_F(ClipSourceTest, FileOfNoKnownKindIsAnError) {
  make_files({"x.doc"});
  EXPECT_THAT(error_of("x.doc"), HasSubstr("no list (.txt"));
  EXPECT_THAT(message_from<DataError>([] { read_all({"/dev/null"}); }),
              HasSubstr("neither a file nor a folder"));
  EXPECT_THAT(message_from<ConfigError>([] { read_all({}); }), HasSubstr("--data"));
}

TEST_F(ClipSourceTest, ListWhosePathsLeadNowhereIsAnError) {
  write_text(folder / "l.txt", "gone/a.mp4\ngone/b.mp4\n");
  EXPECT_THAT(error_of("l.txt"), HasSubstr("none of the files of its first 2 clips exists"));
  make_files({"here.mp4"});
  write_text(folder / "l.txt", "gone/a.mp4\nhere.mp4\n");
  EXPECT_EQ(read_all({folder / "l.txt"}).size(), 2u);
}

TEST_F(ClipSourceTest, AnOrdinaryPathIsThatOfTheSystem) {
  make_files({"real/deep/x.txt", "real/b.mp4", "b.mp4"});
  fs::create_directory_symlink("real/deep", folder / "a");
  write_text(folder / "l.txt", "a/../b.mp4\n");
  const auto clips = read_all({folder / "l.txt"});
  EXPECT_TRUE(fs::equivalent(clips[0].video.path(), folder / "real/b.mp4"));
  EXPECT_NE(clips[0].video.identity(), MediaSource(folder / "b.mp4").identity());
}

TEST_F(ClipSourceTest, AFolderSaysWhatItLeavesOut) {
  make_files({"d/a.wav", "d/x.xyz", "d/y.xyz", "d/notes", "d/v.mp4", "d/v.webp", "d/v.info.json",
              "d/v.en.vtt", "d/v.description", "d/w.mp4.part", "d/p.jpg", "d/b.au", "d/c.caf", "d/f.gif"});
  write_text(folder / "d/program.ts", "export const x = 1;\n");
  CapturedLog captured;
  const ClipList clips = read_clip_sources({folder / "d"}, *captured.log);
  EXPECT_THAT(ids(clips), ElementsAre("a", "b", "c", "f", "p", "v"));
  EXPECT_THAT(
      captured.text->str(),
      HasSubstr(
          "9 other files left out: .description, .info.json, .part, .ts without a transport stream, .vtt, .webp "
          "beside a video of the same name, .xyz (2), without extension"));
}

TEST_F(ClipSourceTest, WhateverFfmpegReadsIsAClipWhenItIsNamed) {
  write_wav(folder / "d/xc12345", 1, 440);
  write_wav(folder / "d/known.wav", 1, 440);
  write_text(folder / "d/words", "no media at all");
  EXPECT_THAT(ids(read_all({folder / "d/xc12345"})), ElementsAre("xc12345"));
  EXPECT_THAT(ids(read_all({folder / "d"})), ElementsAre("known"));
  EXPECT_THAT(ids(read_all({folder / "d"}, {.all_files = true})), ElementsAre("known", "xc12345"));
  EXPECT_THAT(error_of("d/words"), HasSubstr("no list (.txt"));
}

TEST_F(ClipSourceTest, SidecarsThatAreNamedAreLeftOut) {
  make_files({"v.mp4", "v.info.json", "v.part", "w.mp4"});
  CapturedLog captured;
  const ClipList clips =
      read_clip_sources({folder / "v.info.json", folder / "v.mp4", folder / "v.part"}, *captured.log);
  EXPECT_EQ(clips.size(), 1u);
  EXPECT_THAT(captured.text->str(), HasSubstr("2 files that were named belong to clips"));
  EXPECT_THAT(error_of("v.part"), HasSubstr("belongs to a clip and is none itself"));
  write_text(folder / "l.txt", "v.mp4\nv.info.json\nw.mp4\n");
  EXPECT_THAT(ids(read_all({folder / "l.txt"})), ElementsAre("v", "w"));
}

TEST_F(ClipSourceTest, AllClashesAreToldAtOnceAndEqualEntriesMerge) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "id": "x", "labels": ["l"]}
{"path": "./a.mp4", "id": "x", "labels": ["l"]}
{"path": "b.mp4", "id": "y"})");
  CapturedLog captured;
  EXPECT_EQ(read_clip_sources({folder / "m.jsonl"}, *captured.log).size(), 2u);
  EXPECT_THAT(captured.text->str(), HasSubstr("1 clips are listed more than once"));
  write_text(folder / "n.jsonl", R"({"path": "a.mp4", "id": "x"}
{"path": "b.mp4", "id": "x"}
{"path": "b.mp4", "id": "y", "start_seconds": 1}
{"path": "b.mp4", "id": "y", "start_seconds": 2}
{"path": "a.mp4", "labels": ["one"]}
{"path": "a.mp4", "labels": ["two"]})");
  const std::string message = error_of("n.jsonl");
  EXPECT_THAT(message, HasSubstr("3 clips clash"));
  EXPECT_THAT(message, HasSubstr("n.jsonl:2: the id 'x' was given before, at "));
  EXPECT_THAT(message, HasSubstr("n.jsonl:4: the id 'y'"));
  EXPECT_THAT(message, HasSubstr("n.jsonl:6: this clip was given other labels before, at "));
}

}  // namespace
}  // namespace cavmae
