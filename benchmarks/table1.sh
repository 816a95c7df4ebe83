#!/usr/bin/env bash
# Table 1 of the paper in small: every system is pretrained on the same clips with the same budget, then fine-tuned on a
# few labelled ones, with sound (A), pictures (V) and both (AV).
#
#   benchmarks/table1.sh [OUT]             generated clips; default: build/table1
#   benchmarks/table1.sh --stamps [OUT]    spoken names of drawings (examples/talking_stamps); default: build/table1-stamps
#
# CAVMAE names another program than build/release/cavmae, CAVMAE_LANES the runs that go side by side, one thread each
# (default: one a core). What is finished is kept: the same command goes on after a stop.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CAVMAE=${CAVMAE:-$root/build/release/cavmae} CONFIGS=$root/configs OUT
set=generated
[[ ${1:-} == --stamps ]] && { set=stamps; shift; }
[[ ${1:-} != -* ]] || { echo "usage: table1.sh [--stamps] [OUT]" >&2; exit 2; }
OUT=$(realpath -m "${1:-$root/build/table1$([[ $set == generated ]] || echo "-$set")}")
# Where the clips are, what they need to be said, and the budget.
export unlabelled=$OUT/clips labelled=$OUT/labelled test=$OUT/test classes='' sound='--fbank-mean -4.24 --fbank-std 3.74'
export pretraining_epochs=32 finetuning_epochs=30
if [[ $set == stamps ]]; then
  unlabelled=$OUT/train.jsonl labelled=$OUT/labelled.jsonl test=$OUT/held_out.jsonl
  classes="--labels $OUT/class_labels_indices.csv --allow-empty-classes"
  sound='--fbank-mean -4.062 --fbank-std 5.248 --num-frames 1'
  pretraining_epochs=6 finetuning_epochs=10
fi
lanes=${CAVMAE_LANES:-$(nproc)}
systems=(audio-mae visual-mae cav av-mae-vanilla av-mae cav-mae)
mkdir -p "$OUT"

# Every system has four layers of the encoders' width between its input and its output, as the paper's have twelve.
shape_of() {
  echo --num-fbank-frames 192 --num-mel-bins 64 --image-size 64 --window-seconds 2 --embed-dim 128 --num-heads 4
  [[ $1 == cav ]] || echo --decoder-depth 1 --decoder-embed-dim 96 --decoder-num-heads 4
  case $1 in
    audio-mae | visual-mae) echo --modality-depth 4 ;;
    av-mae-vanilla) echo --joint-depth 4 ;;
    *) echo --modality-depth 3 ;;
  esac
}
# One device contrasts the whole batch. The contrastive loss of cav-mae weighs what it weighs in the paper.
objective_of() {
  case $1 in
    cav | cav-mae) echo --contrastive-batch 0 --bidirectional ;;
  esac
}
# Lets a finished run be, goes on with one that was stopped, else begins. $1: its folder; the rest: how it begins.
train() {
  local run=$1 command=$2
  shift 2
  [[ -e $run.done ]] && return
  local begin=("$@" --out "$run")
  if [[ -e $run/run.json ]]; then begin=(--out "$run" --resume); else rm -rf "$run"; fi
  "$CAVMAE" "$command" --quiet --threads 1 --num-workers 1 --no-report "${begin[@]}"
  touch "$run.done"
}
pretrain() {
  # shellcheck disable=SC2046,SC2086  # words on purpose
  train "$OUT/pretrained/$1" pretrain --config "$CONFIGS/$1.json" --data "$unlabelled" --cache "$OUT/cache" \
    $sound --epochs "$pretraining_epochs" --batch-size 64 \
    --lr 1e-3 --lr-schedule cosine --warmup-steps 50 $(shape_of "$1") $(objective_of "$1")
}
# The same network with its random parameters left as they are.
random() {
  # shellcheck disable=SC2046,SC2086
  train "$OUT/pretrained/random" pretrain --config "$CONFIGS/cav-mae.json" --data "$labelled" --cache "$OUT/cache" \
    $sound --epochs 1 --batch-size 64 --lr 1e-30 $(shape_of cav-mae)
}
# $1: system; $2: audio, video or both
finetune() {
  # shellcheck disable=SC2086
  train "$OUT/finetuned/$1-$2" finetune --config "$CONFIGS/finetune-tiny.json" --init "$OUT/pretrained/$1" --mode "$2" \
    --data "$labelled" --val "$test" $classes --cache "$OUT/cache" --epochs "$finetuning_epochs" \
    --average-from-epoch $((finetuning_epochs / 2 + 1)) --validate-every-epochs "$finetuning_epochs" --final-frames middle
}
export -f shape_of objective_of train pretrain random finetune
in_lanes() { xargs -P "$lanes" -I{} bash -euo pipefail -c '{}'; }

modes_of() {
  case $1 in
    audio-mae) echo audio ;;
    visual-mae) echo video ;;
    *) echo audio video both ;;
  esac
}
# The mean average precision of a fine-tuned model, in percent; a dash where there is none.
map_of() {
  local evaluation="$OUT/finetuned/$1-$2/evaluation.json" value
  [[ -e $evaluation ]] || { echo "-"; return; }
  value=$(sed -nE 's/.*"(map|mean_average_precision)": *([0-9.eE+-]+).*/\2/p' "$evaluation" | head -1)
  LC_ALL=C awk -v x="$value" 'BEGIN { printf "%.1f", 100 * x }'
}

synth() { "$CAVMAE" synth --quiet --out "$OUT/$1" --clips "$2" --seed "$3" --seconds 2 --image-size 64; }
if [[ $set == generated ]]; then
  echo "== 1. Clips: 2,500 to pretrain on, 300 labelled ones to fine-tune on, 300 to be tested on"
  synth clips 2500 11
  synth labelled 300 12
  synth test 300 13
else
  echo "== 1. Clips: those of nine drawings in ten, of which every seventh is labelled; those of the others to be tested on"
  [[ -s $labelled ]] || "$root/examples/talking_stamps/make_manifest.sh" "$OUT" --hold-out pictures
  awk 'NR % 7 == 1' "$unlabelled" >"$labelled"
fi
echo "== 2. Pretraining"
{ printf 'pretrain %s\n' "${systems[@]}"; echo random; } | in_lanes
echo "== 3. Fine-tuning"
for system in random "${systems[@]}"; do
  for mode in $(modes_of "$system"); do echo "finetune $system $mode"; done
done | in_lanes
echo "== 4. The table: mean average precision on the test clips, in percent"
{
  echo "| pretrained as | A | V | AV |"
  echo "|---|---:|---:|---:|"
  for system in random "${systems[@]}"; do
    echo "| $system | $(map_of "$system" audio) | $(map_of "$system" video) | $(map_of "$system" both) |"
  done
} | tee "$OUT/table1.md"
