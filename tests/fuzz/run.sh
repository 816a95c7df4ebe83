#!/usr/bin/env bash
# run.sh BUILD_DIR TARGET [SECONDS]: runs the fuzzer fuzz_TARGET of a build of the preset `fuzz` for 5 or so many seconds,
# from the files that were found (tests/fuzz/corpus/TARGET) and those that are made (seeds.cpp, media_seeds.sh). It fails
# on whatever the fuzzer reports, and when there were fewer than 1,000 executions: a busy machine gets more time for them.
# From 60 s on, inputs that reach new code are kept in BUILD_DIR/corpus/TARGET, from which the next run goes on.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 target=$2 seconds=${3:-5}
least=1000

if [[ ! -x "$build/bin/fuzz_$target" ]]; then
  echo "$build/bin/fuzz_$target is not built: cmake --preset fuzz && cmake --build --preset fuzz" >&2
  [[ "${CI:-}" == true ]] && exit 1 || exit 77
fi
work=$(mktemp -d -p "$([[ -w /dev/shm ]] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$work"' EXIT
mkdir "$work/new" "$work/tmp"
export TMPDIR=$work/tmp
"$build/bin/fuzz_seeds" "$work/seeds"
[[ "$target" != media ]] || "$source/media_seeds.sh" "$work/seeds/media"
corpus=("$work/new" "$work/seeds/$target")
[[ ! -d "$source/corpus/$target" ]] || corpus+=("$source/corpus/$target")
if (( seconds >= 60 )); then
  mkdir -p "$build/corpus/$target"
  corpus=("$build/corpus/$target" "${corpus[@]:1}")
fi

# FFmpeg and LibTorch keep what they allocate once, and are not compiled with the sanitizers.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
found=$build/found/$target
executions=0
for (( round = 0; executions < least; ++round )); do
  if (( round == 12 )); then
    echo "$target: only $executions executions in $round rounds of $seconds s; $least are due" >&2
    exit 1
  fi
  if ! "$build/bin/fuzz_$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=3072 -print_final_stats=1 \
       -verbosity=1 -artifact_prefix="$work/found-" "${corpus[@]}" >"$work/log" 2>&1; then
    mkdir -p "$found"
    tail -n 60 "$work/log"
    for input in "$work"/found-*; do
      [[ -f "$input" ]] || continue
      cp "$input" "$found/"
      echo "$target: run $build/bin/fuzz_$target $found/${input##*/} to see it again"
    done >&2
    exit 1
  fi
  executions=$((executions + $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")))
done
echo "$target: $executions executions in $((round * seconds)) s, nothing found"
