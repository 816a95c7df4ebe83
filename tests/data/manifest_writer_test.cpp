#include "cavmae/data/manifest_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/read_clips.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void expect_same(const std::vector<ClipSource>& a, const std::vector<ClipSource>& b) {
  const auto absolute = [](const MediaSource& source) {
    return source.empty() ? std::string() : source.identity();
  };
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id);
    EXPECT_EQ(absolute(a[i].audio), absolute(b[i].audio));
    EXPECT_EQ(absolute(a[i].video), absolute(b[i].video));
    ASSERT_EQ(a[i].frames.size(), b[i].frames.size());
    for (size_t f = 0; f < a[i].frames.size(); ++f)
      EXPECT_EQ(absolute(a[i].frames[f]), absolute(b[i].frames[f]));
    EXPECT_EQ(a[i].labels, b[i].labels);
    EXPECT_EQ(a[i].start_seconds, b[i].start_seconds);
  }
}

class ManifestWriterTest : public testing::Test {
 protected:
  std::vector<ClipSource> read(const std::string& name) {
    const ClipList clips = read_clip_sources({folder / name}, *captured.log);
    return {clips.begin(), clips.end()};
  }
  TemporaryFolder folder;
  CapturedLog captured;
};

TEST_F(ManifestWriterTest, JsonlHoldsEveryKindOfClip) {
  write_text(folder / "in" / "v.mp4", "");
  write_text(folder / "in" / "m.jsonl",
             R"({"path": "v.mp4", "id": "one", "labels": ["a, b", "c"], "start_seconds": 2.5}
{"audio": "s.wav", "image": "p.jpg"}
{"audio": "s.wav", "frames": ["0.jpg", "1.jpg"], "id": "three"}
{"path": "s2.wav"}
{"path": "p2.png"})");
  const auto clips = read("in/m.jsonl");
  fs::create_directories(folder / "out");
  write_manifest(folder / "out" / "m2.jsonl", clips);
  expect_same(read("out/m2.jsonl"), clips);
}

TEST_F(ManifestWriterTest, AuthorsJsonIsReadAgain) {
  write_text(folder / "x.flac", "");
  write_text(folder / "a.json", R"({"data": [
    {"wav": "x.flac", "video_id": "x", "video_path": "frames", "labels": "/m/1,/m/2"},
    {"wav": "y.flac", "video_id": "y", "labels": "/m/2"}]})");
  const auto clips = read("a.json");
  write_manifest(folder / "b.json", clips);
  expect_same(read("b.json"), clips);
}

TEST_F(ManifestWriterTest, RelativePathsStayRelativeToTheNewList) {
  ClipSource clip;
  clip.id = "x";
  clip.audio = "some/where/x.wav";
  fs::create_directories("manifest_writer_test");
  write_manifest("manifest_writer_test/m.jsonl", {clip});
  EXPECT_THAT(testing_support::read_whole("manifest_writer_test/m.jsonl"),
              HasSubstr("\"../some/where/x.wav\""));
  fs::remove_all("manifest_writer_test");
}

TEST_F(ManifestWriterTest, ABareNameIsAFileOfThisFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_text("./here/x.flac", "");
  ClipSource clip;
  clip.id = "x";
  clip.audio = fs::path("here/x.flac");
  for (const char* name : {"bare.json", "bare.jsonl"}) {
    EXPECT_NO_THROW(check_manifest_path(name));
    write_manifest(name, {clip});
    EXPECT_EQ(read(name).at(0).audio.identity(), (folder / "here/x.flac").string()) << name;
  }
  fs::current_path(before);
  EXPECT_THAT(message_from<ConfigError>([&] { check_manifest_path(folder / "no/such.json"); }),
              HasSubstr("there is no folder"));
  EXPECT_THAT(message_from<ConfigError>([&] { check_manifest_path(folder / "x.csv"); }), HasSubstr("x.csv"));
}

TEST_F(ManifestWriterTest, APathThatIsNoUtf8IsRefused) {
  ClipSource clip;
  clip.id = "x";
  clip.audio = folder / "caf\xe9.wav";
  EXPECT_THAT(message_from<DataError>([&] { write_manifest(folder / "m.jsonl", {clip}); }),
              HasSubstr("caf\\xE9.wav: the path is no UTF-8 text"));
}

TEST_F(ManifestWriterTest, WhatTheAuthorsFormCannotHoldIsNamed) {
  ClipSource clip;
  clip.id = "x";
  clip.audio = clip.video = folder / "x.mp4";
  const auto error_of = [&](const char* name) {
    return message_from<Error>([&] { write_manifest(folder / name, {clip}); });
  };
  EXPECT_THAT(error_of("m.json"), HasSubstr("clip 'x' cannot be written in the authors' JSON"));
  clip.video = {};
  clip.labels = {"Child speech, kid speaking"};
  EXPECT_THAT(error_of("m.json"), HasSubstr("has a comma"));
  EXPECT_THAT(error_of("m.csv"), HasSubstr("m.csv"));
  clip.audio = media_in_memory("bytes", "upload.wav");
  EXPECT_THAT(error_of("m.jsonl"), HasSubstr("upload.wav: is no file of its own"));
}

}  // namespace
}  // namespace cavmae
