// Which version of a kernel this processor can run. Safe from several threads.
#pragma once

namespace cavmae {

// Whether the versions for AVX2 may run.
inline bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

}  // namespace cavmae
