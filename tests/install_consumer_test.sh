#!/usr/bin/env bash
# install_consumer_test.sh BUILD_DIR SOURCE_DIR: installs the build into an empty folder and builds and runs a small
# program against the installed copy.
set -euo pipefail
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
cmake -S "$source/tests/consumer" -B "$work/consumer" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
      -DCMAKE_PREFIX_PATH="$work/prefix" ${CONSUMER_CXX_FLAGS:+-DCMAKE_CXX_FLAGS="$CONSUMER_CXX_FLAGS"} >"$work/configure.log" 2>&1 || { cat "$work/configure.log"; exit 1; }
cmake --build "$work/consumer"
[[ "$("$work/consumer/consumer")" == "2 clips of width 32" ]]
[[ "$("$work/prefix/bin/cavmae" --version)" == cavmae\ * ]]
