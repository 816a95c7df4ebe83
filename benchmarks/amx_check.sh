#!/usr/bin/env bash
# Everything that has to be seen and measured on a processor with AMX, in one go: that its tiles are those of the
# emulation bit for bit, what each engine reaches, and the full-size model beside plain PyTorch.
#
#   benchmarks/amx_check.sh [--quick] [--build DIR] [--out DIR] [--other PROGRAM]
#       --quick      without what takes more than a few minutes: the build and tests under ASan, PyTorch beside it, curves of
#                    training, accuracy, files
#       --out        folder for all that is printed and measured [amx-check]
#       --other      a build of an earlier version, which takes turns with this one
#       --rehearse   a minute of it on any processor: a small network on emulated tiles, nothing built, tests only listed
#
# Builds what is missing. Measures on the first two cores that it may use. A check that fails does not end the others; the
# exit code is 1, and the last lines name it. On a processor without AMX it says so and does nothing (77); where tiles are
# there and not used, `machine` fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release out=amx-check quick=false rehearse=false other=()
while (( $# > 0 )); do
  case $1 in
    --quick) quick=true; shift ;;
    --rehearse) rehearse=true; shift ;;
    --build) build=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --other) other=(--other "$2"); shift 2 ;;
    -h | --help) sed -n '2,15s/^# \?//p' "$0"; exit ;;
    *) echo "amx_check: '$1' is no option; --help shows them" >&2; exit 2 ;;
  esac
done
tiles=amx config=cav-mae batch=8 large_batch=32 steps=5
if $rehearse; then
  tiles=emulated_tiles config=tiny batch=1 large_batch=2 steps=1
elif ! grep -qw amx_bf16 /proc/cpuinfo; then
  echo "amx_check: this processor has no AMX ($(lscpu | sed -n 's/^Model name: *//p')); nothing to check" >&2
  exit 77
fi
mkdir -p "$out"
# The numbers of the first two: "0,1".
cores=$(python3 -c 'import os; print(",".join(map(str, sorted(os.sched_getaffinity(0))[:2])))')
threads=$(tr -cd , <<< "$cores," | wc -c)
asan=$(dirname "$build")/asan

folders="isa|kernels|machine|nn|models|train"
if ! $rehearse; then
  [[ -f $build/build.ninja ]] || cmake --preset release -S "$root" -B "$build" >/dev/null
  cmake --build "$build" --target cavmae cavmae-decode test_isa test_kernels test_machine test_nn test_models test_train \
    matmul_benchmark attention_benchmark block_benchmark peak_benchmark data_benchmark
fi

failed=()
check() {  # NAME COMMAND...: what it prints goes to the screen and to a file
  local name=$1
  shift
  echo "== $name: $*"
  "$@" 2>&1 | tee "$out/$name.txt" || failed+=("$name")
}
# Fails unless all that can computes on tiles.
machine() {
  "$build/cavmae" info --machine
  "$build/cavmae" info --machine --json - | /usr/bin/python3 -c '
import json, sys
machine, tiles = json.load(sys.stdin), sys.argv[1]
for job in ("forward", "dgrad", "wgrad", "attention"):
    name = job + " in bf16"
    taken = machine["kernels"][name]
    if tiles not in ([taken] if tiles == "amx" else machine["engines"][name]["for_tests"]):
        sys.exit(f"amx_check: {name} is by {taken}, not {tiles}; " + "; ".join(machine["warnings"]))' $tiles
}
# The entries of ctest for these folders, with each set of instructions masked off: there must be some.
tests() {
  local selected=(ctest --test-dir "$build" -R "^(test_($folders)|(kernels|nn)_with_.*)$" --no-tests=error)
  if $rehearse; then
    "${selected[@]}" -N | tee "$out/listed.txt"
    for folder in ${folders//|/ }; do grep -q ": test_$folder\$" "$out/listed.txt" || return 1; done
  else
    "${selected[@]}" --output-on-failure
  fi
}
# Sanitizers take a signal stack that Linux refuses tiles for; without it they see the kernels on tiles.
tests_asan() {
  cmake --preset asan -S "$root" -B "$asan" >/dev/null && cmake --build "$asan" --target test_isa test_kernels || return 1
  local options=detect_leaks=0:detect_odr_violation=0
  for more in "" :use_sigaltstack=0; do
    for folder in isa kernels; do
      ASAN_OPTIONS=$options$more UBSAN_OPTIONS=halt_on_error=1 "$asan/bin/test_$folder" --gtest_brief=1 || return 1
    done
  done
}
step() {  # NAME THREADS FLAGS...: a step of pretraining
  local name=$1 number=$2
  shift 2
  check "$name" taskset -c "$cores" "$build/cavmae" bench --config $config --precision bf16 --quiet --steps $steps --threads "$number" \
    --json "$out/$name.json" "$@"
}

check machine machine
check tests tests
if ! $rehearse; then
  check matmul taskset -c "$cores" "$build/bin/matmul_benchmark" --threads "$threads"
  check attention taskset -c "$cores" "$build/bin/attention_benchmark" --threads "$threads"
  check groups taskset -c "$cores" "$build/bin/block_benchmark" --threads "$threads"
  check limits taskset -c "$cores" "$root/benchmarks/limits.sh" --build "$build"
fi
# What each change brings: the same step by the engines that there were before.
forwards=($tiles onednn via_fp32) wgrads=($tiles wgrad_gemm via_fp32) attentions=($tiles avx512 avx512_bf16)
if $rehearse; then forwards=($tiles) wgrads=($tiles via_fp32) attentions=($tiles); fi
for engine in "${forwards[@]}"; do
  for wgrad in "${wgrads[@]}"; do
    step "step_${engine}_wgrad_$wgrad" "$threads" --batch-size $batch --engine "forward=$engine,dgrad=$engine,wgrad=$wgrad"
  done
done
for attention in "${attentions[@]}"; do
  step "step_attention_$attention" "$threads" --batch-size $batch --engine "attention=$attention"
done
for number in 1 $threads; do
  step "threads_$number" "$number" --batch-size $batch
done
step batch_large "$threads" --batch-size $large_batch
if $rehearse; then
  check compare taskset -c "$cores" "$root/benchmarks/compare.sh" --build "$build" --config $config --no-pytorch --modes embed --dtypes bf16 \
    --threads 1 --rounds 5 --warm-up 1 --json "$out/compare.json" --other "$build/cavmae"
elif ! $quick; then
  check tests_asan tests_asan
  check compare taskset -c "$cores" "$root/benchmarks/compare.sh" --build "$build" --dtypes bf16 --rounds 10 --no-shipped \
    --json "$out/compare.json" "${other[@]}"
  check curve env CAVMAE="$build/cavmae" "$root/benchmarks/bf16_curve.sh" "$out/curve"
  # Of a network that has learned, made by the curve's first seed.
  check accuracy /usr/bin/python3 "$root/benchmarks/precision.py" --checkpoint "$out/curve/fp32-0" --cavmae "$build/cavmae" --check
  check files taskset -c "$cores" "$root/benchmarks/embed_files.sh" --program "$build/cavmae" --json "$out/files.json"
fi
echo "amx_check: all of it is in $out"
if (( ${#failed[@]} > 0 )); then
  echo "amx_check: failed: ${failed[*]}" >&2
  exit 1
fi
