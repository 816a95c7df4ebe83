#include "cavmae/core/json.h"

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json_text.h"

namespace cavmae {
namespace {

constexpr int kMaxNesting = 200;  // nobody's JSON is deeper, and what walks through it does so by recursion

// Before anything is made of the text.
void check_nesting(const std::string& text, const std::string& where) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {  // brackets in strings are none
      while (++i < text.size() && text[i] != '"') i += text[i] == '\\' ? 1 : 0;
    } else if (c == '[' || c == '{') {
      CAVMAE_CHECK_AS(ConfigError, ++depth <= kMaxNesting, where, ": lists or objects are nested more than ",
                      kMaxNesting, " deep at byte ", i + 1, "; it is damaged");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where) {
  check_nesting(text, where);
  try {
    return Json::parse(text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const Json::exception& e) {  // a number that is too large among them
    throw ConfigError(concat(where, ": not valid JSON: ", json_error_text(e)));
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_text(path), path.string());
}

void write_json(const std::filesystem::path& path, const Json& value) {
  write_file(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace cavmae
