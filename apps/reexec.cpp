// The environment that LibTorch's libraries are to find, given to the program before they are initialized.
#include <alloca.h>
#include <unistd.h>

#include "cavmae/machine/machine.h"

namespace cavmae::apps {
namespace {

// No library is initialized yet, a sanitizer's least of all: plain code alone.
#define CAVMAE_BEFORE_EVERYTHING __attribute__((no_sanitize("address", "undefined", "thread")))

CAVMAE_BEFORE_EVERYTHING bool begins_with(const char* text, const char* beginning) {
  while (*beginning != '\0')
    if (*text++ != *beginning++) return false;
  return true;
}

CAVMAE_BEFORE_EVERYTHING bool is_same(const char* text, const char* other) {
  while (*text != '\0' && *text == *other) ++text, ++other;
  return *text == *other;
}

// --help and --version compute nothing that settings would speed up.
CAVMAE_BEFORE_EVERYTHING bool computes(char** argv) {
  for (; *argv != nullptr; ++argv)
    if (is_same(*argv, "--help") || is_same(*argv, "-h") || is_same(*argv, "--version")) return false;
  return true;
}

CAVMAE_BEFORE_EVERYTHING bool decides(const char* variable, const EarlySetting& setting) {
  for (const char* name : setting.decided_by)
    if (name != nullptr && begins_with(variable, name)) return true;
  return false;
}

// See Note [Process settings]: starting the program again here, where its libraries are loaded but have not
// registered anything, takes 0.1 s; from main() on it takes 0.7. When it cannot be started again, main()
// tries.
CAVMAE_BEFORE_EVERYTHING void restart_early(int /*argc*/, char** argv, char** environment) {
  if (!computes(argv)) return;
  size_t count = 0;
  while (environment[count] != nullptr) ++count;
  const size_t found = count;
  constexpr size_t kSettings = sizeof(kEarlySettings) / sizeof(kEarlySettings[0]);
  auto** changed = static_cast<char**>(alloca((count + kSettings + 1) * sizeof(char*)));
  for (size_t i = 0; i < count; ++i) changed[i] = environment[i];
  for (const EarlySetting& setting : kEarlySettings) {
    bool is_decided = false;
    for (size_t i = 0; i < found; ++i) is_decided = is_decided || decides(environment[i], setting);
    if (!is_decided) changed[count++] = const_cast<char*>(setting.assignment);
  }
  changed[count] = nullptr;
  if (count > found) ::execve("/proc/self/exe", argv, changed);
}

// What the loader calls first of all.
__attribute__((section(".preinit_array"), used)) void (*const g_restart_early)(int, char**,
                                                                               char**) = restart_early;

}  // namespace
}  // namespace cavmae::apps
