#!/usr/bin/env bash
# Trains configs/tiny.json for 300 steps in fp32 and in bf16, with the same seed on the same generated clips, and compares
# the losses, averaged over 20 steps. Prints a table and the largest difference; exit code 1 above 1 %.
#
#   benchmarks/bf16_curve.sh [FOLDER]     the clips and the runs go to FOLDER [a temporary one]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cavmae=$here/build/release/cavmae
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"

clips=960 epochs=20  # 15 batches of 64 clips an epoch: 300 steps
[[ -d $folder/clips ]] || "$cavmae" synth --out "$folder/clips" --clips $clips --seed 1
for precision in fp32 bf16; do
  "$cavmae" --quiet pretrain --config "$here/configs/tiny.json" --data "$folder/clips" --cache "$folder/cache" \
            --out "$folder/$precision" --precision $precision --epochs $epochs --log-interval-steps 20 --no-report
done

python3 - "$folder" <<'PYTHON'
import json, sys

def curve(precision):
    with open(f"{sys.argv[1]}/{precision}/metrics.jsonl") as lines:
        return {r["step"]: r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"}

fp32, bf16 = curve("fp32"), curve("bf16")
worst = 0.0
print(f"{'steps':>9} {'fp32':>9} {'bf16':>9} {'difference':>11}")
for step, loss in fp32.items():
    difference = bf16[step] / loss - 1
    worst = max(worst, abs(difference))
    print(f"{step - 19:4}-{step:4} {loss:9.4f} {bf16[step]:9.4f} {difference:10.2%}")
print(f"largest difference: {worst:.2%}")
sys.exit(worst > 0.01)
PYTHON
