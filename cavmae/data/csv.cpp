#include "cavmae/data/csv.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {

bool CsvReader::next(CsvRow& row) {
  std::string_view line;
  while (text_.next_line(line)) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    parse(line, row);
    return true;
  }
  return false;
}

// Cells keep their memory from row to row.
void CsvReader::parse(std::string_view line, CsvRow& row) {
  row.line = text_.line_number();
  line_ = line;
  at_ = 0;
  size_t used = 0;
  while (true) {
    if (used == row.cells.size()) row.cells.emplace_back();
    parse_cell(row.cells[used++]);
    if (at_ >= line_.size()) break;
    ++at_;  // the separator
  }
  row.cells.resize(used);
}

void CsvReader::parse_cell(std::string& cell) {
  const std::string_view blanks = separator_ == '\t' ? " \r" : " \t\r";
  const size_t begin = std::min(line_.find_first_not_of(blanks, at_), line_.size());
  cell.clear();
  if (begin < line_.size() && line_[begin] == '"') {
    at_ = begin + 1;
    return parse_quoted(cell);
  }
  const size_t end = std::min(line_.find(separator_, at_), line_.size());
  cell = trim(line_.substr(at_, end - at_));
  at_ = end;
}

void CsvReader::parse_quoted(std::string& cell) {
  const int64_t first_line = text_.line_number();
  while (true) {
    const size_t quote = line_.find('"', at_);
    cell += line_.substr(at_, quote == std::string_view::npos ? quote : quote - at_);
    if (quote == std::string_view::npos) {
      CAVMAE_CHECK_AS(DataError, text_.next_line(line_), text_.name(), ":", first_line,
                      ": this quote is never closed; double a quote that belongs to a cell (\"\")");
      cell += '\n';
      at_ = 0;
      continue;
    }
    at_ = quote + 1;
    if (at_ >= line_.size() || line_[at_] != '"') break;
    cell += '"';
    ++at_;
  }
  const size_t end = std::min(line_.find(separator_, at_), line_.size());
  const std::string_view rest = trim(line_.substr(at_, end - at_));
  CAVMAE_CHECK_AS(DataError, rest.empty(), text_.name(), ":", text_.line_number(),
                  ": text after a closing quote: '", rest, "'; double a quote that belongs to a cell (\"\")");
  at_ = end;
}

std::vector<CsvRow> parse_csv(std::string_view text, char separator, const std::string& where) {
  TextReader lines(text, where);
  CsvReader reader(lines, separator);
  std::vector<CsvRow> rows;
  for (CsvRow row; reader.next(row);) rows.push_back(row);
  return rows;
}

bool is_empty(const CsvRow& row) {
  return std::ranges::all_of(row.cells, [](const std::string& cell) { return cell.empty(); });
}

std::vector<CsvRow> read_small_table(const std::filesystem::path& file) {
  TextReader text(file);
  CsvReader reader(text, ',');
  std::vector<CsvRow> rows;
  std::string_view line;
  while (rows.empty() && text.next_line(line)) {
    if (trim(line).empty()) continue;
    reader.set_separator(separator_of(line));
    reader.parse(line, rows.emplace_back());
    const std::string& cell = rows[0].cells[0];
    CAVMAE_CHECK_AS(DataError, rows[0].cells.size() > 1 || cell.find(';') == std::string::npos, text.name(),
                    ":", rows[0].line,
                    ": the cells are parted by semicolons; write the table with commas or tabs between them");
  }
  for (CsvRow row; reader.next(row);)
    if (!is_empty(row)) rows.push_back(row);
  return rows;
}

char separator_of(std::string_view first_line) {
  bool quoted = false;
  for (const char c : first_line) {
    quoted = quoted != (c == '"');
    if (c == '\t' && !quoted) return '\t';
  }
  return ',';
}

}  // namespace cavmae
