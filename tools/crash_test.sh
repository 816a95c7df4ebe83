#!/usr/bin/env bash
# Holds pretraining and fine-tuning to what the README promises: killed at any moment, or stopped by a full disk, a run
# that is resumed ends with the parameters of one that nothing disturbed, number for number.
#   tools/crash_test.sh [--build DIR] [--kills N] [--full-disks N] [--seed N] [--skip-disks-without-mount]
# Runs of a few seconds are killed (kill -9) at N random moments [50], and their disk is filled, wholly or but for a few
# bytes, at N random moments [10]. A kill counts when it hit a process (exit code 137) that had begun to write its run
# and was not done with it; at least four in five have to. The disk is a tmpfs of its own, which takes root or user
# namespaces (unshare -rm): without either the test fails, or leaves the disks out with --skip-disks-without-mount.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
declare -A numbers=([kills]=50 [full_disks]=10 [seed]=$$)
source "$here/tools/crash_test_setup.sh"
# How many lines a run has logged: $lines.
count_lines() {
  local text=()
  [[ ! -f "$1/run.log" ]] || mapfile -t text <"$1/run.log"
  lines=${#text[@]}
}

cat >"$work/pretrain.json" <<'JSON'
{"epochs": 12, "log_interval_steps": 1,
 "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 64, "num_heads": 2,
           "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
 "data": {"window_seconds": 1.0}, "loader": {"batch_size": 4},
 "checkpoint": {"checkpoint_interval_steps": 2}, "schedule": {"lr": 1e-3}}
JSON
cat >"$work/finetune.json" <<'JSON'
{"epochs": 12, "log_interval_steps": 1, "average_from_epoch": 3, "allow_empty_classes": true,
 "loader": {"batch_size": 4}, "checkpoint": {"checkpoint_interval_steps": 2}, "schedule": {"lr": 1e-3}}
JSON

# The command line of a fresh run, or of one that goes on, without its --out.
command_of() {  # KIND fresh|resume
  command=("$cavmae" "$1" --no-report)
  [[ $2 != resume ]] || { command+=(--resume); return 0; }
  command+=(--config "$work/$1.json" --data "$work/clips" --val "$work/clips" --cache "$work/cache")
  [[ $1 == pretrain ]] || command+=(--init "$work/whole-pretrain")
}

# What a run ends with: every tensor of its last checkpoint and of its averaged model.
same_parameters() {  # RUN RUN
  python3 - "$1" "$2" <<'PY'
import json, pathlib, struct, sys

def tensors(path):
    data = path.read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__', None)
    return {name: (t['dtype'], t['shape'], data[8 + size + t['data_offsets'][0]:8 + size + t['data_offsets'][1]])
            for name, t in header.items()}

runs = [pathlib.Path(run) for run in sys.argv[1:]]
compared = 0
for kind in ('last', 'averaged'):
    files = [run / 'checkpoints' / kind / 'model.safetensors' for run in runs]
    if not files[0].exists() and kind == 'averaged':
        continue
    whole, resumed = map(tensors, files)
    if whole.keys() != resumed.keys():
        sys.exit(f'{kind}: other tensors than in the undisturbed run')
    for name in whole:
        if whole[name] != resumed[name]:
            sys.exit(f'{kind}: {name} is not that of the undisturbed run')
    compared += len(whole)
if compared == 0:
    sys.exit('nothing to compare')
PY
}

# Starts it in the background: $pid.
start() {  # KIND fresh|resume OUT
  command_of "$1" "$2"
  "${command[@]}" --out "$3" >"$work/out" 2>"$work/err" &
  pid=$!
}
# Waits for a random moment between the first and the last line that it logs, and a little longer: $moment.
wait_for_random_moment() {  # KIND OUT LINES_BEFORE
  local rest=$((total[$1] - $3 - 3)) line  # the very last lines may come all at once
  line=$(($3 + 1 + RANDOM % (rest > 0 ? rest : 1)))
  local more=$((RANDOM % 40))
  moment="line $line and $more ms"
  count_lines "$2"
  while (( lines < line )) && kill -0 "$pid" 2>/dev/null; do
    pause 5
    count_lines "$2"
  done
  pause "$more"
}
# Its exit code: $code.
finish() {
  code=0
  wait "$pid" 2>/dev/null || code=$?
}
# Goes on to the end, and compares. A run that was killed before it had anything begins anew.
resume_and_compare() {  # KIND OUT
  start "$1" resume "$2"
  finish
  if (( code == 2 )) && [[ ! -e "$2/config.json" ]]; then
    start "$1" fresh "$2"
    finish
  fi
  (( code == 0 )) || fail "$1 could not be resumed (exit code $code)"
  same_parameters "$work/whole-$1" "$2" || fail "$1 does not end as the undisturbed run"
}

echo "Making clips and undisturbed runs (seed $seed)"
"$cavmae" --quiet synth --out "$work/clips" --clips 16 --seconds 1 --image-size 48 --seed 5 >/dev/null
declare -A total
for kind in pretrain finetune; do
  for try in 1 2; do  # the second time with the cache, as all others
    rm -rf "$work/whole-$kind"
    start $kind fresh "$work/whole-$kind"
    finish
    (( code == 0 )) || fail "$kind: exit code $code"
  done
  count_lines "$work/whole-$kind"
  total[$kind]=$lines
  (( lines > 20 )) || fail "$kind logs $lines lines, too few to be hit between them"
done

hits=0 done_before=0 too_early=0 kind=finetune
for (( kill = 1; kill <= kills; )); do
  [[ $kind == pretrain ]] && kind=finetune || kind=pretrain
  out=$work/killed mode=fresh
  rm -rf "$out"
  while (( kill <= kills )); do
    count_lines "$out"
    before=$lines
    start $kind $mode "$out"
    wait_for_random_moment $kind "$out" "$before"
    kill -KILL "$pid" 2>/dev/null || true
    finish
    count_lines "$out"
    if (( code == 137 && lines > before )); then
      what="hit" hits=$((hits + 1))
    elif (( code == 137 )); then
      what="before its first write" too_early=$((too_early + 1))
    elif (( code == 0 )); then
      what="after its end" done_before=$((done_before + 1))
    else
      fail "$kind: exit code $code instead of 137"
    fi
    echo "kill $kill: $kind ($mode) at $moment: $what"
    kill=$((kill + 1))
    # Every third is killed again while it goes on.
    [[ -e "$out/config.json" ]] && (( code == 137 && RANDOM % 3 == 0 )) || break
    mode=resume
  done
  resume_and_compare $kind "$out"
done
echo "$hits of $kills kills hit a live process between its first and its last write; $too_early came before, $done_before after"
(( hits * 5 >= kills * 4 )) || fail "too few kills hit"

full=0 written=0 refused=0 tries=0
if (( full_disks > 0 )); then
  mkdir "$work/disk"
  mount -t tmpfs -o size=64m tmpfs "$work/disk"
fi
while (( full < full_disks )); do
  (( ++tries <= 5 * full_disks )) || fail "the disk was full only $full times in $tries tries"
  [[ $kind == pretrain ]] && kind=finetune || kind=pretrain
  out=$work/disk/run
  rm -rf "$out"
  start $kind fresh "$out"
  wait_for_random_moment $kind "$out" 0
  # To the last byte, or to a random number of bytes before it, so that any write may be the one that fails.
  cat /dev/zero >"$work/disk/filler" 2>/dev/null || true
  truncate -s "-$((RANDOM % 2 * RANDOM * 20))" "$work/disk/filler"
  finish
  rm "$work/disk/filler"
  if (( code == 0 )); then continue; fi  # it had written everything
  (( code == 1 )) || fail "$kind on a full disk: exit code $code instead of 1"
  if grep -q "No space left on device" "$work/err"; then
    what="a write failed" written=$((written + 1))
  elif grep -Eq "not enough space on the disk|cannot be written: it needs" "$work/err"; then
    what="told before the write" refused=$((refused + 1))
  else
    fail "$kind on a full disk does not say so"
  fi
  full=$((full + 1))
  echo "full disk $full: $kind at $moment: $what"
  resume_and_compare $kind "$out"
done
(( full == 0 )) || echo "$full runs met a full disk: $written at a write (ENOSPC), $refused before one"
echo "Every resumed run ended with the parameters of the undisturbed one."
