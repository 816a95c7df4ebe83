#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/labels.h"
#include "cavmae/data/media_files.h"
#include "cavmae/data/read_clips.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<ClipSource> read(const std::vector<fs::path>& data, const ListOptions& options = {}) {
  const auto log = null_log();
  const ClipList clips = read_clip_sources(data, *log, options);
  return {clips.begin(), clips.end()};
}

template <class Clips>
std::vector<std::string> ids(const Clips& clips) {
  std::vector<std::string> out;
  for (const auto& clip : clips) out.push_back(clip.id);
  return out;
}

// A folder with an empty file of each name; nothing here opens them.
class ClipSourceTest : public testing::Test {
 protected:
  void make_files(const std::vector<std::string>& names) {
    for (const auto& name : names) write_text(folder / name, "");
  }
  std::string error_of(const std::string& name) {
    return message_from<DataError>([&] { read({folder / name}); });
  }
  TemporaryFolder folder;
};

TEST_F(ClipSourceTest, FolderIsSearchedInOrderWithoutHiddenFiles) {
  make_files({"b/two.MKV", "b/.hidden.mp4", ".git/x.mp4", "a.mp4", "c.wav", "b/a/one.png", "b/notes.txt"});
  const auto clips = read({folder.path()});
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
  EXPECT_THAT(ids(read({folder / "data"})), ElementsAre("b", "link/a.mp4", "up/real/a.mp4"));
}

TEST_F(ClipSourceTest, FolderWithAManifestUsesIt) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "manifest.jsonl", R"({"path": "b.mp4", "parameters": {"pitch": 3}})");
  EXPECT_THAT(ids(read({folder.path()})), ElementsAre("b"));
}

TEST_F(ClipSourceTest, SingleMediaFileIsAClip) {
  make_files({"a.mp4"});
  EXPECT_THAT(ids(read({folder / "a.mp4"})), ElementsAre("a"));
}

TEST_F(ClipSourceTest, TextListIsRelativeToItself) {
  make_files({"media/a b.mp4", "lists/c.wav"});
  write_text(folder / "lists/l.txt", "\xef\xbb\xbf../media/a b.mp4\r\n\r\n# a comment\nc.wav\n");
  const auto clips = read({folder / "lists/l.txt"});
  EXPECT_THAT(ids(clips), ElementsAre("a b", "c"));
  EXPECT_EQ(clips[0].video, folder / "media/a b.mp4");
}

TEST_F(ClipSourceTest, CsvColumnsAreFoundByName) {
  make_files({"a,1.mp4", "b.wav", "b.jpg"});
  write_text(folder / "l.csv",
             "ID,Path,labels,note,start_seconds,audio,image\n"
             "x,\"a,1.mp4\",\"dog,cat\",\"say \"\"hi\"\"\",1.5,,\n"
             "y,,bird;frog,\"two\nlines\",,b.wav,b.jpg\n");
  const auto clips = read({folder / "l.csv"});
  EXPECT_THAT(ids(clips), ElementsAre("x", "y"));
  EXPECT_EQ(clips[0].audio, folder / "a,1.mp4");
  EXPECT_THAT(clips[0].labels, ElementsAre("dog", "cat"));
  EXPECT_EQ(clips[0].start_seconds, 1.5);
  EXPECT_EQ(clips[1].audio, folder / "b.wav");
  EXPECT_EQ(clips[1].video, folder / "b.jpg");
  EXPECT_THAT(clips[1].labels, ElementsAre("bird", "frog"));
  EXPECT_FALSE(clips[1].start_seconds.has_value());
}

TEST_F(ClipSourceTest, CsvWithoutHeaderIsAListOfPaths) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "l.csv", "a.mp4\nb.mp4\n");
  EXPECT_THAT(ids(read({folder / "l.csv"})), ElementsAre("a", "b"));
}

TEST_F(ClipSourceTest, ManifestTakesEveryForm) {
  make_files({"v.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "v.mp4", "id": 7, "labels": ["a, b"], "start_seconds": 3}
{"audio": "s.wav", "image": "p.jpg", "labels": "x,y", "id": null}

{"audio": "/abs/t.wav", "frames": ["f/0.png", "f/1.png"], "id": "t"}
{"audio": "only.flac"})");
  const auto clips = read({folder / "m.jsonl"});
  EXPECT_THAT(ids(clips), ElementsAre("7", "s", "t", "only"));
  EXPECT_THAT(clips[0].labels, ElementsAre("a, b"));
  EXPECT_EQ(clips[0].start_seconds, 3.0);
  EXPECT_EQ(clips[1].audio, folder / "s.wav");
  EXPECT_EQ(clips[1].video, folder / "p.jpg");
  EXPECT_THAT(clips[1].labels, ElementsAre("x", "y"));
  EXPECT_EQ(clips[2].audio, "/abs/t.wav");
  EXPECT_THAT(clips[2].frames, ElementsAre(folder / "f/0.png", folder / "f/1.png"));
  EXPECT_TRUE(clips[3].video.empty());
}

TEST_F(ClipSourceTest, AuthorsJsonNamesTenFrames) {
  make_files({"wav/a.wav"});
  write_text(folder / "set.json", R"({"data": [
    {"wav": "wav/a.wav", "video_id": "a", "video_path": "img", "labels": "/m/09x0r,/m/04rlf"},
    {"wav": "wav/b.wav", "video_id": "b", "video_path": "/img"}]})");
  const auto clips = read({folder / "set.json"});
  EXPECT_THAT(ids(clips), ElementsAre("a", "b"));
  EXPECT_THAT(clips[0].labels, ElementsAre("/m/09x0r", "/m/04rlf"));
  ASSERT_EQ(clips[0].frames.size(), 10u);
  EXPECT_EQ(clips[0].frames[7], folder / "img/frame_7/a.jpg");
  EXPECT_EQ(clips[1].frames[0], "/img/frame_0/b.jpg");
}

TEST_F(ClipSourceTest, SeveralDataAddUpAndUnnamedClipsGetDistinctNames) {
  make_files({"1/x.mp4", "1/sub/x.mp4", "2/x.mp4", "2/y.mp4", "2/y.wav", "2/z.mp4"});
  const auto clips = read({folder / "1", folder / "2", folder / "2/z.mp4"});
  EXPECT_THAT(ids(clips), ElementsAre("sub/x.mp4", (folder / "1/x.mp4").string(),
                                      (folder / "2/x.mp4").string(), "y.mp4", "y.wav", "z"));
}

TEST_F(ClipSourceTest, OneFileMayGiveSeveralWindows) {
  make_files({"long.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "long.mp4", "start_seconds": 0}
{"path": "long.mp4", "start_seconds": 12.5})");
  const auto clips = read({folder / "m.jsonl"});
  ASSERT_EQ(clips.size(), 2u);
  EXPECT_NE(clips[0].id, clips[1].id);
  EXPECT_THAT(clips[1].id, HasSubstr("12.5"));
}

TEST_F(ClipSourceTest, UnnamedClipGivesWayToANamedOne) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4"}
{"path": "b.mp4", "id": "a"})");
  EXPECT_THAT(ids(read({folder / "m.jsonl"})), ElementsAre("a.mp4", "a"));
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
  EXPECT_THAT(message_from<DataError>([] { read({"/dev/null"}); }), HasSubstr("neither a file nor a folder"));
  EXPECT_THAT(message_from<ConfigError>([] { read({}); }), HasSubstr("--data"));
}

TEST_F(ClipSourceTest, ListWhosePathsLeadNowhereIsAnError) {
  write_text(folder / "l.txt", "gone/a.mp4\ngone/b.mp4\n");
  EXPECT_THAT(error_of("l.txt"), HasSubstr("none of the files of its first 2 clips exists"));
  make_files({"here.mp4"});
  write_text(folder / "l.txt", "gone/a.mp4\nhere.mp4\n");
  EXPECT_EQ(read({folder / "l.txt"}).size(), 2u);
}

TEST_F(ClipSourceTest, MisspelledKeyIsToldOnce) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "lables": ["x"]}
{"path": "b.mp4", "lables": ["x"], "parameters": 1})");
  CapturedLog captured;
  EXPECT_EQ(read_clip_sources({folder / "m.jsonl"}, *captured.log).size(), 2u);
  const std::string text = captured.text->str();
  EXPECT_THAT(text, HasSubstr("m.jsonl:1: the key 'lables' is not used; did you mean 'labels'?"));
  EXPECT_THAT(text, Not(HasSubstr("m.jsonl:2")));
  EXPECT_THAT(text, Not(HasSubstr("parameters")));
}

TEST_F(ClipSourceTest, UnusedKeysAreToldOnceWithWhatWasMeant) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "start": 3, "weather": "wet"}
{"path": "b.mp4", "start": 3, "seed": 1})");
  CapturedLog captured;
  read_clip_sources({folder / "m.jsonl"}, *captured.log);
  const std::string text = captured.text->str();
  EXPECT_THAT(text, HasSubstr("m.jsonl:1: the key 'start' is not used; did you mean 'start_seconds'?"));
  EXPECT_THAT(text, HasSubstr("m.jsonl:1: the key 'weather' is not used"));
  EXPECT_THAT(text, Not(HasSubstr("m.jsonl:2")));
  EXPECT_THAT(text, Not(HasSubstr("seed")));
  write_text(folder / "l.csv", "file_name,category,fold\na.mp4,x,1\nb.mp4,y,2\n");
  read_clip_sources({folder / "l.csv"}, *captured.log);
  EXPECT_THAT(captured.text->str(),
              HasSubstr("l.csv:1: columns that are not used: 'category' (did you mean 'labels'?), 'fold'"));
}

TEST_F(ClipSourceTest, OfTwoKeysThatSayTheSameTheUnusedOneIsTold) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "m.jsonl", R"({"file": "b.mp4", "path": "a.mp4", "label": "x", "labels": ["y"]})");
  CapturedLog captured;
  const ClipList clips = read_clip_sources({folder / "m.jsonl"}, *captured.log);
  EXPECT_EQ(clips[0].audio, folder / "a.mp4");
  EXPECT_THAT(clips[0].labels, ElementsAre("y"));
  EXPECT_THAT(captured.text->str(), HasSubstr("m.jsonl:1: the key 'file' is not used, 'path' is taken"));
  EXPECT_THAT(captured.text->str(), HasSubstr("m.jsonl:1: the key 'label' is not used, 'labels' is taken"));
  write_text(folder / "l.csv", "path,file_name\na.mp4,b.mp4\n");
  EXPECT_EQ(read_clip_sources({folder / "l.csv"}, *captured.log)[0].audio, folder / "a.mp4");
  EXPECT_THAT(captured.text->str(), HasSubstr("columns that are not used: 'file_name' ('path' is taken)"));
}

TEST_F(ClipSourceTest, UnusedKeysOfTheAuthorsJsonAreToldOnce) {
  make_files({"a.wav", "b.wav"});
  write_text(folder / "s.json",
             R"({"data": [{"wav": "a.wav", "label": "x"}, {"wav": "b.wav", "label": "x"}]})");
  CapturedLog captured;
  read_clip_sources({folder / "s.json"}, *captured.log);
  EXPECT_THAT(captured.text->str(),
              HasSubstr("s.json: data[0]: the key 'label' is not used; did you mean 'labels'?"));
  EXPECT_THAT(captured.text->str(), Not(HasSubstr("data[1]")));
}

TEST_F(ClipSourceTest, OfJoinedTablesTheSecondHeaderIsNoClip) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "l.csv", "path,labels\na.mp4,x\npath,labels\nb.mp4,y\n");
  CapturedLog captured;
  const ClipList clips = read_clip_sources({folder / "l.csv"}, *captured.log);
  EXPECT_THAT(ids(clips), ElementsAre("a", "b"));
  EXPECT_THAT(captured.text->str(),
              HasSubstr("l.csv: the header comes 1 times again and was passed over, first in line 3"));
}

TEST_F(ClipSourceTest, WhatSpreadsheetsAndListsAddToTextIsNoPartOfIt) {
  make_files({"a.mp4"});
  write_text(folder / "l.csv", "sep=,\npath,labels\na.mp4,x\n");
  EXPECT_THAT(read({folder / "l.csv"})[0].labels, ElementsAre("x"));
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "labels": [" x ", "y"], "start_seconds": -0.0}
{"path": "a.mp4", "labels": ["y", "x"], "start_seconds": 0})");
  const auto clips = read({folder / "m.jsonl"});
  ASSERT_EQ(clips.size(), 1u);
  EXPECT_THAT(clips[0].labels, ElementsAre("x", "y"));
}

TEST_F(ClipSourceTest, AnOrdinaryPathIsThatOfTheSystem) {
  make_files({"real/deep/x.txt", "real/b.mp4", "b.mp4"});
  fs::create_directory_symlink("real/deep", folder / "a");
  write_text(folder / "l.txt", "a/../b.mp4\n");
  const auto clips = read({folder / "l.txt"});
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
  EXPECT_THAT(ids(read({folder / "d/xc12345"})), ElementsAre("xc12345"));
  EXPECT_THAT(ids(read({folder / "d"})), ElementsAre("known"));
  EXPECT_THAT(ids(read({folder / "d"}, {.all_files = true})), ElementsAre("known", "xc12345"));
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
  EXPECT_THAT(ids(read({folder / "l.txt"})), ElementsAre("v", "w"));
}

TEST_F(ClipSourceTest, LabelsThatHoldACommaAreToldAndKept) {
  make_files({"a.mp4", "b.mp4", "c.mp4"});
  write_text(
      folder / "l.csv",
      "path,labels\na.mp4,\"donkey, ass braying\"\nb.mp4,\"heart sounds, heartbeat\"\nc.mp4,playing hammond "
      "organ\n");
  CapturedLog captured;
  const ClipList clips = read_clip_sources({folder / "l.csv"}, *captured.log);
  EXPECT_THAT(clips.labels(0), ElementsAre("donkey, ass braying"));
  EXPECT_THAT(captured.text->str(), HasSubstr("l.csv: the labels of 2 clips hold a comma before a space"));
  EXPECT_THAT(captured.text->str(), HasSubstr("--label-separator comma"));
  const auto cut = read({folder / "l.csv"}, {.label_separator = "comma"});
  EXPECT_THAT(cut[0].labels, ElementsAre("donkey", "ass braying"));
  const LabelSet set(
      {{"/m/1", "donkey, ass braying"}, {"/m/2", "heart sounds, heartbeat"}, {"/m/3", "Speech"}}, "set");
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "labels": "Speech,donkey, ass braying"})");
  EXPECT_THAT(read_clip_sources({folder / "m.jsonl"}, *captured.log, {}, &set).labels(0),
              ElementsAre("Speech", "donkey, ass braying"));
  write_text(folder / "n.csv", "path,labels\na.mp4,\"bird,forest\"\n");
  read_clip_sources({folder / "n.csv"}, *captured.log);
  EXPECT_THAT(captured.text->str(), HasSubstr("such as 'bird,forest' into 'bird' and 'forest'"));
}

TEST_F(ClipSourceTest, VggsoundsListHasNoHeader) {
  make_files({"---g-f_I2yQ_000001.mp4", "b.mp4"});
  write_text(folder / "test.csv",
             "---g-f_I2yQ_000001.mp4,people marching\nb.mp4,\"bee, wasp, etc. buzzing\"\n");
  const auto clips = read({folder / "test.csv"});
  EXPECT_THAT(ids(clips), ElementsAre("---g-f_I2yQ_000001", "b"));
  EXPECT_THAT(clips[1].labels, ElementsAre("bee, wasp, etc. buzzing"));
  write_text(folder / "vggsound.csv", "---g-f_I2yQ,1,people marching,test\n");
  EXPECT_THAT(error_of("vggsound.csv"), HasSubstr("VGGSound's own table"));
}

TEST_F(ClipSourceTest, AudiosetsSegmentsFindTheirFiles) {
  make_files({"YaaaaaaaaaaA.wav", "clips/bbbbbbbbbb_.mp4", "cccccccccc-_30000.flac", "cccccccccc-_99.flac",
              "A title [dddddddddd0].webm"});
  write_text(folder / "eval.csv",
             "# Segments csv created Sun Mar  5 10:54:31 2017\n"
             "# num_ytids=5, num_segs=5, num_unique_labels=2, num_positive_labels=6\n"
             "# YTID, start_seconds, end_seconds, positive_labels\n"
             "aaaaaaaaaaA, 30.000, 40.000, \"/m/1,/m/2\"\n"
             "bbbbbbbbbb_, 0.000, 10.000, \"/m/1\"\n"
             "cccccccccc-, 30.000, 40.000, \"/m/2\"\n"
             "dddddddddd0, 5.000, 15.000, \"/m/2\"\n"
             "eeeeeeeeeee, 5.000, 15.000, \"/m/2\"\n");
  CapturedLog captured;
  const ClipList read_clips = read_clip_sources({folder / "eval.csv"}, *captured.log);
  const std::vector<ClipSource> clips(read_clips.begin(), read_clips.end());
  EXPECT_THAT(ids(clips), ElementsAre("aaaaaaaaaaA", "bbbbbbbbbb_", "cccccccccc-", "dddddddddd0"));
  EXPECT_THAT(clips[0].labels, ElementsAre("/m/1", "/m/2"));
  EXPECT_EQ(clips[0].audio, folder / "YaaaaaaaaaaA.wav");
  EXPECT_EQ(clips[1].video, folder / "clips/bbbbbbbbbb_.mp4");
  EXPECT_EQ(clips[2].audio, folder / "cccccccccc-_30000.flac");
  EXPECT_EQ(clips[0].start_seconds, 30.0);
  EXPECT_EQ(clips[0].end_seconds, 40.0);
  EXPECT_THAT(captured.text->str(), HasSubstr("eval.csv: 4 of its 5 segments have a file"));
  write_text(folder / "none.csv", "YTID,start_seconds,end_seconds,positive_labels\nfffffffffff,0,10,/m/1\n");
  EXPECT_THAT(error_of("none.csv"), HasSubstr("none of its 1 segments has a file"));
}

TEST_F(ClipSourceTest, TablesMayHaveTabsAndWhatSpreadsheetsAdd) {
  make_files({"a.mp4", "b.mp4"});
  for (const char* name : {"l.tsv", "l.csv", "l.txt"}) {
    write_text(folder / name, "file_name\tlabel\na.mp4\tone, two\nb.mp4\tthree\n");
    const auto clips = read({folder / name});
    ASSERT_EQ(clips.size(), 2u) << name;
    EXPECT_THAT(clips[0].labels, ElementsAre("one, two")) << name;
  }
  write_text(folder / "x.csv", "path,labels,,\na.mp4,x,,\n,,,\n,,,\nb.mp4,y,,\n");
  CapturedLog captured;
  EXPECT_EQ(read_clip_sources({folder / "x.csv"}, *captured.log).size(), 2u);
  EXPECT_THAT(captured.text->str(),
              HasSubstr("x.csv: 2 rows are empty and were passed over, the first in line 3"));
  write_text(folder / "n.ndjson", R"({"path": "a.mp4"})");
  EXPECT_EQ(read({folder / "n.ndjson"}).size(), 1u);
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

TEST_F(ClipSourceTest, NamesThatAreNoUtf8StayDistinctAndAreValid) {
  make_files({"caf\xe9.mp4", "caf\xe8.mp4", "caf\xc3\xa9.mp4"});
  const auto clips = read({folder.path()});
  EXPECT_THAT(ids(clips), ElementsAre("caf\xc3\xa9", "caf\\xE8", "caf\\xE9"));
  EXPECT_TRUE(clips[2].video.exists());
  write_text(folder / "l.txt", "caf\xe9.mp4\n");
  EXPECT_TRUE(read({folder / "l.txt"})[0].video.exists());
  write_text(folder / "l.csv", "path,labels\ncaf\xe9.mp4,rain\ncaf\xe8.mp4,ca\xe9\n");
  EXPECT_THAT(error_of("l.csv"), HasSubstr("l.csv:3: the label 'ca\\xE9' is no UTF-8 text"));
}

struct BrokenList {
  std::string name, text, message;
};

class BrokenListTest : public testing::TestWithParam<BrokenList> {};

TEST_P(BrokenListTest, IsAnErrorThatNamesThePlace) {
  TemporaryFolder folder;
  write_text(folder / "a.mp4", "");
  write_text(folder / GetParam().name, GetParam().text);
  EXPECT_THAT(message_from<DataError>([&] { read({folder / GetParam().name}); }),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    ClipSource, BrokenListTest,
    testing::Values(
        BrokenList{"e.txt", "\n# nothing\n", "e.txt: lists no clips"},
        BrokenList{"e.csv", "", "lists no clips"}, BrokenList{"e.jsonl", "", "lists no clips"},
        BrokenList{"e.json", R"({"data": []})", "lists no clips"},
        BrokenList{"z.txt", std::string("a.mp4\0x", 7), "zero bytes"},
        BrokenList{"m.jsonl", "{\"path\": \"a.mp4\"}\n{\"path\": ", "m.jsonl:2: not valid JSON"},
        BrokenList{"m.jsonl", "{\"path\": \"\xff.mp4\"}", "m.jsonl:1: not valid JSON"},
        BrokenList{"m.jsonl", R"(["a.mp4"])", "m.jsonl:1: expected an object"},
        BrokenList{"m.jsonl", R"({"lable": "x", "film": "a.mp4"})", "found the keys 'lable', 'film'"},
        BrokenList{"m.jsonl", "{}", "found the keys none"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "audio": "a.wav"})", "too many media files"},
        BrokenList{"m.jsonl", R"({"image": "a.png", "frames": ["a.png"]})", "too many media files"},
        BrokenList{"m.jsonl", R"({"path": 3})", "'path' must be the path of a file, found 3"},
        BrokenList{"m.jsonl", R"({"path": ""})", "'path' must be the path of a file"},
        BrokenList{"m.jsonl", R"({"frames": []})", "'frames' must be a list"},
        BrokenList{"m.jsonl", R"({"frames": [1]})", "'frames' must hold paths"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "id": ""})", "'id' is empty"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "id": [1]})", "'id' must be text"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": {"a": 1}})", "'labels' must be a list"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": [1]})", "'labels' must hold words"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "start_seconds": -1})", "at least 0, found -1"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "start_seconds": "2"})", "'start_seconds' must be"},
        BrokenList{"l.csv", "path,id\na.mp4\n", "l.csv:2: has 1 cells where the header has 2"},
        BrokenList{"l.csv", "path\n\"a.mp4\n", "l.csv:2: this quote is never closed"},
        BrokenList{"l.csv", "path\n\"a\"b\n", "l.csv:2: text after a closing quote"},
        BrokenList{"l.csv", "clip,label\na,x\n", "no column 'path'"},
        BrokenList{"l.csv", "path,start_seconds\na.mp4,soon\n", "found 'soon'"},
        BrokenList{"l.csv", "path;labels\na.mp4;x\n", "l.csv:1: the cells are parted by semicolons"},
        BrokenList{"l.csv", "a.mp4;x\nb.mp4;y\n", "l.csv:1: the cells are parted by semicolons"},
        BrokenList{"l.csv", "path,labels\ra.mp4,x\r", "l.csv: its lines end in CR alone"},
        BrokenList{"l.txt", "a.mp4\rb.mp4\r", "l.txt: its lines end in CR alone"},
        BrokenList{"l.csv", "a.mp4,x\nb.mp4,y,z\n", "l.csv:2: has 3 cells where the first row has 2"},
        BrokenList{"l.csv", "path,id\na.mp4,\xff\n", "l.csv:2: the id '\\xFF' is no UTF-8 text"},
        BrokenList{"m.jsonl", R"({"path": "a\u0000.mp4"})", "m.jsonl:1: a path holds a zero byte"},
        BrokenList{"m.jsonl", R"({"frames": ["a\u0000.png"]})", "m.jsonl:1: a path holds a zero byte"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "id": "a\u0000b"})",
                   "m.jsonl:1: the id holds a zero byte"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": ["a\u0000b"]})", "the label holds a zero byte"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": "a\u0000b"})", "the label holds a zero byte"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": ["a", " "]})", "'labels' holds an empty text"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "path": "b.mp4"})",
                   "m.jsonl:1: the key 'path' is given twice"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "end_seconds": 3})",
                   "'end_seconds' needs a 'start_seconds'"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "start_seconds": 3, "end_seconds": 3})", "found 3 to 3"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4", "labels": "['a', 'b']"})",
                   "the labels are a list in quotes"},
        BrokenList{"l.csv", "path,labels,labels\na.mp4,x,y\n", "l.csv:1: two columns are called 'labels'"},
        BrokenList{"l.csv", "path,start_seconds\na.mp4,0x5\n", "l.csv:2: 'start_seconds' must be a number"},
        BrokenList{"l.csv", "path,start_seconds,end_seconds\na.mp4,5,2\n",
                   "must be later than 'start_seconds'"},
        BrokenList{"l.csv", "\"path\";\"labels\"\n\"a.mp4\";\"x\"\n",
                   "l.csv:1: the cells are parted by semicolons"},
        BrokenList{"l.csv", "sep=;\npath;labels\na.mp4;x\n", "l.csv:2: the cells are parted by semicolons"},
        BrokenList{"l.csv", "# YTID; start_seconds; end_seconds; positive_labels\nx;0;9;y\n",
                   "l.csv:1: the cells are parted by semicolons"},
        BrokenList{"l.csv", "YTID,start_seconds,end_seconds,positive_labels\naaaaaaaaaaa,9,0,y\n",
                   "l.csv:2: 'end_seconds' must be later"},
        BrokenList{"s.json", R"({"data": [{"wav": "a.mp4", "video_id": "a\u0000b", "video_path": "f"}]})",
                   "s.json: data[0]: the id holds a zero byte"},
        BrokenList{"s.json", R"({"data": [{"wav": "a.mp4", "video_id": "a", "video_path": "f\u0000"}]})",
                   "s.json: data[0]: a path holds a zero byte"},
        BrokenList{"s.json", R"({"data": [{"wav": "a.mp4"}], "data": [{"wav": "a.mp4"}]})",
                   "'data' is given twice"},
        BrokenList{"m.jsonl", R"({"path": "a.mp4"} {"path": "a.mp4"})", "m.jsonl:1: not valid JSON"},
        BrokenList{"s.json", R"({"data": {"wav": "a.wav"}})", "expected {\"data\""},
        BrokenList{"s.json", R"({"data": [{"wav": "a.wav"})", "s.json: data[1]: not valid JSON"},
        BrokenList{"s.json", R"([{"wav": "a"}])", "expected {\"data\""},
        BrokenList{"s.json", R"({"clips": []})", "found the keys 'clips'"},
        BrokenList{"s.json", R"({"data": [7]})", "data[0]: expected an object, found 7"},
        BrokenList{"s.json", R"({"data": [{"video_id": "a"}]})", "names no media"},
        BrokenList{"s.json", R"({"data": [{"video_path": "a"}]})", "needs a 'video_id'"},
        BrokenList{"s.json", R"({"data": [{"wav": 1}]})", "'wav' must be text"},
        BrokenList{"s.json", R"({"data": [{"wav": "a.wav", "labels": [1]}]})", "must hold words"}));

}  // namespace
}  // namespace cavmae
