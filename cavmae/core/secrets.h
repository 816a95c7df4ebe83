// Passwords that must not be printed. Free functions; safe from any thread.
#pragma once

#include <string>
#include <string_view>

namespace cavmae {

// The text with the password of every URL in it as "***": user:password@ and parameters that end in
// password=. Rather too much is hidden than too little.
std::string without_passwords(std::string_view text);
// The same of one URL, in whose password there may be blanks.
std::string url_without_password(std::string_view url);

}  // namespace cavmae
