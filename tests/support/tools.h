// Programs that some tests need besides cavmae. Where one is missing its tests are skipped; with CI=true in
// the environment they fail, so that a check on every change never passes by having tested less.
// tools/install_dependencies.sh --tests installs all of them. What a processor or a library cannot do is no
// tool: those tests say GTEST_SKIP() themselves.
#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace cavmae::testing_support {

inline bool is_ci() {
  const char* value = std::getenv("CI");
  return value != nullptr && std::string(value) == "true";
}

// Each is looked for once.
inline bool have_ffmpeg() {
  static const bool found = std::system("ffmpeg -version >/dev/null 2>&1") == 0;
  return found;
}
inline bool have_python_torch() {
  static const bool found = std::system("/usr/bin/python3 -c 'import torch' >/dev/null 2>&1") == 0;
  return found;
}

}  // namespace cavmae::testing_support

// Ends the test when the tool is missing: as failed with CI=true, else as skipped.
#define CAVMAE_SKIP_OR_FAIL_WITHOUT(found, package)                                      \
  if (found) {                                                                           \
  } else if (::cavmae::testing_support::is_ci()) {                                       \
    FAIL() << package << " is not installed, and with CI=true every tool must be there"; \
  } else /* NOLINT */                                                                    \
    GTEST_SKIP() << package << " is not installed"
