#!/usr/bin/env bash
# What each step from CAV-MAE to its successors is worth: two directions, global tokens, aligned segments of sound, a pass of
# the contrastive loss's own, registers, a teacher. Each network gets the same processor time on the same clips, without noise and
# roll; measured are retrieval both ways on held-out clips and a linear probe of what the contrastive loss compares (global tokens,
# or else the means of the patches) with the labels of half of the clips, over all of a clip's pictures and over several seeds.
#
#   benchmarks/successors.sh [OUT]             generated clips in which objects come and go; default: build/successors
#   benchmarks/successors.sh --stamps [OUT]    spoken names of drawings (examples/talking_stamps), without aligned segments,
#                                              which sound beside a still picture has no use for; default: build/successors-stamps
#
# CAVMAE names another program than build/release/cavmae; CAVMAE_LANES the runs that go side by side, one thread each (default:
# one a core); SECONDS_EACH the processor time of a training (default: 350, under 2 hours for all on two cores); SEEDS the seeds
# (default: "1 2 3"); CLIPS the clips to learn from (default: 4000), HELD_OUT those to be tested on (default: 1000). How many
# epochs a training has is found out first, from the processor time of a few steps, so that neither a busy machine nor a stop
# changes what is learned. What is finished is kept: the same command goes on after a stop.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CAVMAE=${CAVMAE:-$root/build/release/cavmae} CONFIGS=$root/configs OUT SECONDS_EACH=${SECONDS_EACH:-350}
export set=generated
[[ ${1:-} == --stamps ]] && { set=stamps; shift; }
[[ ${1:-} != -* ]] || { echo "usage: successors.sh [--stamps] [OUT]" >&2; exit 2; }
OUT=$(realpath -m "${1:-$root/build/successors$([[ $set == generated ]] || echo "-$set")}")
export clips=$OUT/clips labelled=$OUT/clips/labelled.jsonl held_out=$OUT/held_out classes='' sound='' probe_epochs=12
variants=(cav-mae directions tokens segments dual registers teacher random)
if [[ $set == stamps ]]; then
  clips=$OUT/train.jsonl labelled=$OUT/labelled.jsonl held_out=$OUT/held_out.jsonl
  probe_epochs=20
  classes="--labels $OUT/class_labels_indices.csv --allow-empty-classes"
  sound='--fbank-mean -4.062 --fbank-std 5.248 --num-frames 1'
  variants=(cav-mae directions tokens dual registers teacher random)
fi
seeds=${SEEDS:-1 2 3}
lanes=${CAVMAE_LANES:-$(nproc)}
mkdir -p "$OUT"/{pretrained,probed,results,epochs}

# What a network has besides the one before it.
added_by() {
  case $1 in
    directions) echo --bidirectional ;;
    tokens) echo --global-tokens ;;
    segments) echo --audio-window-frames 80 --alignment picture --num-frames 8 ;;
    dual) echo --contrastive-mask-ratio 0.5 ;;
    registers) echo --registers 4 ;;
    teacher) echo --ema-decay 0.996 ;;
    random) echo --ema-decay 0.996 --ranking-from-step 1000000000 ;; # the same teacher, patches in a random order
  esac
}
flags_of() {
  local variant
  for variant in cav-mae directions tokens segments dual registers; do
    [[ $variant == segments && $set == stamps ]] || added_by "$variant"
    [[ $variant != "$1" ]] || return 0
  done
  added_by "$1"
}
common="--quiet --threads 1 --num-workers 1 --no-report --cache $OUT/cache"
export common
# $1: network; $2: clips; the rest: more flags
pretrain_with() {
  local network=$1 data=$2
  shift 2
  # shellcheck disable=SC2046,SC2086  # words on purpose
  "$CAVMAE" pretrain $common --config "$CONFIGS/tiny.json" --no-bidirectional --data "$data" $sound --no-noise --no-roll \
    --lr 1e-3 --lr-schedule cosine --warmup-steps "${warmup:-50}" --num-fbank-frames 192 --image-size 64 --window-seconds 2 \
    --batch-size 64 $(flags_of "$network") "$@"
}
# Processor time of a training on the clips that are timed, in seconds; without a warm-up, before whose end a teacher would not
# rank. $1: network; $2: round; $3: epochs
processor_seconds() {
  local TIMEFORMAT='%U %S' run=$OUT/epochs/run-$1-$2 warmup=0
  rm -rf "$run"
  { time pretrain_with "$1" "$timed" --out "$run" --epochs "$3" >"$run.log" 2>&1; } 2>&1 | awk '{ print $1 + $2 }' ||
    { cat "$run.log" >&2; return 1; }
  rm -rf "$run" "$run.log"
}
# Seconds of an epoch of all clips: what five epochs of those that are timed take more than one. Round 0 fills the cache.
# $1: network; $2: round
time_epoch() {
  local seconds=$OUT/epochs/$1.$2 one five
  [[ ! -e $seconds && ! -e $OUT/epochs/$1 ]] || return 0
  one=$(processor_seconds "$1" "$2" 1)
  five=$one
  [[ $2 == 0 ]] || five=$(processor_seconds "$1" "$2" 5)
  LC_ALL=C awk -v one="$one" -v five="$five" -v of_all="$steps_of_all" -v of_timed="$steps_of_timed" \
    'BEGIN { print (five - one) / 4 * of_all / of_timed }' >"$seconds.new"
  mv "$seconds.new" "$seconds"
}
# How many epochs of a network take SECONDS_EACH: by the median of three rounds, which all networks take in turn.
count_epochs() {
  local list=$clips network round median
  [[ ! -d $clips ]] || list=$clips/manifest.jsonl
  timed=$(dirname "$list")/timed.jsonl
  head -n 640 "$list" >"$timed"
  steps_of_all=$(($(wc -l <"$list") / 64)) steps_of_timed=$(($(wc -l <"$timed") / 64))
  export timed steps_of_all steps_of_timed
  for round in 0 1 2 3; do
    for network in "${variants[@]}"; do echo "time_epoch $network $round"; done | in_lanes
  done
  for network in "${variants[@]}"; do
    if [[ ! -e $OUT/epochs/$network ]]; then
      median=$(sort -g "$OUT/epochs/$network".[123] | sed -n 2p)
      LC_ALL=C awk -v budget="$SECONDS_EACH" -v each="$median" \
        'BEGIN { n = int(budget / each + 0.5); print n < 1 ? 1 : n }' >"$OUT/epochs/$network.new"
      mv "$OUT/epochs/$network.new" "$OUT/epochs/$network"
    fi
    echo "   $network: $(cat "$OUT/epochs/$network") epochs"
  done
}
# $1: network; $2: seed
pretrain() {
  local run=$OUT/pretrained/$1-$2
  [[ ! -e $run.done ]] || return 0
  if [[ -e $run/run.json ]]; then
    # shellcheck disable=SC2086
    "$CAVMAE" pretrain $common --out "$run" --resume
  else
    rm -rf "$run"
    pretrain_with "$1" "$clips" --out "$run" --seed "$2" --epochs "$(cat "$OUT/epochs/$1")"
  fi
  touch "$run.done"
}
# $1: name of a run; $2: name of the result; the rest: more flags
retrieve() {
  local result=$OUT/results/$2.json run=$OUT/pretrained/$1
  shift 2
  [[ -e $result ]] ||
    "$CAVMAE" retrieve --quiet --threads 1 --num-workers 1 --checkpoint "$run" --data "$held_out" --cache "$OUT/cache" \
      --frames all --json "$result" "$@"
}
measure() {
  local name=$1-$2
  retrieve "$name" "$name"
  retrieve "$name" "$name.mean" --score mean
  [[ ! -e $OUT/probed/$name.done ]] || return 0
  rm -rf "$OUT/probed/$name"
  # shellcheck disable=SC2086
  "$CAVMAE" finetune $common --config "$CONFIGS/finetune-tiny.json" --init "$OUT/pretrained/$name" --freeze-encoder \
    --representation global --no-noise --no-roll --data "$labelled" --val "$held_out" $classes --out "$OUT/probed/$name" \
    --seed "$2" --lr 3e-3 --epochs "$probe_epochs" --validate-every-epochs "$probe_epochs" --final-frames all
  touch "$OUT/probed/$name.done"
}
export -f added_by flags_of pretrain_with processor_seconds time_epoch pretrain retrieve measure
in_lanes() { xargs -P "$lanes" -I{} bash -euo pipefail -c '{}'; }
of_all() { for seed in $seeds; do for variant in "${variants[@]}"; do echo "$1 $variant $seed"; done; done; }

synth() {
  "$CAVMAE" synth --quiet --out "$OUT/$1" --clips "$2" --seed "$3" --seconds 2 --image-size 64 --scenes events
}
echo "== 1. Clips"
if [[ $set == generated ]]; then
  synth clips "${CLIPS:-4000}" 21
  synth held_out "${HELD_OUT:-1000}" 23
  awk 'NR % 2 == 1' "$clips/manifest.jsonl" >"$labelled"
else
  [[ -s $labelled ]] || "$root/examples/talking_stamps/make_manifest.sh" "$OUT" --hold-out 0.1
  awk 'NR % 7 == 1' "$clips" >"$labelled"
fi
echo "== 2. How many epochs take $SECONDS_EACH s of a processor"
count_epochs
echo "== 3. Pretraining"
of_all pretrain | in_lanes
echo "== 4. Retrieval and linear probes"
of_all measure | in_lanes

# A number of a JSON file: $1: file; $2: direction, or nothing; $3: key
number() {
  local value="\"$3\":([0-9.eE+-]+)" found
  [[ -z $2 ]] || value="\"$2\":\{[^}]*$value"
  found=$(tr -d '\n ' <"$1" | sed -nE "s/.*$value.*/\1/p")
  [[ -n $found ]] || { echo "successors: $1 has no $2 $3" >&2; return 1; }
  echo "$found"
}
# "mean +- deviation" of the numbers on stdin. $1: what they are multiplied with
summary() {
  LC_ALL=C awk -v f="$1" '{ x = f * $1; s += x; q += x * x; n++ } END { m = s / n; d = n > 1 ? (q - n * m * m) / (n - 1) : 0
    printf "%.1f ± %.1f", m, sqrt(d > 0 ? d : 0) }'
}
steps_of() { basename "$(readlink "$OUT/pretrained/$1/checkpoints/last")" | sed -E 's/step-0*([0-9]+)/\1/'; }
echo "== 5. The table: mean and deviation over the seeds; R@1, R@10 and mAP in percent"
# Of all seeds. $1: network; $2: direction; $3: key; $4: what it is multiplied with; $5: which result, "" or ".mean"
of_seeds() {
  for seed in $seeds; do number "$OUT/results/$1-$seed$5.json" "$2" "$3"; done | summary "$4"
}
# The networks' own ways to compare, and the mean over all pairs of pictures and sounds, by which all are comparable.
measures=(r1: r1:.mean) names=("R@1" "R@1, all pairs")
[[ $set == generated ]] || measures=(median_rank: r10:) names=("median rank" "R@10")
{
  header="| network | steps |" line="|---|---:|"
  for name in "${names[@]}"; do header+=" A->V $name | V->A $name |" line+="---:|---:|"; done
  echo "$header probe mAP |"
  echo "$line---:|"
  for variant in "${variants[@]}"; do
    row="| $variant | $(steps_of "$variant-${seeds%% *}") |"
    for measure in "${measures[@]}"; do
      for direction in audio_to_video video_to_audio; do
        row+=" $(of_seeds "$variant" "$direction" "${measure%:*}" "$([[ $measure == median_rank: ]] && echo 1 || echo 100)" "${measure#*:}") |"
      done
    done
    row+=" $(for seed in $seeds; do number "$OUT/probed/$variant-$seed/evaluation.json" '' map; done | summary 100) |"
    echo "$row"
  done
} | tee "$OUT/successors.md"
