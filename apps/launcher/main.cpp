// cavmae: gives the program the environment that LibTorch's libraries are to find, and becomes it. Loads
// nothing but the C library, since loading LibTorch's 300 takes a third of a second.
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "cavmae/machine/early_settings.h"

namespace {

// Beside this file where it was built, and beside its folder where it was installed.
constexpr const char* kPrograms[] = {"/libexec/cavmae/cavmae", "/../libexec/cavmae/cavmae"};
constexpr int kExitFailure = 1;

}  // namespace

int main(int /*argc*/, char** argv) {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0 || length >= static_cast<ssize_t>(sizeof(path))) {
    std::fprintf(stderr, "cavmae: cannot find out where it lies: %s\n", std::strerror(errno));
    return kExitFailure;
  }
  path[length] = '\0';
  char* const end_of_folder = std::strrchr(path, '/');
  const size_t room = sizeof(path) - static_cast<size_t>(end_of_folder - path);
  cavmae::give_early_settings();
  int error = ENOENT;
  for (const char* program : kPrograms) {
    if (std::strlen(program) >= room) continue;
    std::strcpy(end_of_folder, program);
    ::execv(path, argv);
    if (errno != ENOENT) error = errno;
  }
  *end_of_folder = '\0';
  std::fprintf(stderr, "cavmae: %s%s cannot be started: %s; install cavmae as a whole (cmake --install)\n",
               path, kPrograms[0], std::strerror(error));
  return kExitFailure;
}
