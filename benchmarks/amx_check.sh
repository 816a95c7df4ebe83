#!/usr/bin/env bash
# Everything that has to be seen and measured on a processor with AMX, in one go: that its tiles are those of the
# emulation bit for bit, what each engine reaches, and the full-size model beside plain PyTorch.
#
#   benchmarks/amx_check.sh [--quick] [--build DIR] [--out DIR] [--other PROGRAM]
#       --quick    without what takes more than a few minutes: PyTorch beside it, curves of training, accuracy, files
#       --out      folder for all that is printed [amx-check]
#       --other    a build of an earlier version, which takes turns with this one
#
# Builds what is missing. A check that fails does not end the others; the exit code is 1, and the last lines name it. On a
# processor without AMX it says so and does nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release out=amx-check quick=false other=()
while (( $# > 0 )); do
  case $1 in
    --quick) quick=true; shift ;;
    --build) build=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --other) other=(--other "$2"); shift 2 ;;
    -h | --help) sed -n '2,11s/^# \?//p' "$0"; exit ;;
    *) echo "amx_check: '$1' is no option; --help shows them" >&2; exit 2 ;;
  esac
done
if ! grep -qw amx_bf16 /proc/cpuinfo; then
  echo "amx_check: this processor has no AMX ($(lscpu | sed -n 's/^Model name: *//p')); nothing to check" >&2
  exit 77
fi
mkdir -p "$out"
[[ -f $build/build.ninja ]] || cmake --preset release -S "$root" -B "$build" >/dev/null
cmake --build "$build" --target cavmae test_kernels test_nn test_machine matmul_benchmark attention_benchmark peak_benchmark data_benchmark

check() {  # NAME COMMAND...: what it prints goes to the screen and to a file
  local name=$1
  shift
  echo "== $name: $*"
  "$@" 2>&1 | tee "$out/$name.txt" || failed+=("$name")
}
failed=()
check machine "$build/cavmae" info --machine
check tiles "$build/bin/test_kernels" '--gtest_filter=*Tile*:*Engine*:*Attention*'
for isa in amx avx512_bf16 avx512 avx2 baseline; do
  check "tests_$isa" env CAVMAE_ISA=$isa "$build/bin/test_nn" --gtest_brief=1
done
check matmul "$build/bin/matmul_benchmark"
check attention "$build/bin/attention_benchmark"
check limits "$root/benchmarks/limits.sh" --build "$build"
# What each change brings: the same step by the engines that there were before.
for engine in amx onednn via_fp32; do
  for wgrad in amx wgrad_gemm via_fp32; do
    check "step_${engine}_wgrad_$wgrad" "$build/cavmae" bench --batch-size 8 --precision bf16 --steps 5 --quiet \
      --engine "forward=$engine,dgrad=$engine,wgrad=$wgrad"
  done
done
for attention in amx avx512 avx512_bf16; do
  check "step_attention_$attention" "$build/cavmae" bench --batch-size 8 --precision bf16 --steps 5 --quiet \
    --engine "attention=$attention"
done
for threads in 1 2; do
  check "threads_$threads" "$build/cavmae" bench --batch-size 8 --precision bf16 --steps 5 --quiet --threads $threads
done
check batch_32 "$build/cavmae" bench --batch-size 32 --precision bf16 --steps 3 --quiet
if ! $quick; then
  check compare "$root/benchmarks/compare.sh" --dtypes bf16 --rounds 10 --no-shipped "${other[@]}"
  check curve "$root/benchmarks/bf16_curve.sh" "$out/curve"
  # Of a network that has learned, made by the curve's first seed.
  check accuracy /usr/bin/python3 "$root/benchmarks/precision.py" --checkpoint "$out/curve/fp32-0" --cavmae "$build/cavmae" --check
  check files "$root/benchmarks/embed_files.sh"
fi
echo "amx_check: all of it is in $out"
if (( ${#failed[@]} > 0 )); then
  echo "amx_check: failed: ${failed[*]}" >&2
  exit 1
fi
