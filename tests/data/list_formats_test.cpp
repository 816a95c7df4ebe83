#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/data/labels.h"

#include "tests/data/listed_clips.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using ListFormatsTest = ListedClipsTest;

TEST_F(ListFormatsTest, TextListIsRelativeToItself) {
  make_files({"media/a b.mp4", "lists/c.wav"});
  write_text(folder / "lists/l.txt", "\xef\xbb\xbf../media/a b.mp4\r\n\r\n# a comment\nc.wav\n");
  const auto clips = read_all({folder / "lists/l.txt"});
  EXPECT_THAT(ids(clips), ElementsAre("a b", "c"));
  EXPECT_EQ(clips[0].video, folder / "media/a b.mp4");
}

TEST_F(ListFormatsTest, CsvColumnsAreFoundByName) {
  make_files({"a,1.mp4", "b.wav", "b.jpg"});
  write_text(folder / "l.csv",
             "ID,Path,labels,note,start_seconds,audio,image\n"
             "x,\"a,1.mp4\",\"dog,cat\",\"say \"\"hi\"\"\",1.5,,\n"
             "y,,bird;frog,\"two\nlines\",,b.wav,b.jpg\n");
  const auto clips = read_all({folder / "l.csv"});
  EXPECT_THAT(ids(clips), ElementsAre("x", "y"));
  EXPECT_EQ(clips[0].audio, folder / "a,1.mp4");
  EXPECT_THAT(clips[0].labels, ElementsAre("dog", "cat"));
  EXPECT_EQ(clips[0].start_seconds, 1.5);
  EXPECT_EQ(clips[1].audio, folder / "b.wav");
  EXPECT_EQ(clips[1].video, folder / "b.jpg");
  EXPECT_THAT(clips[1].labels, ElementsAre("bird", "frog"));
  EXPECT_FALSE(clips[1].start_seconds.has_value());
}

TEST_F(ListFormatsTest, CsvWithoutHeaderIsAListOfPaths) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "l.csv", "a.mp4\nb.mp4\n");
  EXPECT_THAT(ids(read_all({folder / "l.csv"})), ElementsAre("a", "b"));
}

TEST_F(ListFormatsTest, ManifestTakesEveryForm) {
  make_files({"v.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "v.mp4", "id": 7, "labels": ["a, b"], "start_seconds": 3}
{"audio": "s.wav", "image": "p.jpg", "labels": "x,y", "id": null}

{"audio": "/abs/t.wav", "frames": ["f/0.png", "f/1.png"], "id": "t"}
{"audio": "only.flac"})");
  const auto clips = read_all({folder / "m.jsonl"});
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

TEST_F(ListFormatsTest, AuthorsJsonNamesTenFrames) {
  make_files({"wav/a.wav"});
  write_text(folder / "set.json", R"({"data": [
    {"wav": "wav/a.wav", "video_id": "a", "video_path": "img", "labels": "/m/09x0r,/m/04rlf"},
    {"wav": "wav/b.wav", "video_id": "b", "video_path": "/img"}]})");
  const auto clips = read_all({folder / "set.json"});
  EXPECT_THAT(ids(clips), ElementsAre("a", "b"));
  EXPECT_THAT(clips[0].labels, ElementsAre("/m/09x0r", "/m/04rlf"));
  ASSERT_EQ(clips[0].frames.size(), 10u);
  EXPECT_EQ(clips[0].frames[7], folder / "img/frame_7/a.jpg");
  EXPECT_EQ(clips[1].frames[0], "/img/frame_0/b.jpg");
}

TEST_F(ListFormatsTest, OneFileMayGiveSeveralWindows) {
  make_files({"long.mp4"});
  write_text(folder / "m.jsonl", R"({"path": "long.mp4", "start_seconds": 0}
{"path": "long.mp4", "start_seconds": 12.5})");
  const auto clips = read_all({folder / "m.jsonl"});
  ASSERT_EQ(clips.size(), 2u);
  EXPECT_NE(clips[0].id, clips[1].id);
  EXPECT_THAT(clips[1].id, HasSubstr("12.5"));
}

TEST_F(ListFormatsTest, MisspelledKeyIsToldOnce) {
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

TEST_F(ListFormatsTest, UnusedKeysAreToldOnceWithWhatWasMeant) {
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

TEST_F(ListFormatsTest, OfTwoKeysThatSayTheSameTheUnusedOneIsTold) {
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

TEST_F(ListFormatsTest, UnusedKeysOfTheAuthorsJsonAreToldOnce) {
  make_files({"a.wav", "b.wav"});
  write_text(folder / "s.json",
             R"({"data": [{"wav": "a.wav", "label": "x"}, {"wav": "b.wav", "label": "x"}]})");
  CapturedLog captured;
  read_clip_sources({folder / "s.json"}, *captured.log);
  EXPECT_THAT(captured.text->str(),
              HasSubstr("s.json: data[0]: the key 'label' is not used; did you mean 'labels'?"));
  EXPECT_THAT(captured.text->str(), Not(HasSubstr("data[1]")));
}

TEST_F(ListFormatsTest, OfJoinedTablesTheSecondHeaderIsNoClip) {
  make_files({"a.mp4", "b.mp4"});
  write_text(folder / "l.csv", "path,labels\na.mp4,x\npath,labels\nb.mp4,y\n");
  CapturedLog captured;
  const ClipList clips = read_clip_sources({folder / "l.csv"}, *captured.log);
  EXPECT_THAT(ids(clips), ElementsAre("a", "b"));
  EXPECT_THAT(captured.text->str(),
              HasSubstr("l.csv: the header comes 1 times again and was passed over, first in line 3"));
}

TEST_F(ListFormatsTest, WhatSpreadsheetsAndListsAddToTextIsNoPartOfIt) {
  make_files({"a.mp4"});
  write_text(folder / "l.csv", "sep=,\npath,labels\na.mp4,x\n");
  EXPECT_THAT(read_all({folder / "l.csv"})[0].labels, ElementsAre("x"));
  write_text(folder / "m.jsonl", R"({"path": "a.mp4", "labels": [" x ", "y"], "start_seconds": -0.0}
{"path": "a.mp4", "labels": ["y", "x"], "start_seconds": 0})");
  const auto clips = read_all({folder / "m.jsonl"});
  ASSERT_EQ(clips.size(), 1u);
  EXPECT_THAT(clips[0].labels, ElementsAre("x", "y"));
}

TEST_F(ListFormatsTest, LabelsThatHoldACommaAreToldAndKept) {
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
  const auto cut = read_all({folder / "l.csv"}, {.label_separator = "comma"});
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

TEST_F(ListFormatsTest, VggsoundsListHasNoHeader) {
  make_files({"---g-f_I2yQ_000001.mp4", "b.mp4"});
  write_text(folder / "test.csv",
             "---g-f_I2yQ_000001.mp4,people marching\nb.mp4,\"bee, wasp, etc. buzzing\"\n");
  const auto clips = read_all({folder / "test.csv"});
  EXPECT_THAT(ids(clips), ElementsAre("---g-f_I2yQ_000001", "b"));
  EXPECT_THAT(clips[1].labels, ElementsAre("bee, wasp, etc. buzzing"));
  write_text(folder / "vggsound.csv", "---g-f_I2yQ,1,people marching,test\n");
  EXPECT_THAT(error_of("vggsound.csv"), HasSubstr("VGGSound's own table"));
}

TEST_F(ListFormatsTest, AudiosetsSegmentsFindTheirFiles) {
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

TEST_F(ListFormatsTest, TablesMayHaveTabsAndWhatSpreadsheetsAdd) {
  make_files({"a.mp4", "b.mp4"});
  for (const char* name : {"l.tsv", "l.csv", "l.txt"}) {
    write_text(folder / name, "file_name\tlabel\na.mp4\tone, two\nb.mp4\tthree\n");
    const auto clips = read_all({folder / name});
    ASSERT_EQ(clips.size(), 2u) << name;
    EXPECT_THAT(clips[0].labels, ElementsAre("one, two")) << name;
  }
  write_text(folder / "x.csv", "path,labels,,\na.mp4,x,,\n,,,\n,,,\nb.mp4,y,,\n");
  CapturedLog captured;
  EXPECT_EQ(read_clip_sources({folder / "x.csv"}, *captured.log).size(), 2u);
  EXPECT_THAT(captured.text->str(),
              HasSubstr("x.csv: 2 rows are empty and were passed over, the first in line 3"));
  write_text(folder / "n.ndjson", R"({"path": "a.mp4"})");
  EXPECT_EQ(read_all({folder / "n.ndjson"}).size(), 1u);
}

TEST_F(ListFormatsTest, NamesThatAreNoUtf8StayDistinctAndAreValid) {
  make_files({"caf\xe9.mp4", "caf\xe8.mp4", "caf\xc3\xa9.mp4"});
  const auto clips = read_all({folder.path()});
  EXPECT_THAT(ids(clips), ElementsAre("caf\xc3\xa9", "caf\\xE8", "caf\\xE9"));
  EXPECT_TRUE(clips[2].video.exists());
  write_text(folder / "l.txt", "caf\xe9.mp4\n");
  EXPECT_TRUE(read_all({folder / "l.txt"})[0].video.exists());
  write_text(folder / "l.csv", "path,labels\ncaf\xe9.mp4,rain\ncaf\xe8.mp4,ca\xe9\n");
  EXPECT_THAT(error_of("l.csv"), HasSubstr("l.csv:3: the label 'ca\\xE9' is no UTF-8 text"));
}

}  // namespace
}  // namespace cavmae
