#include "cavmae/core/json_text.h"

namespace cavmae {

std::string to_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string json_error_text(const std::exception& error) {
  // It stands in brackets and tells a user nothing.
  const std::string what = error.what();
  const auto end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

}  // namespace cavmae
