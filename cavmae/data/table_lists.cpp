// Tables of clips and lists of paths.
#include <algorithm>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/number_text.h"
#include "cavmae/core/text.h"
#include "cavmae/data/clip_record.h"
#include "cavmae/data/list_formats.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace {

bool names_media(const std::vector<std::string>& header) {
  return std::ranges::any_of(
      header, [](const auto& name) { return is_path_key(name) || name == "audio" || name == "image"; });
}

bool is_audioset(const std::vector<std::string>& header) {
  return std::ranges::find(header, "ytid") != header.end();
}

bool is_media_name(std::string_view cell) {
  return media_kind(cell) != MediaKind::unknown;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

std::string_view without_quotes(std::string_view cell) {
  const bool quoted = cell.size() >= 2 && cell.front() == '"' && cell.back() == '"';
  return quoted ? cell.substr(1, cell.size() - 2) : cell;
}

// "sep=,", in which some spreadsheets say what parts the cells.
bool is_separator_line(std::string_view line) {
  return line.size() == 5 && lower(line).starts_with("sep=");
}

std::vector<std::string> lowered(const std::vector<std::string>& cells) {
  std::vector<std::string> words;
  for (const auto& cell : cells) words.push_back(lower(cell));
  return words;
}

// Reads the rows of one table.
class TableReader {
 public:
  TableReader(TextReader& text, const ListTarget& to)
      : text_(text), to_(to), rows_(text, ','), records_(to.log, false) {}

  void read();

 private:
  bool find_header();
  void read_records();
  void read_without_header();
  bool repeats_header(const CsvRow& row) const;
  bool next(CsvRow& row);
  void check_semicolons(std::string_view line) const;
  void check_columns() const;
  [[noreturn]] void throw_no_path() const;
  void warn_of_unused_columns() const;
  void check_width(CsvRow& row) const;
  FieldValue& add_seconds(const std::string& name, const std::string& cell, const ListPlace& place);
  ListPlace place(const CsvRow& row) const { return {.list = text_.name(), .number = row.line}; }

  TextReader& text_;
  const ListTarget& to_;
  CsvReader rows_;
  ClipRecordReader records_;
  CsvRow first_;
  std::vector<std::string> header_;
  ListRecord record_;
  ListedClip clip_;
  int64_t empty_rows_ = 0, first_empty_ = 0;
  int64_t repeated_headers_ = 0, first_repeated_ = 0;
};

// The first row that is no comment, which begins with '#' as in AudioSet's tables; a header may begin so too.
bool TableReader::find_header() {
  for (std::string_view line; text_.next_line(line);) {
    std::string_view content = trim(line);
    const bool commented = content.starts_with('#');
    if (content.empty() || is_separator_line(content)) continue;
    if (commented) content = trim(content.substr(1));
    check_semicolons(content);
    rows_.set_separator(separator_of(line));
    rows_.parse(commented ? content : line, first_);
    header_ = lowered(first_.cells);
    if (!is_empty(first_) && (!commented || names_media(header_) || is_audioset(header_))) return true;
  }
  return false;
}

void TableReader::check_semicolons(std::string_view line) const {
  std::vector<std::string> parts;
  for (const std::string& part : split(line, ';')) parts.push_back(lower(without_quotes(trim(part))));
  const bool is_table =
      parts.size() > 1 && (names_media(parts) || is_audioset(parts) || is_media_name(parts[0]));
  CAVMAE_CHECK_AS(DataError, !is_table || separator_of(line) == '\t' || line.find(',') < line.find(';'),
                  text_.name(), ":", text_.line_number(),
                  ": the cells are parted by semicolons; write the table with commas or tabs between them");
}

// Tables that were joined have it between them.
bool TableReader::repeats_header(const CsvRow& row) const {
  return row.cells == first_.cells && names_media(header_);
}

// The next row that is no header and not empty, as spreadsheets leave them behind.
bool TableReader::next(CsvRow& row) {
  while (rows_.next(row)) {
    if (repeats_header(row)) {
      if (repeated_headers_++ == 0) first_repeated_ = row.line;
    } else if (is_empty(row)) {
      if (empty_rows_++ == 0) first_empty_ = row.line;
    } else {
      return true;
    }
  }
  return false;
}

void TableReader::throw_no_path() const {
  const bool is_vggsound =
      first_.cells.size() == 4 && (first_.cells[3] == "train" || first_.cells[3] == "test");
  CAVMAE_CHECK_AS(
      DataError, !is_vggsound, place(first_),
      ": this is VGGSound's own table (YouTube id, start, label, split), which names no files; write a list "
      "of one split with the columns path,label");
  throw DataError(
      concat(place(first_),
             ": the header has no column 'path' ('file_name', 'audio', 'image'), it is: ", joined(header_)));
}

void TableReader::check_columns() const {
  for (auto name = header_.begin(); name != header_.end(); ++name)
    CAVMAE_CHECK_AS(DataError, name->empty() || std::find(header_.begin(), name, *name) == name,
                    place(first_), ": two columns are called '", printable(*name),
                    "'; give each a name of its own");
}

void TableReader::warn_of_unused_columns() const {
  const auto has = [&](std::string_view name) { return std::ranges::find(header_, name) != header_.end(); };
  std::string text;
  for (const std::string& name : header_) {
    const std::string_view instead = record_key_before(name, has);
    if (name.empty() || (is_record_key(name) && instead.empty())) continue;
    text += (text.empty() ? "'" : ", '") + name + "'";
    const std::string meant = instead.empty() ? nearest_record_key(name) : "";
    if (!instead.empty()) text += concat(" ('", instead, "' is taken)");
    if (!meant.empty() && !has(meant)) text += " (did you mean '" + meant + "'?)";
  }
  if (!text.empty()) to_.log.warn("{}: columns that are not used: {}", place(first_).text(), text);
}

// Cells that a spreadsheet adds behind the last column are none.
void TableReader::check_width(CsvRow& row) const {
  while (row.cells.size() > header_.size() && row.cells.back().empty()) row.cells.pop_back();
  CAVMAE_CHECK_AS(DataError, row.cells.size() == header_.size(), place(row), ": has ", row.cells.size(),
                  " cells where the ", names_media(header_) ? "header" : "first row", " has ", header_.size(),
                  "; put a cell that holds a comma in double quotes");
}

FieldValue& TableReader::add_seconds(const std::string& name, const std::string& cell,
                                     const ListPlace& place) {
  FieldValue& value = record_.add(name);
  value.kind = FieldValue::Kind::number;
  value.text = cell;
  const auto number = parse_number(cell);
  CAVMAE_CHECK_AS(DataError, number.has_value(), place, ": '", name,
                  "' must be a number of at least 0, found '", printable(cell), "'");
  value.number = *number;
  return value;
}

void TableReader::read_records() {
  warn_of_unused_columns();
  while (!header_.empty() && header_.back().empty()) header_.pop_back();
  for (CsvRow row; next(row);) {
    check_width(row);
    record_.clear();
    for (size_t i = 0; i < header_.size(); ++i) {
      const std::string& cell = row.cells[i];
      if (cell.empty() || header_[i].empty()) continue;
      if (header_[i] == "start_seconds" || header_[i] == "end_seconds") {
        add_seconds(header_[i], cell, place(row));
      } else {
        FieldValue& value = record_.add(header_[i]);
        value.kind = FieldValue::Kind::text;
        value.text = cell;
      }
    }
    records_.read(record_, place(row), clip_);
    clip_.number = row.line;
    to_.clips.add(clip_);
  }
}

// A column of paths, or paths and one label each, as VGGSound's test.csv.
void TableReader::read_without_header() {
  const size_t columns = first_.cells.size();
  if (columns > 2 || (columns == 2 && !is_media_name(first_.cells[0]))) throw_no_path();
  CsvRow row = first_;
  do {
    if (columns == 1 && row.cells.size() > 1) throw_no_path();
    check_width(row);
    clip_.clear();
    clip_.path = row.cells[0];
    CAVMAE_CHECK_AS(DataError, !clip_.path.empty(), place(row), ": names no media file");
    if (columns == 2 && !row.cells[1].empty()) clip_.labels = {row.cells[1]};
    clip_.number = row.line;
    to_.clips.add(clip_);
  } while (next(row));
}

void TableReader::read() {
  if (!find_header()) return;
  if (is_audioset(header_) || names_media(header_)) check_columns();
  if (is_audioset(header_)) {
    read_audioset_segments(rows_, first_, std::filesystem::path(text_.name()).parent_path(), to_);
  } else if (names_media(header_)) {
    read_records();
  } else {
    read_without_header();
  }
  if (empty_rows_ > 0)
    to_.log.warn("{}: {} rows are empty and were passed over, the first in line {}; delete them",
                 text_.name(), empty_rows_, first_empty_);
  if (repeated_headers_ > 0)
    to_.log.warn("{}: the header comes {} times again and was passed over, first in line {}; delete it there",
                 text_.name(), repeated_headers_, first_repeated_);
}

}  // namespace

void read_table(TextReader& text, const ListTarget& to) {
  TableReader(text, to).read();
}

void read_path_list(TextReader& text, const ListTarget& to) {
  const std::filesystem::path base = std::filesystem::path(text.name()).parent_path();
  ListedClip clip;
  int64_t sidecars = 0;
  std::string first;
  for (std::string_view line; text.next_line(line);) {
    line = trim(line);
    if (line.empty() || line.starts_with('#')) continue;
    if (is_sidecar(base / line)) {
      if (sidecars++ == 0) first = line;
      continue;
    }
    clip.path = line;
    clip.number = text.line_number();
    to.clips.add(clip);
  }
  if (sidecars > 0)
    to.log.warn("{}: {} lines name files that belong to clips and are none, such as '{}'; they are left out",
                text.name(), sidecars, first);
}

}  // namespace cavmae
