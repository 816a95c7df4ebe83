#!/usr/bin/env bash
# On a machine with a CUDA PyTorch 2.x: builds cavmae against it without media libraries, runs the golden tests on the GPU,
# and measures a training step beside eager and compiled PyTorch (bf16, fused attention, fused Adam). Says on stderr what it
# does; stdout is one JSON object. Exits 1 when a test fails, 2 when something is missing.
#
#   tools/gpu_check.sh                                     the full-size model at batch 256
#   tools/gpu_check.sh --batch-size 64 --steps 20 --python /opt/conda/bin/python3
#   tools/gpu_check.sh --device cpu --config tiny --batch-size 4 --steps 2      a dry run, with whatever PyTorch there is
#
# Needs g++ (C++20), CMake 3.25, GoogleTest and the headers of CLI11, nlohmann-json, spdlog and fmt; no CUDA compiler, no
# FFmpeg, no oneDNN, no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

device=cuda batch=256 steps=10 config=cav-mae python=python3 build=build/gpu rounds=2 jobs=$(nproc)
while (( $# > 0 )); do
  case $1 in
    --batch-size | --batch)
      (( $# > 1 )) || { echo "gpu_check: $1 needs a value" >&2; exit 2; }
      batch=$2; shift 2 ;;
    --device | --steps | --config | --python | --build | --rounds | --jobs)
      (( $# > 1 )) || { echo "gpu_check: $1 needs a value" >&2; exit 2; }
      printf -v "${1#--}" %s "$2"; shift 2 ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "gpu_check: unknown option '$1'; --help tells the known ones" >&2; exit 2 ;;
  esac
done
say() { echo "gpu_check: $*" >&2; }
mkdir -p "$build"
build=$(cd "$build" && pwd)
log=$build/gpu_check.log
: >"$log"

# ---- what is here
missing=()
needs() {  # header, Debian package
  # shellcheck disable=SC2086  # several flags
  echo "#include <$1>" | g++ -std=c++20 ${CPPFLAGS:-} -E -x c++ - >/dev/null 2>&1 || missing+=("<$1> ($2)")
}
for tool in g++ cmake; do command -v "$tool" >/dev/null || missing+=("$tool"); done
if command -v g++ >/dev/null; then
  needs CLI/CLI.hpp libcli11-dev
  needs nlohmann/json.hpp nlohmann-json3-dev
  needs spdlog/spdlog.h libspdlog-dev
  needs fmt/format.h libfmt-dev
  [[ -e /usr/src/googletest/CMakeLists.txt ]] || needs gtest/gtest.h libgtest-dev
fi
"$python" -c 'import torch' 2>/dev/null || missing+=("PyTorch for $python (--python names another)")
if (( ${#missing[@]} > 0 )); then
  say "missing: ${missing[*]}"
  say "headers elsewhere are found by CPPFLAGS=-I... and CMAKE_PREFIX_PATH=..."
  exit 2
fi
facts=$("$python" - <<'EOF'
import os
import torch
cuda = torch.version.cuda or ""
print(f"torch_version={torch.__version__}")
print(f"torch_major={torch.__version__.split('.')[0]}")
print(f"torch_folder={os.path.dirname(torch.__file__)}")
print(f"torch_cmake={torch.utils.cmake_prefix_path}")
print(f"torch_abi={int(torch.compiled_with_cxx11_abi())}")
print(f"torch_cuda={cuda}")
print(f"num_gpus={torch.cuda.device_count() if cuda else 0}")
EOF
)
torch_version='' torch_major='' torch_folder='' torch_cmake='' torch_abi='' torch_cuda='' num_gpus=0
while IFS='=' read -r name value; do printf -v "$name" %s "$value"; done <<<"$facts"
say "PyTorch $torch_version, CUDA ${torch_cuda:-none}, $num_gpus GPUs, $([[ $torch_abi == 1 ]] && echo new || echo old) C++ ABI"
if [[ $device == cuda* && $num_gpus == 0 ]]; then
  say "this PyTorch finds no GPU; --device cpu is a dry run"
  exit 2
fi
if [[ $torch_abi == 0 && ! -e /usr/src/googletest/CMakeLists.txt ]]; then
  say "this PyTorch was built with the older std::string (_GLIBCXX_USE_CXX11_ABI=0), so that a compiled GoogleTest cannot be"
  say "linked beside it: its sources are needed in /usr/src/googletest (Debian: googletest), or a PyTorch from 2.6 on"
  exit 2
fi

# ---- build
options=(-DCMAKE_BUILD_TYPE=Release -DCAVMAE_MEDIA=OFF -DCAVMAE_ONEDNN=OFF -DCAVMAE_BUILD_BENCHMARKS=OFF -DCMAKE_UNITY_BUILD=ON
         -DCMAKE_UNITY_BUILD_BATCH_SIZE=6)
if [[ -d $torch_folder/include && -d $torch_folder/lib ]]; then  # a pip or conda PyTorch
  options+=(-DCAVMAE_TORCH_PREFIX="$torch_folder" -DCAVMAE_TORCH_CXX11_ABI="$torch_abi")
else
  options+=(-DTorch_DIR="$torch_cmake/Torch")
fi
command -v ninja >/dev/null && options+=(-G Ninja)
run_logged() {
  "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; say "failed: $* (all of it in $log)"; exit 1; }
}
say "configuring and building in $build; $log tells the rest"
run_logged cmake -S . -B "$build" "${options[@]}"
run_logged cmake --build "$build" -j "$jobs" --target cavmae test_models test_train
if nm -C "$build/libs/libcavmae_dist.a" 2>>"$log" | grep ProcessGroupNCCL >/dev/null; then
  say "built with NCCL between ranks"
else
  say "built without NCCL between ranks, whose code was not compiled: it takes libgloo-dev, <nccl.h>, CUDA's headers and PyTorch's own CMake files"
fi

# ---- golden tests; NVIDIA's containers switch TF32 on, whose 10 bits the tolerances are not made for
failed=0
golden() {  # program, filter
  say "testing: $1 $2"
  TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=0 CAVMAE_TEST_DEVICE=$device "$build/bin/$1" --gtest_filter="$2" \
    --gtest_output=json:"$build/$1.json" >>"$log" 2>&1 || { failed=1; say "$1: tests failed, see $log"; }
}
rm -f "$build"/test_*.json "$build"/measured_*.json
golden test_models '*Golden*'
golden test_train '*Trajectory*:AdamOnADevice*'

# ---- one step, in turn
peer=("$python" benchmarks/peer_train.py --device "$device" --precision bf16 --batch-size "$batch" --steps "$steps" --warm-up 5
      --threads "$jobs" --config "configs/$config.json")
[[ $device == cuda* ]] && peer+=(--fused-adam)
(( torch_major >= 2 )) && peer+=(--sdpa)
for (( round = 1; round <= rounds; ++round )); do
  say "measuring, round $round of $rounds: cavmae"
  run_logged "$build/cavmae" bench --quiet --device "$device" --precision bf16 --batch-size "$batch" --steps "$steps" --config "$config" \
    --json "$build/measured_cavmae_$round.json"
  say "measuring, round $round of $rounds: PyTorch, eager"
  "${peer[@]}" >"$build/measured_eager_$round.json" 2>>"$log" || { say "the eager peer failed, see $log"; exit 1; }
  if (( torch_major >= 2 )); then
    say "measuring, round $round of $rounds: PyTorch, compiled"
    "${peer[@]}" --compile >"$build/measured_compiled_$round.json" 2>>"$log" ||
      { rm -f "$build/measured_compiled_$round.json"; say "the compiled peer failed, see $log"; }
  fi
done

"$python" - "$build" "$torch_version" "$torch_cuda" <<'EOF'
import glob
import json
import statistics
import sys

build, version, cuda = sys.argv[1:]


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def side(name):
    runs = [read(path) for path in sorted(glob.glob(f"{build}/measured_{name}_*.json"))]
    if not runs:
        return None
    return {"samples_per_second": statistics.median(run["samples_per_second"] for run in runs),
            "step_seconds": statistics.median(run["step_seconds"] for run in runs),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs), "runs": len(runs)}


def tests(name):
    result = read(f"{build}/{name}.json")
    cases = [case for suite in result["testsuites"] for case in suite["testsuite"]]
    return {"run": sum(case["result"] == "COMPLETED" for case in cases), "failed": result["failures"],
            "skipped": sum(case["result"] == "SKIPPED" for case in cases)}


bench = read(f"{build}/measured_cavmae_1.json")
sides = {name: side(name) for name in ("cavmae", "eager", "compiled")}
ours = sides["cavmae"]["samples_per_second"]
out = {"torch": version, "cuda": cuda or None, "gpus": bench["machine"]["gpus"], "device": bench["device"],
       "config": bench["config"], "batch": bench["batch"], "dtype": bench["dtype"],
       "golden_tests": {name: tests(name) for name in ("test_models", "test_train")},
       "sides": sides, "gflop_per_sample": bench["gflop_per_sample"], "matmul_gflops": bench["peak_gflops"],
       "share_of_matmul_rate": ours * bench["gflop_per_sample"] / bench["peak_gflops"],
       "times_eager": ours / sides["eager"]["samples_per_second"],
       "times_compiled": ours / sides["compiled"]["samples_per_second"] if sides["compiled"] else None}
print(json.dumps(out, indent=2))
EOF
exit "$failed"
