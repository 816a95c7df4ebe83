#!/usr/bin/env bash
# Makes manifests of Debian's tuxpaint-stamps-default: one picture and one recording that belongs to it are a clip.
#
#   make_manifest.sh OUT [--hold-out LANGUAGE|FRACTION|pictures] [--stamps DIR]
#
# Writes OUT/train.jsonl, OUT/held_out.jsonl and OUT/class_labels_indices.csv. A clip's label is the folder that its
# picture lies in (animals, food, ...). Held out are the recordings of one language ("fr") or a random share of all
# ("0.1", the default), whose pictures are in the training set too; or a tenth of the pictures ("pictures") with all their
# recordings.
set -euo pipefail

hold_out=0.1
stamps=/usr/share/tuxpaint/stamps
out=
while (( $# )); do
  case "$1" in
    --hold-out) hold_out=${2:?"--hold-out needs a language, a fraction, or pictures"}; shift 2 ;;
    --stamps) stamps=${2:?"--stamps needs a folder"}; shift 2 ;;
    -*) echo "unknown flag '$1'; known are --hold-out and --stamps" >&2; exit 2 ;;
    *) out=$1; shift ;;
  esac
done
[[ -n "$out" ]] || { echo "usage: make_manifest.sh OUT [--hold-out LANGUAGE|FRACTION|pictures] [--stamps DIR]" >&2; exit 2; }
[[ -d "$stamps" ]] || { echo "$stamps: no such folder; sudo apt-get install tuxpaint-stamps-default" >&2; exit 1; }
mkdir -p "$out"

# Pictures first, then recordings, each list sorted: the same package gives the same manifests.
{ find "$stamps" \( -name '*.png' -o -name '*.svg' \) | LC_ALL=C sort
  find "$stamps" \( -name '*.ogg' -o -name '*.wav' \) | LC_ALL=C sort
} | awk -v root="$stamps/" -v hold_out="$hold_out" -v out="$out" '
  function stem(path) { sub(/\.[a-z]+$/, "", path); return path }
  function quoted(text) { gsub(/[\\"]/, "\\\\&", text); return "\"" text "\"" }
  # The minimal standard generator of Park and Miller: every awk draws the same numbers.
  function draw() { state = (state * 16807) % 2147483647; return state / 2147483647 }
  BEGIN { state = 2023; by_language = hold_out !~ /^[0-9.]+$/ }
  /\.png$/ { picture[stem($0)] = $0; next }                              # a drawing of both kinds: the png
  /\.svg$/ { if (!(stem($0) in picture)) { picture[stem($0)] = $0; svg_only++ } next }
  {
    # frog_desc_fr.ogg: its name in French. frog_desc.ogg: in English. 7_de.ogg: the like of symbols. frog.ogg: its sound.
    of = stem($0); language = "sound"
    id = substr(of, length(root) + 1)
    if (id in taken) next  # the same as .ogg and .wav
    if (sub(/_desc$/, "", of)) language = "en"
    else if (match(of, /_desc_[a-z][a-z](_[A-Z][A-Z])?$/)) { language = substr(of, RSTART + 6); of = substr(of, 1, RSTART - 1) }
    else if (!(of in picture) && match(of, /_[a-z][a-z](_[A-Z][A-Z])?$/)) { language = substr(of, RSTART + 1); of = substr(of, 1, RSTART - 1) }
    if (!(of in picture)) { orphans++; next }
    taken[id] = 1
    label = id; sub(/\/.*/, "", label)
    if (hold_out == "pictures") { if (!(of in fate)) fate[of] = draw() < 0.1; held = fate[of] }
    else held = by_language ? language == hold_out : draw() < hold_out + 0
    file = out (held ? "/held_out.jsonl" : "/train.jsonl")
    printf "{\"id\": %s, \"image\": %s, \"audio\": %s, \"labels\": [%s]}\n", quoted(id), \
           quoted(picture[of]), quoted($0), quoted(label) > file
    clips[held]++; languages[language]++; used[of] = 1; if (!(label in seen)) { seen[label] = 1; names[++num_labels] = label }
  }
  END {
    if (!clips[1]) { print "nothing is held out: no recording in \"" hold_out "\"" > "/dev/stderr"; exit 1 }
    csv = out "/class_labels_indices.csv"
    print "index,mid,display_name" > csv
    for (i = 1; i <= num_labels; i++) printf "%d,%s,%s\n", i - 1, names[i], names[i] > csv
    for (of in used) num_used++
    printf "%d clips to train on, %d held out, of %d pictures (%d drawings exist as svg alone) in %d categories\n", \
           clips[0], clips[1], num_used, svg_only, num_labels
    if (orphans) printf "%d recordings have no picture of their name and were left out\n", orphans
    print "recordings in each language:"
    for (language in languages) printf "  %-6s %d\n", language, languages[language] | "sort -k2,2nr -k1,1"
  }'
