// How long the calling thread has computed, in seconds: what other programs take of the machine does not add
// to it, as it does to the time on the clock.
#pragma once

#include <ctime>

namespace cavmae::testing_support {

inline double thread_cpu_seconds() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace cavmae::testing_support
