// Environment variables that libraries read before main() runs, so that a program has to be started with
// them: Note [Process settings]. Of the C library alone, for a launcher that loads no other.
#pragma once

#include <cstdlib>
#include <cstring>

namespace cavmae {

// The variable with its value, and those by which a user decides the same.
struct EarlySetting {
  const char* assignment;
  const char* decided_by[2];  // null: no other
};
inline constexpr EarlySetting kEarlySettings[] = {
    // How long a waiting thread of GNU's OpenMP spins before it sleeps: some tens of microseconds.
    {"GOMP_SPINCOUNT=3000", {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}},
    // glibc asks for huge pages.
    {"GLIBC_TUNABLES=glibc.malloc.hugetlb=1", {"GLIBC_TUNABLES", nullptr}},
};

// Puts those into the environment that the user has not decided; false where nothing was missing. Not safe
// beside other threads.
inline bool give_early_settings() {
  bool given = false;
  for (const EarlySetting& setting : kEarlySettings) {
    bool is_decided = false;
    for (const char* name : setting.decided_by)
      is_decided = is_decided || (name != nullptr && std::getenv(name) != nullptr);
    if (!is_decided) given = ::putenv(const_cast<char*>(setting.assignment)) == 0 || given;
  }
  return given;
}

}  // namespace cavmae
