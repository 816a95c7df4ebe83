#!/usr/bin/env bash
# The whole walk over talking stamps: manifests, pretraining, retrieval of what was held out, pictures, fine-tuning of
# the category by ear, by eye and by both.
#
#   run.sh OUT [--hold-out LANGUAGE|FRACTION|pictures] [--epochs N] [--threads N]
#
# Uses build/release/cavmae, or $CAVMAE. Started again with the same OUT it goes on where it was stopped.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cavmae=${CAVMAE:-$here/../../build/release/cavmae}

out='' hold_out=0.1 epochs=20 threads=0
while (( $# )); do
  case "$1" in
    --hold-out) hold_out=${2:?}; shift 2 ;;
    --epochs) epochs=${2:?}; shift 2 ;;
    --threads) threads=${2:?}; shift 2 ;;
    -*) echo "unknown flag '$1'; known are --hold-out, --epochs and --threads" >&2; exit 2 ;;
    *) out=$1; shift ;;
  esac
done
[[ -n "$out" ]] || { echo "usage: run.sh OUT [--hold-out LANGUAGE|FRACTION|pictures] [--epochs N] [--threads N]" >&2; exit 2; }
[[ -x "$cavmae" ]] || { echo "$cavmae: not there; build it (./demo.sh does), or set CAVMAE" >&2; exit 1; }

step() { echo; echo "== $*"; }

step "Manifests"
[[ -s "$out/class_labels_indices.csv" ]] || "$here/make_manifest.sh" "$out" --hold-out "$hold_out"
train=$out/train.jsonl held_out=$out/held_out.jsonl cache=$out/cache

step "Pretraining without labels"
resume=(); [[ -d "$out/pretrained/checkpoints" ]] && resume=(--resume)
"$cavmae" pretrain --config "$here/config.json" --data "$train" --val "$held_out" --out "$out/pretrained" \
          --cache "$cache" --epochs "$epochs" --threads "$threads" "${resume[@]}"

step "Retrieval of what was held out"
"$cavmae" retrieve --checkpoint "$out/pretrained" --data "$held_out" --cache "$cache" --json "$out/retrieval.json" \
          --threads "$threads"

step "Pictures"
clip=$(sed -n '1s/^{"id": "\([^"]*\)".*/\1/p' "$held_out")
"$cavmae" inpaint "$held_out" --clip "$clip" --checkpoint "$out/pretrained" --out "$out/inpaint.png"
"$cavmae" localize "$held_out" --clip "$clip" --checkpoint "$out/pretrained" --out "$out/localize.png"

for mode in audio video both; do
  step "Fine-tuning the category: $mode"
  resume=(); [[ -d "$out/finetuned-$mode/checkpoints" ]] && resume=(--resume)
  "$cavmae" finetune --init "$out/pretrained" --config "$here/finetune.json" --mode "$mode" \
            --data "$train" --val "$held_out" --labels "$out/class_labels_indices.csv" --allow-empty-classes \
            --out "$out/finetuned-$mode" --cache "$cache" --threads "$threads" "${resume[@]}"
done
