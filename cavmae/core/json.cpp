#include "cavmae/core/json.h"

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

namespace cavmae {

Json parse_json(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const Json::parse_error& e) {
    // The library's message begins with its own identifier in brackets, which tells a user nothing.
    std::string what = e.what();
    if (auto end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    throw ConfigError(concat(where, ": not valid JSON: ", what));
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_text(path), path.string());
}

void write_json(const std::filesystem::path& path, const Json& value) {
  write_file(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace cavmae
