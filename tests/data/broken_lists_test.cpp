#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/listed_clips.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

struct BrokenList {
  std::string name, text, message;
};

class BrokenListTest : public testing::TestWithParam<BrokenList> {};

TEST_P(BrokenListTest, IsAnErrorThatNamesThePlace) {
  TemporaryFolder folder;
  write_text(folder / "a.mp4", "");
  write_text(folder / GetParam().name, GetParam().text);
  EXPECT_THAT(message_from<DataError>([&] { read_all({folder / GetParam().name}); }),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Lists, BrokenListTest,
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
