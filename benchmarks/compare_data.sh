#!/usr/bin/env bash
# Data preparation on one core beside its peers, in turn (A B A B ...), in processor time:
#   a training sample from .wav and .jpg           beside torchaudio, Pillow and torchvision (peer_data.py)
#   the sound and ten pictures of a 10 s clip      beside the ffmpeg command line
#   a training sample from the cache               alone
# Makes its own inputs, installs the peer's Debian packages where they are missing, prints a table of medians.
#   benchmarks/compare_data.sh [--json FILE] [--rounds 5] [--seconds 2] [--core N] [--program PATH]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$here/../build/release/bin/data_benchmark
rounds=5 seconds=2 core=$(($(nproc) - 1)) json=
while (($# > 1)); do
  case $1 in
    --json) json=$2 ;;
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --core) core=$2 ;;
    --program) program=$2 ;;
    *) echo "compare_data: unknown flag $1" >&2; exit 2 ;;
  esac
  shift 2
done
(($# == 0)) || { echo "compare_data: $1 needs a value" >&2; exit 2; }
[ -x "$program" ] || { echo "compare_data: no $program; build the target data_benchmark first" >&2; exit 1; }
python=/usr/bin/python3
if ! $python -c 'import torchaudio, torchvision, PIL' 2>/dev/null || ! command -v ffmpeg >/dev/null; then
  echo "compare_data: installing python3-torch python3-torchaudio python3-torchvision python3-pil ffmpeg" >&2
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get install -y python3-torch python3-torchaudio python3-torchvision python3-pil ffmpeg >&2
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Four clips of 10 s, 640x360 at 25 pictures a second, with x264's own settings; the sound stereo at 44.1 kHz.
for i in 0 1 2 3; do
  ffmpeg -v error -nostdin -f lavfi -i "testsrc2=size=640x360:rate=25" \
    -f lavfi -i "anoisesrc=amplitude=0.2:color=pink:sample_rate=44100:seed=$i" \
    -vf "hue=h=$((60 * i)),noise=alls=5:allf=t:all_seed=$i" -pix_fmt yuv420p -ac 2 -t 10 \
    -c:v libx264 -c:a aac -y "$work/$i.mp4"
  ffmpeg -v error -nostdin -i "$work/$i.mp4" -map 0:a -ac 1 -ar 16000 -y "$work/$i.wav" \
    -map 0:v -ss 5 -frames:v 1 -q:v 3 -y "$work/$i.jpg"
  echo "{\"audio\": \"$i.wav\", \"image\": \"$i.jpg\"}" >> "$work/pairs.jsonl"
  echo "$i.mp4" >> "$work/videos.txt"
done

ours() { taskset -c "$core" "$program" "$@" --seconds "$seconds"; }
peer() { taskset -c "$core" "$python" "$here/peer_data.py" "$work" "$seconds" "$@"; }

# Milliseconds of processor time a clip of one ffmpeg process each, which decodes the file once.
ffmpeg_ms() {
  local TIMEFORMAT='%U %S'
  { time for i in 0 1 2 3; do
      taskset -c "$core" ffmpeg -v error -nostdin -threads 1 -filter_threads 1 -i "$work/$i.mp4" \
        -map 0:a -ac 1 -ar 16000 -f f32le -y /dev/null \
        -map 0:v -vf "fps=1,scale=-2:224:flags=bicubic,crop=224:224" -frames:v 10 -pix_fmt rgb24 -f rawvideo -y /dev/null
    done; } 2>&1 | awk '{ print 1000 * ($1 + $2) / 4 }'
}

echo "compare_data: $rounds rounds on core $core" >&2
for round in $(seq "$rounds"); do
  stages=$([ "$round" = "$rounds" ] && echo --stages || true)
  ours samples "$work/pairs.jsonl" >> "$work/ours"
  peer $stages >> "$work/peer"
  ours extract "$work/videos.txt" >> "$work/extract"
  ffmpeg_ms >> "$work/ffmpeg"
  ours samples "$work/pairs.jsonl" --cache "$work/cache" >> "$work/cached"
done
ours stages "$work/pairs.jsonl" > "$work/stages"

$python - "$work" "$json" <<'PYTHON'
import json
import pathlib
import statistics
import sys

work, out = pathlib.Path(sys.argv[1]), sys.argv[2]


def lines(name):
    return [json.loads(line) for line in (work / name).read_text().splitlines()]


def median(name, key):
    return statistics.median(line[key] for line in lines(name))


ours, peer = median("ours", "ms_per_sample"), median("peer", "ms_per_sample")
extract, ffmpeg = median("extract", "ms_per_clip"), statistics.median(lines("ffmpeg"))
cached = median("cached", "ms_per_sample")
print(f"{'one core, processor time':40}{'cavmae':>12}{'peer':>12}{'ratio':>8}")
print(f"{'training sample from wav + jpg, ms':40}{ours:12.2f}{peer:12.2f}{peer / ours:8.2f}")
print(f"{'  samples/s':40}{1000 / ours:12.0f}{1000 / peer:12.0f}")
print(f"{'sound and 10 pictures of an mp4, ms':40}{extract:12.1f}{ffmpeg:12.1f}{ffmpeg / extract:8.2f}")
print(f"{'cached training sample, ms':40}{cached:12.3f}")
print(f"{'  samples/s':40}{1000 / cached:12.0f}")
stages, peer_stages = lines("stages")[0]["stages_ms"], lines("peer")[-1]["stages_ms"]
print("stages, ms: cavmae", " ".join(f"{name} {ms:.2f}" for name, ms in stages.items()))
print("stages, ms: peer  ", " ".join(f"{name} {ms:.2f}" for name, ms in peer_stages.items()))
report = {"samples": {"cavmae_ms": ours, "peer_ms": peer, "ratio": peer / ours},
          "extract": {"cavmae_ms": extract, "ffmpeg_ms": ffmpeg, "ratio": ffmpeg / extract},
          "cached": {"cavmae_ms": cached, "samples_per_second": 1000 / cached},
          "stages_ms": {"cavmae": stages, "peer": peer_stages}, "rounds": len(lines("ours"))}
if out == "-":
    print(json.dumps(report))
elif out:
    pathlib.Path(out).write_text(json.dumps(report, indent=2) + "\n")
PYTHON
