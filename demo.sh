#!/usr/bin/env bash
# From nothing to a report: installs what is missing, builds, makes video clips with sound, trains a small CAV-MAE on
# them and measures retrieval on clips it never saw. The last line is one JSON object.
#   ./demo.sh [FOLDER]      FOLDER receives clips and run (default: build/demo; made anew each time)
# CAVMAE_DEMO_CLIPS, CAVMAE_DEMO_HELD_OUT and CAVMAE_DEMO_EPOCHS make it smaller or larger.
set -euo pipefail
invoked_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_dependencies.sh
mkdir -p build
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target cavmae

out=${1:-build/demo}
[[ "$out" == /* || $# -eq 0 ]] || out="$invoked_from/$out"
if [[ -e "$out" && ! -e "$out/.cavmae-demo" ]]; then
  echo "$out exists and was not made by the demo; name another folder" >&2
  exit 2
fi
rm -rf "$out"
mkdir -p "$out"
touch "$out/.cavmae-demo"

started=$SECONDS
cavmae=build/release/cavmae
clips=${CAVMAE_DEMO_CLIPS:-4000}
held_out=${CAVMAE_DEMO_HELD_OUT:-200}
epochs=()
[[ -z "${CAVMAE_DEMO_EPOCHS:-}" ]] || epochs=(--epochs "$CAVMAE_DEMO_EPOCHS")

echo "== 1. Making $clips clips to learn from, 100 to watch the training with, $held_out to be tested on"
$cavmae synth --out "$out/clips" --clips "$clips" --seed 1
$cavmae synth --out "$out/validation" --clips 100 --seed 2
$cavmae synth --out "$out/held_out" --clips "$held_out" --seed 3
echo "== 2. Pretraining configs/tiny.json"
$cavmae pretrain --config tiny --data "$out/clips" --val "$out/validation" --out "$out/run" --cache "$out/cache" --no-report "${epochs[@]}"
echo "== 3. Retrieval on the held-out clips"
$cavmae retrieve --checkpoint "$out/run" --data "$out/held_out" --cache "$out/cache" --frames all --json "$out/retrieval.json"
echo "== 4. The report"
$cavmae report "$out/run" --data "$out/held_out" --cache "$out/cache" --frames all
report=$(cd "$out/run" && pwd)/report.html
echo "Open it in a browser: $report"
echo "== 5. A library of the held-out clips, searched by a sound"
$cavmae index "$out/library" --data "$out/held_out" --checkpoint "$out/run"
sound=$(find "$out/held_out" -name '*.mp4' | sort | head -n 1)
$cavmae search "$out/library" --audio "$sound" --for video --top 3
echo "Search it yourself, in a browser: $PWD/$cavmae serve $(cd "$out" && pwd)/library"
result=$(tr -d '\n' <"$out/retrieval.json")
echo "${result%\}}, \"seconds\": $((SECONDS - started)), \"report\": \"$report\"}"
