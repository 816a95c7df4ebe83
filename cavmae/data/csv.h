// Comma-separated text as RFC 4180 has it: quoted cells may hold separators, doubled quotes and line breaks.
// One owner a reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/data/text_reader.h"

namespace cavmae {

struct CsvRow {
  int64_t line = 0;                // where the row begins, from 1
  std::vector<std::string> cells;  // white space around unquoted cells is taken away
};

class CsvReader {
 public:
  // `text` outlives it.
  CsvReader(TextReader& text, char separator) : text_(text), separator_(separator) {}

  // The next row that is not blank; false at the end. Throws DataError `file:line` for a quote that is never
  // closed.
  bool next(CsvRow& row);
  // Splits `line`, and what follows where a quoted cell goes on, as next() does.
  void parse(std::string_view line, CsvRow& row);
  // Of the text.
  const std::string& name() const { return text_.name(); }
  void set_separator(char separator) { separator_ = separator; }

 private:
  void parse_cell(std::string& cell);
  void parse_quoted(std::string& cell);

  TextReader& text_;
  char separator_;
  std::string_view line_;  // under way
  size_t at_ = 0;
};

// All rows of a text. Throws DataError.
std::vector<CsvRow> parse_csv(std::string_view text, char separator, const std::string& where);

// What parts the cells of a table with this first line: a tab where there is one outside quotes, or else a
// comma.
char separator_of(std::string_view first_line);

// Whether all cells are empty, as rows are that spreadsheets leave behind.
bool is_empty(const CsvRow& row);

// A small table in a file: its rows with commas or tabs between the cells, without empty ones. Throws
// DataError also for semicolons.
std::vector<CsvRow> read_small_table(const std::filesystem::path& file);

}  // namespace cavmae
