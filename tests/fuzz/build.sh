#!/usr/bin/env bash
# build.sh SOURCE_DIR BUILD_DIR: configures the preset `fuzz` in BUILD_DIR and builds it, for ctest of the other presets.
# Exits with 77 where there is no Clang with libFuzzer, and with 1 if CI=true.
set -euo pipefail
source=$1 build=$2
mkdir -p "$build"
log=$build/configure.log
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
     clang++ -x c++ -fsanitize=fuzzer,address - -o "$build/try" 2>"$log"; then
  echo "No Clang with libFuzzer: tools/install_dependencies.sh --tests installs clang and libclang-rt-14-dev" >&2
  [[ "${CI:-}" == true ]] && exit 1 || exit 77
fi
cd "$source"
cmake --preset fuzz -B "$build" >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build "$build" -j "$(nproc)"
