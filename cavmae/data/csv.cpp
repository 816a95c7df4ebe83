#include "cavmae/data/csv.h"

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, char separator, const std::string& where)
      : text_(text), separator_(separator), where_(where) {}

  std::vector<CsvRow> parse() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row = parse_row();
      if (row.cells.size() > 1 || !row.cells[0].empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  bool at_line_end() const { return at_ >= text_.size() || text_[at_] == '\n'; }

  CsvRow parse_row() {
    CsvRow row{.line = line_, .cells = {}};
    row.cells.push_back(parse_cell());
    while (!at_line_end()) {
      ++at_;  // the separator
      row.cells.push_back(parse_cell());
    }
    ++at_;
    ++line_;
    return row;
  }

  std::string parse_cell() {
    size_t begin = at_;
    while (begin < text_.size() && (text_[begin] == ' ' || text_[begin] == '\r')) ++begin;
    if (begin < text_.size() && text_[begin] == '"') {
      at_ = begin + 1;
      return parse_quoted();
    }
    begin = at_;
    while (!at_line_end() && text_[at_] != separator_) ++at_;
    return std::string(trim(text_.substr(begin, at_ - begin)));
  }

  std::string parse_quoted() {
    const int64_t first_line = line_;
    std::string cell;
    while (true) {
      CAVMAE_CHECK_AS(DataError, at_ < text_.size(), where_, ":", first_line,
                      ": this quote is never closed; double a quote that belongs to a cell (\"\")");
      const char c = text_[at_++];
      if (c == '\n') ++line_;
      if (c != '"') {
        cell += c;
      } else if (at_ < text_.size() && text_[at_] == '"') {
        cell += '"';
        ++at_;
      } else {
        break;
      }
    }
    const size_t after = at_;
    while (!at_line_end() && text_[at_] != separator_) ++at_;
    const std::string_view rest = trim(text_.substr(after, at_ - after));
    CAVMAE_CHECK_AS(DataError, rest.empty(), where_, ":", line_, ": text after a closing quote: '", rest,
                    "'; double a quote that belongs to a cell (\"\")");
    return cell;
  }

  std::string_view text_;
  char separator_;
  const std::string& where_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, char separator, const std::string& where) {
  return CsvParser(text, separator, where).parse();
}

}  // namespace cavmae
