#!/usr/bin/env bash
# Times the filterbank of a 10 s clip beside torchaudio's on one core, in turn, and prints one JSON object:
# median milliseconds of both and how many times faster cavmae is.
#   benchmarks/compare_fbank.sh [path of fbank_benchmark] [rounds]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$root/build/release/bin/fbank_benchmark}
rounds=${2:-5}
[ -x "$program" ] || { echo "compare_fbank: no $program; build the target fbank_benchmark first" >&2; exit 1; }
python=/usr/bin/python3
if ! $python -c 'import torchaudio' 2>/dev/null; then
  echo "compare_fbank: installing python3-torch and python3-torchaudio" >&2
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get install -y python3-torch python3-torchaudio >&2
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

ours() {
  "$program" --benchmark_filter='^BM_Fbank/10$' --benchmark_min_time=1 --benchmark_format=json 2>/dev/null |
    $python -c 'import json, sys; print(json.load(sys.stdin)["benchmarks"][0]["real_time"])'
}
theirs() {
  $python - <<'PYTHON'
import statistics
import time
import torch
import torchaudio

torch.set_num_threads(1)
torch.manual_seed(1)
waveform = torch.rand(1, 160000) - 0.5


def fbank():
    centred = waveform - waveform.mean()
    return torchaudio.compliance.kaldi.fbank(
        centred, htk_compat=True, sample_frequency=16000, use_energy=False, window_type="hanning",
        num_mel_bins=128, dither=0.0, frame_shift=10)


times = []
with torch.no_grad():
    for _ in range(3):
        fbank()
    for _ in range(30):
        start = time.perf_counter()
        fbank()
        times.append(1000 * (time.perf_counter() - start))
print(statistics.median(times))
PYTHON
}

a=() b=()
for _ in $(seq "$rounds"); do
  a+=("$(ours)")
  b+=("$(theirs)")
done
$python - "${a[*]}" "${b[*]}" <<'PYTHON'
import json
import statistics
import sys

ours, theirs = (statistics.median(float(x) for x in text.split()) for text in sys.argv[1:])
print(json.dumps({"clip_seconds": 10, "threads": 1, "cavmae_ms": round(ours, 3), "torchaudio_ms": round(theirs, 3),
                  "times_faster": round(theirs / ours, 2)}))
PYTHON
