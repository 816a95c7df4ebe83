// Comma-separated text as RFC 4180 has it: quoted cells may hold separators, doubled quotes and line breaks.
// A free function; safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

struct CsvRow {
  int64_t line = 0;                // where the row begins, from 1
  std::vector<std::string> cells;  // white space around unquoted cells is taken away
};

// Blank lines are left out. Throws DataError `where:line` for a quote that is never closed.
std::vector<CsvRow> parse_csv(std::string_view text, char separator, const std::string& where);

}  // namespace cavmae
