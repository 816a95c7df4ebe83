#include "cavmae/core/user_cache.h"

#include <cstdlib>

namespace cavmae {
namespace {

// A relative one counts as none (XDG Base Directory Specification).
std::filesystem::path folder_in(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value == '/' ? std::filesystem::path(value) : std::filesystem::path();
}

}  // namespace

std::filesystem::path user_cache_folder() {
  if (const auto caches = folder_in("XDG_CACHE_HOME"); !caches.empty()) return caches / "cavmae";
  const std::filesystem::path home = folder_in("HOME");
  return home.empty() ? home : home / ".cache/cavmae";
}

}  // namespace cavmae
