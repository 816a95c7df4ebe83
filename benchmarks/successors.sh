#!/usr/bin/env bash
# What each step from CAV-MAE to its successors is worth: two directions, global tokens, aligned segments of sound, a pass of
# the contrastive loss's own, registers, a teacher. Each network is trained for the same time on the same generated clips, in
# which objects come and go; measured are R@1 both ways on held-out clips and a linear probe, over three seeds.
#
#   benchmarks/successors.sh [OUT]    default: build/successors
#
# CAVMAE names another program than build/release/cavmae; CAVMAE_LANES the runs that go side by side, one thread each (default:
# one a core); SECONDS_EACH the time of a training (default: 600, under 3 hours for all on two cores); SEEDS the seeds (default:
# "1 2 3"); CLIPS the clips to learn from (default: 2500), HELD_OUT those to be tested on (default: 1000). What is finished is
# kept: the same command goes on after a stop, with a training that was stopped from its beginning.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ ${1:-} != -* ]] || { echo "usage: successors.sh [OUT]" >&2; exit 2; }
export CAVMAE=${CAVMAE:-$root/build/release/cavmae} CONFIGS=$root/configs
OUT=$(realpath -m "${1:-$root/build/successors}")
export OUT SECONDS_EACH=${SECONDS_EACH:-600}
seeds=${SEEDS:-1 2 3}
lanes=${CAVMAE_LANES:-$(nproc)}
variants=(cav-mae directions tokens segments dual registers teacher random)
mkdir -p "$OUT"/{pretrained,probed,results}

# What a network has besides the one before it.
added_by() {
  case $1 in
    directions) echo --bidirectional ;;
    tokens) echo --global-tokens ;;
    segments) echo --audio-window-frames 80 --alignment picture --num-frames 8 --noise false --roll false ;;
    dual) echo --contrastive-mask-ratio 0.5 ;;
    registers) echo --registers 4 ;;
    teacher) echo --ema-decay 0.996 ;;
    random) echo --ema-decay 0.996 --ranking-from-step 1000000000 ;; # the same teacher, patches in a random order
  esac
}
flags_of() {
  local variant
  for variant in cav-mae directions tokens segments dual registers; do
    added_by "$variant"
    [[ $variant != "$1" ]] || return 0
  done
  added_by "$1"
}
common="--quiet --threads 1 --num-workers 1 --no-report"
export common
# $1: network; $2: seed
pretrain() {
  local run=$OUT/pretrained/$1-$2
  [[ ! -e $run.done ]] || return 0
  rm -rf "$run"
  # shellcheck disable=SC2046,SC2086  # words on purpose
  timeout --signal=INT "$SECONDS_EACH" "$CAVMAE" pretrain $common --config "$CONFIGS/tiny.json" --bidirectional false \
    --data "$OUT/clips" --cache "$OUT/cache" --out "$run" --seed "$2" --epochs 100000 --lr 1e-3 --lr-schedule constant \
    --num-fbank-frames 192 --image-size 64 --window-seconds 2 --batch-size 64 \
    --checkpoint-interval-seconds 0 --checkpoint-interval-steps 0 $(flags_of "$1") || true # stopped by its time
  [[ -e $run/checkpoints/last ]] || { echo "$run: left no checkpoint" >&2; return 1; }
  touch "$run.done"
}
measure() {
  local name=$1-$2
  [[ -e $OUT/results/$name.json ]] ||
    "$CAVMAE" retrieve --quiet --threads 1 --num-workers 1 --checkpoint "$OUT/pretrained/$name" --data "$OUT/held_out" \
      --cache "$OUT/cache" --frames all --json "$OUT/results/$name.json"
  [[ -e $OUT/probed/$name.done ]] && return
  rm -rf "$OUT/probed/$name"
  # shellcheck disable=SC2086
  "$CAVMAE" finetune $common --config "$CONFIGS/finetune-tiny.json" --init "$OUT/pretrained/$name" --freeze-encoder \
    --data "$OUT/labelled" --val "$OUT/held_out" --cache "$OUT/cache" --out "$OUT/probed/$name" --seed "$2" --epochs 20 \
    --validate-every-epochs 20 --final-frames middle
  touch "$OUT/probed/$name.done"
}
export -f added_by flags_of pretrain measure
in_lanes() { xargs -P "$lanes" -I{} bash -euo pipefail -c '{}'; }
of_all() { for seed in $seeds; do for variant in "${variants[@]}"; do echo "$1 $variant $seed"; done; done; }

synth() {
  "$CAVMAE" synth --quiet --out "$OUT/$1" --clips "$2" --seed "$3" --seconds 2 --image-size 64 --scenes events
}
echo "== 1. Clips with events"
synth clips "${CLIPS:-2500}" 21
synth labelled 300 22
synth held_out "${HELD_OUT:-1000}" 23
echo "== 2. Pretraining, $SECONDS_EACH s each"
of_all pretrain | in_lanes
echo "== 3. Retrieval and linear probes"
of_all measure | in_lanes

# A number of a JSON file: $1: file; $2: direction, or nothing; $3: key
number() {
  local value="\"$3\":([0-9.eE+-]+)"
  [[ -z $2 ]] || value="\"$2\":\{[^}]*$value"
  tr -d '\n ' <"$1" | sed -E "s/.*$value.*/\1/"
}
# "mean +- deviation" of the percentages on stdin
summary() {
  LC_ALL=C awk '{ s += $1; q += $1 * $1; n++ } END { m = s / n; d = n > 1 ? sqrt((q - n * m * m) / (n - 1)) : 0
    printf "%.1f ± %.1f", 100 * m, 100 * (d > 0 ? d : 0) }'
}
steps_of() { basename "$(readlink "$OUT/pretrained/$1/checkpoints/last")" | sed -E 's/step-0*([0-9]+)/\1/'; }
echo "== 4. The table: percent, mean and deviation over the seeds"
{
  echo "| network | steps | A->V R@1 | V->A R@1 | probe mAP |"
  echo "|---|---:|---:|---:|---:|"
  for variant in "${variants[@]}"; do
    row="| $variant | $(for seed in $seeds; do steps_of "$variant-$seed"; done | sort -n | sed -n "$(($(wc -w <<<"$seeds") / 2 + 1))p")"
    for direction in audio_to_video video_to_audio; do
      row+=" | $(for seed in $seeds; do number "$OUT/results/$variant-$seed.json" "$direction" r1; done | summary)"
    done
    row+=" | $(for seed in $seeds; do number "$OUT/probed/$variant-$seed/evaluation.json" '' map; done | summary) |"
    echo "$row"
  done
} | tee "$OUT/successors.md"
