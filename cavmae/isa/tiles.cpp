#include "cavmae/isa/tiles.h"

#include <cerrno>
#include <cstring>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "cavmae/core/error.h"

namespace cavmae {

std::string request_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr int kRequestState = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestState, kTileData) == 0) return "";
  return concat("Linux refuses tiles (", std::strerror(errno),
                "): it is older than 5.16, forbids them, or a thread has a small alternative signal stack");
#else
  return "only Linux on x86-64 gives tiles";
#endif
}

bool tiles_are_given() {
  static const bool kGiven = usable_isa().has(Isa::amx_bf16) && request_tiles().empty();
  return kGiven;
}

}  // namespace cavmae
