#!/usr/bin/env bash
# What this machine can do at most, and how long a step would take at that: the peak of each kind of instruction, what
# memory gives, and for each kind of work of a model its arithmetic, the perfect step and the measured one.
#
#   benchmarks/limits.sh [--config NAME] [--batch-size N] [--build DIR]    cav-mae, 8 clips; build/release; two minutes on two cores
#
# The program must have been built: cmake --preset release && cmake --build --preset release.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
config=cav-mae batch=8 build=$root/build/release
while (( $# > 0 )); do
  case $1 in
    --config) config=$2; shift 2 ;;
    --batch-size) batch=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    -h | --help) sed -n '2,8s/^# \?//p' "$0"; exit ;;
    *) echo "limits: '$1' is no option; --help shows them" >&2; exit 2 ;;
  esac
done
[[ -x $build/bin/peak_benchmark ]] || { echo "limits: $build/bin/peak_benchmark is not built" >&2; exit 1; }

lscpu | sed -n 's/^Model name: */processor: /p'
"$build/bin/peak_benchmark"
for mode in pretrain finetune embed; do
  for precision in bf16 fp32; do
    "$build/cavmae" bench --config "$config" --mode $mode --batch-size "$batch" --precision $precision --steps 3 --quiet --json - |
      python3 -c '
import json, sys
step = json.load(sys.stdin)
gflop = step["gflop_per_sample"] * step["batch_size"]
perfect = gflop / step["peak_gflops"]
print("{:8} {}: {:8.1f} GFLOP; perfect {:6.3f} s ({:.2f} clips/s at {:.0f} GFLOP/s, {}); measured {:6.3f} s, {:.0f} %".format(
    sys.argv[1], sys.argv[2], gflop, perfect, step["batch_size"] / perfect, step["peak_gflops"], step["peak_instructions"],
    step["step_seconds"], 100 * perfect / step["step_seconds"]))' $mode $precision
  done
done
