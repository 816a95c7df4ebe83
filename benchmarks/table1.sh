#!/usr/bin/env bash
# Table 1 of the paper in small: every system is pretrained on the same clips with the same budget, then fine-tuned on a few
# labelled ones, with sound (A), pictures (V) and both (AV), by several seeds; and what might hide an order: other contrastive
# weights of cav-mae; a third of the labels; and, by the first two seeds, another mask ratio, a quarter of the budget and a third
# of the clips, of cav-mae and av-mae.
# Says which systems the test clips and seeds put in order, by bootstrap intervals.
#
#   benchmarks/table1.sh [OUT]             generated clips; default: build/table1
#   benchmarks/table1.sh --stamps [OUT]    spoken names of drawings (examples/talking_stamps); default: build/table1-stamps
#
# CAVMAE names another program than build/release/cavmae, CAVMAE_LANES the runs that go side by side, one thread each
# (default: one a core), SEEDS the seeds (default: "1 2 3"), CLIPS, LABELLED and TEST the numbers of generated clips (2500, 300
# and 3000), EPOCHS those of pretraining. What is finished is kept: the same command goes on after a stop. Installs Debian's
# python3-numpy where it is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CAVMAE=${CAVMAE:-$root/build/release/cavmae} CONFIGS=$root/configs OUT
set=generated
[[ ${1:-} == --stamps ]] && { set=stamps; shift; }
[[ ${1:-} != -* ]] || { echo "usage: table1.sh [--stamps] [OUT]" >&2; exit 2; }
OUT=$(realpath -m "${1:-$root/build/table1$([[ $set == generated ]] || echo "-$set")}")
# Where the clips are, what they need to be said, and the budget.
export unlabelled=$OUT/clips labelled=$OUT/labelled test=$OUT/test classes='' sound='--fbank-mean -4.24 --fbank-std 3.74'
export pretraining_epochs=${EPOCHS:-20} finetuning_epochs=30
manifest=$test/manifest.jsonl few=$labelled/few.jsonl third=$unlabelled/third.jsonl
export few third
if [[ $set == stamps ]]; then
  unlabelled=$OUT/train.jsonl labelled=$OUT/labelled.jsonl test=$OUT/held_out.jsonl
  classes="--labels $OUT/class_labels_indices.csv --allow-empty-classes"
  sound='--fbank-mean -4.062 --fbank-std 5.248 --num-frames 1'
  pretraining_epochs=${EPOCHS:-6} finetuning_epochs=10 manifest=$test few=$OUT/labelled_few.jsonl third=$OUT/train_third.jsonl
fi
lanes=${CAVMAE_LANES:-$(nproc)}
seeds=${SEEDS:-1 2 3}
systems=(audio-mae visual-mae cav av-mae-vanilla av-mae cav-mae)
# Another weight of the contrastive loss than the paper's 0.01; fewer patches hidden; a quarter of the training; a third of the clips
# for as many steps.
weights=(cav-mae-weight-0 cav-mae-weight-0.1 cav-mae-weight-1)
ways=()
for way in mask-0.5 quarter third; do ways+=("av-mae-$way" "cav-mae-$way"); done
first_seeds=$(tr -s ' ' '\n' <<< "$seeds" | head -n 2)
mkdir -p "$OUT"/{scores,retrieval}
source "$root/benchmarks/need_packages.sh"
need_packages table1 python3-numpy

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
# One device contrasts the whole batch. The rest is the paper's, or what the name says.
objective_of() {
  case $1 in
    cav | cav-mae*) echo --contrastive-batch 0 --bidirectional ;;
  esac
  case $1 in
    *-weight-*) echo --contrastive-weight "${1##*-weight-}" ;;
    *-mask-*) echo --mask-ratio-audio "${1##*-mask-}" --mask-ratio-video "${1##*-mask-}" ;;
  esac
}
config_of() {
  case $1 in
    cav-mae-*) echo "$CONFIGS/cav-mae.json" ;;
    av-mae-mask-* | av-mae-quarter | av-mae-third) echo "$CONFIGS/av-mae.json" ;;
    *) echo "$CONFIGS/$1.json" ;;
  esac
}
epochs_of() {
  case $1 in
    *-quarter) echo $((pretraining_epochs / 4)) ;;
    *-third) echo $((pretraining_epochs * 3)) ;;
    *) echo "$pretraining_epochs" ;;
  esac
}
clips_of() { if [[ $1 == *-third ]]; then echo "$third"; else echo "$unlabelled"; fi; }
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
# $1: system; $2: seed
pretrain() {
  # shellcheck disable=SC2046,SC2086  # words on purpose
  train "$OUT/pretrained/$1-$2" pretrain --config "$(config_of "$1")" --data "$(clips_of "$1")" --cache "$OUT/cache" \
    $sound --seed "$2" --epochs "$(epochs_of "$1")" --batch-size 64 \
    --lr 1e-3 --lr-schedule cosine --warmup-steps 50 $(shape_of "$1") $(objective_of "$1")
}
# The same network with its random parameters left as they are.
random() {
  # shellcheck disable=SC2046,SC2086
  train "$OUT/pretrained/random-$1" pretrain --config "$CONFIGS/cav-mae.json" --data "$labelled" --cache "$OUT/cache" \
    $sound --seed "$1" --epochs 1 --batch-size 64 --lr 1e-30 $(shape_of cav-mae)
}
# $1: system; $2: seed
retrieve() {
  [[ ! -e $OUT/retrieval/$1-$2.json ]] || return 0
  "$CAVMAE" retrieve --quiet --threads 1 --num-workers 1 --checkpoint "$OUT/pretrained/$1-$2" --data "$test" \
    --cache "$OUT/cache" --json "$OUT/retrieval/$1-$2.json"
}
# $1: system; $2: audio, video, both, or few: both with a third of the labels; $3: seed
finetune() {
  local name=$1-$2-$3 mode=$2 data=$labelled
  [[ $mode != few ]] || mode=both data=$few
  # shellcheck disable=SC2086
  train "$OUT/finetuned/$name" finetune --config "$CONFIGS/finetune-tiny.json" --init "$OUT/pretrained/$1-$3" --mode "$mode" \
    --data "$data" $classes --cache "$OUT/cache" --seed "$3" --epochs "$finetuning_epochs" \
    --average-from-epoch $((finetuning_epochs / 2 + 1)) --final-frames middle
  [[ ! -e $OUT/scores/$name.json ]] || return 0
  "$CAVMAE" classify --quiet --threads 1 --num-workers 1 --checkpoint "$OUT/finetuned/$name/checkpoints/averaged" --data "$test" \
    --cache "$OUT/cache" --precision fp32 --json "$OUT/scores/$name.json"
}
export -f shape_of objective_of config_of epochs_of clips_of train pretrain random retrieve finetune
in_lanes() { xargs -P "$lanes" -I{} bash -euo pipefail -c '{}'; }

# The ways that are varied by a seed.
ways_of() { if grep -qx "$1" <<< "$first_seeds"; then echo "${ways[@]}"; fi; }
modes_of() {
  case $1 in
    audio-mae) echo audio ;;
    visual-mae) echo video ;;
    cav-mae-weight-1) echo audio video both few ;;
    cav-mae-* | av-mae-mask-* | av-mae-quarter | av-mae-third) echo both ;;
    *) echo audio video both few ;;
  esac
}
synth() { "$CAVMAE" synth --quiet --out "$OUT/$1" --clips "$2" --seed "$3" --seconds 2 --image-size 64; }
if [[ $set == generated ]]; then
  clips=${CLIPS:-2500} num_labelled=${LABELLED:-300} num_test=${TEST:-3000}
  echo "== 1. Clips: $clips to pretrain on, $num_labelled labelled ones to fine-tune on, $num_test to be tested on"
  synth clips "$clips" 11
  synth labelled "$num_labelled" 12
  synth test "$num_test" 13
else
  echo "== 1. Clips: those of nine drawings in ten, of which every seventh is labelled; those of the others to be tested on"
  [[ -s $labelled ]] || "$root/examples/talking_stamps/make_manifest.sh" "$OUT" --hold-out pictures
  awk 'NR % 7 == 1' "$unlabelled" >"$labelled"
fi
all_labelled=$labelled
[[ $set == stamps ]] || all_labelled=$labelled/manifest.jsonl
awk 'NR % 3 == 1' "$all_labelled" >"$few"
all_unlabelled=$unlabelled
[[ $set == stamps ]] || all_unlabelled=$unlabelled/manifest.jsonl
awk 'NR % 3 == 1' "$all_unlabelled" >"$third"
echo "== 2. Pretraining"
for seed in $seeds; do
  echo "random $seed"
  for system in "${systems[@]}" "${weights[@]}" $(ways_of "$seed"); do echo "pretrain $system $seed"; done
done | in_lanes
echo "== 3. Retrieval of the pretrained, fine-tuning, and what the fine-tuned say of the test clips"
for seed in $seeds; do
  for system in random "${systems[@]}" "${weights[@]}" $(ways_of "$seed"); do
    case $system in audio-mae | visual-mae) ;; *) echo "retrieve $system $seed" ;; esac
    for mode in $(modes_of "$system"); do echo "finetune $system $mode $seed"; done
  done
done | in_lanes
echo "== 4. The tables"
# shellcheck disable=SC2086  # seeds are words
/usr/bin/python3 "$root/benchmarks/table1.py" "$OUT" --test "$manifest" --seeds $seeds --variants "${weights[@]}" --ways mask-0.5 quarter third \
  --way-seeds $first_seeds | tee "$OUT/table1.md"
