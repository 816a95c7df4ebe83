// Numbers written as text. Safe from any thread.
#pragma once

#include <optional>
#include <string_view>

namespace cavmae {

// The decimal number that the whole text is, which may be "nan" or "inf"; nothing of any other text, and of a
// number that a double cannot hold.
std::optional<double> parse_number(std::string_view text);

}  // namespace cavmae
