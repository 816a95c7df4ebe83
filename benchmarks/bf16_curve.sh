#!/usr/bin/env bash
# Trains configs/tiny.json for 300 steps in fp32 and in bf16 on the same generated clips, for three seeds, and compares
# the losses, averaged over 20 steps. Prints each seed's differences and their means; exit code 1 where a mean is above 1 %.
# One seed says less: where a curve has a bump, two runs of a hair's difference come out of it apart.
#
#   benchmarks/bf16_curve.sh [FOLDER]     the clips and the runs go to FOLDER [a temporary one], in place of runs of before
#
# CAVMAE is the program [build/release/cavmae]; ENGINES names what computes in bf16, as `--engine` takes it [what is fastest
# here]; CLIPS and EPOCHS make it smaller.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cavmae=${CAVMAE:-$here/build/release/cavmae}
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"

clips=${CLIPS:-960} epochs=${EPOCHS:-20}  # 15 batches of 64 clips an epoch: 300 steps
seeds=(0 2 3)
[[ -d $folder/clips ]] || "$cavmae" synth --out "$folder/clips" --clips $clips --seed 1
for seed in "${seeds[@]}"; do
  for precision in fp32 bf16; do
    engines=()
    [[ $precision == fp32 || -z ${ENGINES:-} ]] || engines=(--engine "$ENGINES")
    rm -rf "$folder/$precision-$seed"
    "$cavmae" --quiet pretrain --config "$here/configs/tiny.json" --data "$folder/clips" --cache "$folder/cache" \
              --out "$folder/$precision-$seed" --precision $precision --seed "$seed" --epochs $epochs \
              --log-interval-steps 20 --no-report "${engines[@]}"
  done
done

python3 - "$folder" "${seeds[@]}" <<'PYTHON'
import json, sys

folder, seeds = sys.argv[1], sys.argv[2:]

def curve(precision, seed):
    with open(f"{folder}/{precision}-{seed}/metrics.jsonl") as lines:
        return {r["step"]: r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"}

curves = [(curve("fp32", seed), curve("bf16", seed)) for seed in seeds]
worst, worst_of_one = 0.0, 0.0
print(f"{'steps':>9} {'fp32, seed ' + seeds[0]:>14}" + "".join(f"{'seed ' + seed:>9}" for seed in seeds) + f"{'mean':>9}")
for step, loss in curves[0][0].items():
    differences = [bf16[step] / fp32[step] - 1 for fp32, bf16 in curves]
    mean = sum(differences) / len(differences)
    worst, worst_of_one = max(worst, abs(mean)), max([worst_of_one, *map(abs, differences)])
    print(f"{step - 19:4}-{step:4} {loss:14.4f}" + "".join(f"{d:9.2%}" for d in differences) + f"{mean:9.2%}")
print(f"largest mean difference: {worst:.2%}; of one seed: {worst_of_one:.2%}")
sys.exit(worst > 0.01)
PYTHON
