#!/usr/bin/env bash
# Installs what is missing, builds everything, and runs all tests.
#   ./test.sh            the release build
#   ./test.sh asan       under AddressSanitizer and UndefinedBehaviorSanitizer (or: dev, tsan)
# CAVMAE_WERROR=ON takes warnings for errors, as .ci/run does; without it the build is that of ./demo.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
preset=${1:-release}

tools/install_dependencies.sh --tests
cmake --preset "$preset" ${CAVMAE_WERROR:+"-DCAVMAE_WERROR=$CAVMAE_WERROR"} >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
rm -f build-configure.log
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(($(nproc) + 1))"  # some tests wait for others' clocks
