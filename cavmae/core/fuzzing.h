// What is different in a build of the fuzzers (tests/fuzz).
#pragma once

namespace cavmae {

// Whether a wrong checksum makes a file damaged. No fuzzer guesses a right one, so that nothing behind a
// checksum would ever be reached.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
inline constexpr bool kChecksumsCount = false;
#else
inline constexpr bool kChecksumsCount = true;
#endif

}  // namespace cavmae
