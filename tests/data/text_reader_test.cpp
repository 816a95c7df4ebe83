#include "cavmae/data/text_reader.h"

#include <filesystem>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/csv.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> lines_of(TextReader& reader) {
  std::vector<std::string> lines;
  for (std::string_view line; reader.next_line(line);) lines.emplace_back(line);
  return lines;
}

class TextReaderTest : public testing::Test {
 protected:
  TemporaryFolder folder;
};

TEST_F(TextReaderTest, LinesAreTheSameOfAFileAndOfMemory) {
  const std::string text =
      "\xef\xbb\xbf"
      "a\r\n\nb\nc";
  write_text(folder / "l.txt", text);
  TextReader file(folder / "l.txt"), memory(text, "memory");
  EXPECT_THAT(lines_of(file), ElementsAre("a", "", "b", "c"));
  EXPECT_THAT(lines_of(memory), ElementsAre("a", "", "b", "c"));
  EXPECT_EQ(file.line_number(), 4);
}

// Lines of all lengths around those of the pieces that are read.
TEST_F(TextReaderTest, LinesMayLieAcrossPieces) {
  std::vector<std::string> expected;
  std::string text;
  for (const size_t length :
       {size_t{200000}, size_t{62143}, size_t{0}, size_t{600000}, size_t{1}, size_t{262144}}) {
    expected.push_back(std::string(length, static_cast<char>('a' + expected.size())));
    text += expected.back() + "\n";
  }
  write_text(folder / "l.txt", text);
  TextReader reader(folder / "l.txt");
  EXPECT_EQ(lines_of(reader), expected);
  TextReader pieces(folder / "l.txt");
  EXPECT_EQ(std::string(TextIterator(pieces), TextIterator()), text);
}

TEST_F(TextReaderTest, WhatIsNoTextIsRefused) {
  const auto error_of = [&](const std::string& text) {
    write_text(folder / "l.txt", text);
    return message_from<DataError>([&] {
      TextReader reader(folder / "l.txt");
      lines_of(reader);
    });
  };
  EXPECT_THAT(error_of(std::string("a\0b", 3)), HasSubstr("zero bytes"));
  EXPECT_THAT(error_of("a.mp4\rb.mp4\r"), HasSubstr("l.txt: its lines end in CR alone"));
  EXPECT_THAT(message_from<DataError>([&] { TextReader(folder / "no.txt"); }), HasSubstr("no.txt"));
  EXPECT_THAT(message_from<DataError>([&] { TextReader(folder.path()); }), HasSubstr("is a folder"));
}

TEST_F(TextReaderTest, AFileThatIsRefusedIsClosed) {
  const auto num_open = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  write_text(folder / "zeros.csv", std::string("path\0", 5));
  const auto before = num_open();
  EXPECT_THROW(TextReader(folder / "zeros.csv"), DataError);
  EXPECT_EQ(num_open(), before);
}

TEST_F(TextReaderTest, TablesHaveCommasOrTabsAndNoEmptyRows) {
  const auto rows_of = [&](const std::string& text) {
    write_text(folder / "t.csv", text);
    std::vector<std::vector<std::string>> cells;
    for (const CsvRow& row : read_small_table(folder / "t.csv")) cells.push_back(row.cells);
    return cells;
  };
  EXPECT_THAT(rows_of("a,\"b,\"\"c\"\"\nd\"\n,,\n e , f \n"),
              ElementsAre(ElementsAre("a", "b,\"c\"\nd"), ElementsAre("e", "f")));
  EXPECT_THAT(rows_of("a\tb,c\n\t\nd\t\n"), ElementsAre(ElementsAre("a", "b,c"), ElementsAre("d", "")));
  EXPECT_THAT(message_from<DataError>([&] { rows_of("index;mid\n0;a\n"); }),
              HasSubstr("t.csv:1: the cells are parted by"));
}

}  // namespace
}  // namespace cavmae
