// JSON as text that is valid whatever it holds. Safe from any thread.
#pragma once

#include <exception>
#include <string>

#include "cavmae/core/json.h"

namespace cavmae {

// The value as text that is valid JSON whatever bytes its strings hold (what is no UTF-8 becomes U+FFFD), on
// one line or indented by `indent` spaces. Never throws for what a string holds, as Json::dump() does.
std::string to_text(const Json& value, int indent = -1);

// The message of an error of the JSON library without the identifier in front of it.
std::string json_error_text(const std::exception& error);

}  // namespace cavmae
