// Text that may be no UTF-8, as names of files may be. Safe from any thread.
#pragma once

#include <string>
#include <string_view>

namespace cavmae {

// Whether the bytes are UTF-8 as RFC 3629 has it.
bool is_utf8(std::string_view bytes);

// The text with every byte that is no part of UTF-8 as "\\xE9", so that names which differ still do.
std::string escape_invalid_utf8(std::string_view bytes);

}  // namespace cavmae
