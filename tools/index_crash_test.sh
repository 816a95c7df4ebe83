#!/usr/bin/env bash
# Holds `cavmae index` to what docs/search.md promises: killed at any moment, or stopped by a full disk, the same command
# goes on and ends with the moments and vectors of a library that nothing disturbed, while others search all along.
#   tools/index_crash_test.sh [--build DIR] [--kills N] [--full-disks N] [--clips N] [--seed N] [--skip-disks-without-mount]
# A library of N clips [40] is filled again and again, and killed (kill -9) at random moments between its first and its last
# write until N kills [50] have hit a living process (exit code 137). A disk that is nearly full (a tmpfs of its own) stops
# it at N random moments [5]; that takes root or user namespaces (unshare -rm), and without either the test fails, or leaves
# the disks out with --skip-disks-without-mount.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
declare -A numbers=([kills]=50 [full_disks]=5 [clips]=40 [seed]=$$)
source "$here/tools/crash_test_setup.sh"
searcher=
cleanup() {
  [[ -z "$searcher" ]] || { touch "$work/stop"; wait "$searcher" 2>/dev/null || true; }
  remove_work
}
trap cleanup EXIT

# Every moment of a library with the bytes of its vectors, as text that can be compared.
cat >"$work/dump.py" <<'PYTHON'
import hashlib, json, os, sqlite3, struct, sys
library = sys.argv[1]
settings = json.load(open(os.path.join(library, "library.json")))
generation = os.path.join(library, "generation-%06d" % settings["generation"])
tables = sqlite3.connect(os.path.join(generation, "library.sqlite"))
segments = {}
def segment(number):
    if number not in segments:
        raw = open(os.path.join(generation, "segments", "%06d.safetensors" % number), "rb").read()
        size = struct.unpack("<Q", raw[:8])[0]
        segments[number] = (json.loads(raw[8:8 + size]), raw[8 + size:])
    return segments[number]
width = 4 * settings["model"]["embed_dim"]
nothing = hashlib.md5(b"").hexdigest()
def vector(number, side, row):
    header, data = segment(number)
    begin = header[side]["data_offsets"][0] + row * width
    raw = data[begin:begin + width]
    return b"" if struct.unpack("<f", raw[:4])[0] != struct.unpack("<f", raw[:4])[0] else raw
for path, start, end, number, row, moment in tables.execute(
        "SELECT path, start_ms, m.end_ms, segment, segment_row, m.id FROM moments m JOIN files f ON f.id = m.file ORDER BY path, start_ms"):
    if number is None:
        audio, video = tables.execute("SELECT audio, video FROM tail WHERE moment = ?", (moment,)).fetchone()
    else:
        audio, video = vector(number, "audio", row), vector(number, "video", row)
    print(os.path.basename(path), start, end, hashlib.md5(audio).hexdigest(), hashlib.md5(video).hexdigest())
PYTHON

wal() { echo "$1/generation-000001/library.sqlite-wal"; }
# Waits until a run has written to its tables, or has ended.
wait_for_write() {
  local before=$2
  while kill -0 "$1" 2>/dev/null; do
    [[ ! -f "$3" || $(stat -c %Y%s "$3" 2>/dev/null || echo 0) == "$before" ]] || return 0
    pause 2
  done
}
echo "Making clips, a model and a library that nothing disturbs (seed $seed)"
cat >"$work/pretrain.json" <<'JSON'
{"epochs": 1,
 "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
           "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
 "data": {"window_seconds": 1.0, "num_frames": 4}, "loader": {"batch_size": 4}}
JSON
"$cavmae" synth --out "$work/clips" --clips "$clips" --seconds 3 --image-size 96 -q >"$work/out" 2>"$work/err" || fail "synth"
"$cavmae" pretrain --config "$work/pretrain.json" --data "$work/clips" --out "$work/run" --no-report -q >"$work/out" 2>"$work/err" || fail "pretrain"
# One input a batch, so that what is computed together does not depend on where a run was cut.
# In the background it becomes the program, so that a kill hits that and no shell around it.
become_index() { exec "$cavmae" index "$1" --data "$work/clips" --checkpoint "$work/run" --precision fp32 --batch-size 1 --num-workers 1 --threads 1 "${@:2}"; }
index() { (become_index "$@"); }
now() { echo $(($(date +%s%N) / 1000000)); }
become_index "$work/whole" >"$work/out" 2>"$work/err" &
pid=$!
wait_for_write "$pid" 0 "$(wal "$work/whole")"
begin=$(now)
wait "$pid" || fail "index"
# A quarter of what a library takes from the first write on: several kills hit each.
longest=$((($(now) - begin) / 4 + 1))
python3 "$work/dump.py" "$work/whole" >"$work/expected"
(( $(wc -l <"$work/expected") >= clips )) || fail "the library holds $(wc -l <"$work/expected") moments of $clips clips"

check_whole() {
  index "$1" --check >"$work/out" 2>"$work/err" || fail "the command that goes on"
  ! grep -q damaged "$work/err" || fail "a segment is damaged"
  python3 "$work/dump.py" "$1" >"$work/found"
  cmp -s "$work/expected" "$work/found" || { diff "$work/expected" "$work/found" | head -5 >&2; fail "the moments are not those of an undisturbed library"; }
}

# Each library that becomes whole is left, and another begun: nobody takes one away from under those who search in it.
round=0
begin_library() {
  round=$((round + 1))
  library=$work/killed_$round
  echo "$library" >"$work/current.new"
  mv "$work/current.new" "$work/current"
}
begin_library
# Others search in the library all the while. Before anything can be found in it they are told so; from then on every
# search has to find the clip.
echo 0 >"$work/searches"
(
  count=0 found_in=
  clip=$(head -1 "$work/expected" | cut -d' ' -f1)
  while [[ ! -f "$work/stop" ]]; do
    library=$(<"$work/current")
    if [[ "$found_in" == "$library" || -f "$library/library.json" ]]; then
      if "$cavmae" search "$library" --like "$clip@0" --json - -q --threads 1 >"$work/search_out" 2>"$work/search_err" &&
          grep -q "\"path\": *\".*/$clip\"" "$work/search_out"; then
        count=$((count + 1)) found_in=$library
        echo "$count" >"$work/searches.new" && mv "$work/searches.new" "$work/searches"
      elif [[ "$found_in" == "$library" ]] ||
          ! grep -q "is not in the library\|holds no library\|cannot be opened\|unable to open" "$work/search_err"; then
        cat "$work/search_err" "$work/search_out" >"$work/search_failed"
        exit 1
      fi
    fi
    sleep 0.2
  done
) &
searcher=$!

search_went_wrong() { cat "$work/search_failed" >&2; fail "a search failed while the library was filled"; }
# On a busy machine searches take longer than kills: it goes on until some have found what they looked for.
hit=0 after=0 enough_searches=3 last_second=$((SECONDS + 300))
for (( kill = 1; (hit < kills && kill <= 3 * kills + 20) || ($(<"$work/searches") < enough_searches && SECONDS < last_second); ++kill )); do
  [[ ! -f "$work/search_failed" ]] || search_went_wrong
  file=$(wal "$library")
  before=$(stat -c %Y%s "$file" 2>/dev/null || echo 0)
  become_index "$library" -q >"$work/out" 2>"$work/err" &
  pid=$!
  wait_for_write "$pid" "$before" "$file"
  milliseconds=$((RANDOM % longest))
  pause "$milliseconds"
  kill -9 "$pid" 2>/dev/null || true
  code=0; wait "$pid" 2>/dev/null || code=$?
  if (( code == 137 )); then
    hit=$((hit + 1))
  elif (( code == 0 )); then
    after=$((after + 1))
    check_whole "$library"
    begin_library
  else
    fail "index ended with exit code $code"
  fi
done
check_whole "$library"
touch "$work/stop"
wait "$searcher" || search_went_wrong
searcher=
searches=$(<"$work/searches")
echo "$hit kills hit a live process after its first write, $after came too late; $searches searches meanwhile found what was there"
(( hit >= kills )) || fail "only $hit of $((hit + after)) kills hit"
(( searches >= enough_searches )) || fail "only $searches searches found anything"

full=0
mkdir "$work/disk"
for (( i = 1; i <= full_disks; ++i )); do
  kilobytes=$((60 + RANDOM % 300))
  mount -t tmpfs -o size=${kilobytes}k tmpfs "$work/disk"
  code=0; index "$work/disk/library" -q >"$work/out" 2>"$work/err" || code=$?
  (( code == 1 )) || fail "on a disk of $kilobytes kB index ended with exit code $code"
  grep -qi "full\|space" "$work/err" || fail "it does not say that the disk is full"
  full=$((full + 1))
  mount -o remount,size=64m "$work/disk"
  check_whole "$work/disk/library"
  umount "$work/disk"
done
echo "$full runs met a full disk and went on when there was room"
echo "Every library ended with the moments of the undisturbed one."
