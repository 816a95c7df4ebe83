// Names of libraries that are URLs of PostgreSQL. Private to this folder and open_library.cpp. Free
// functions; safe from any thread.
#pragma once

#include <string>
#include <string_view>

namespace cavmae {

// Whether it begins with postgresql:// or postgres://.
bool is_postgres_url(std::string_view name);

// Without a password and without parameters, of which one may be a password.
std::string shown_url(const std::string& url);

}  // namespace cavmae
