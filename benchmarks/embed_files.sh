#!/usr/bin/env bash
# From files to a file of vectors: 'cavmae embed' beside a script of ffmpeg, torchaudio, Pillow and PyTorch (peer_embed.py), in turn,
# from the command to the file closed: clips of 10 s (H.264 640x360, AAC), full size, the middle picture and all ten, and one file
# alone. Prints a table of medians, how much of the bound (the network's and the decoding's processor time over the cores) is
# reached, and the cosines between the two programs' vectors.
#
#   benchmarks/embed_files.sh              about 20 minutes on two cores
#   benchmarks/embed_files.sh --help       all options
#
# Makes its clips and a model with random parameters in build/embed_files (--folder), and installs the Debian packages that the
# peer needs. Built must be: cavmae and data_benchmark of the preset release.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

for word in "$@"; do
  case $word in -h | --help) exec /usr/bin/python3 "$root/benchmarks/embed_files.py" --help ;; esac
done

source "$root/benchmarks/need_packages.sh"
need_packages embed_files python3-torch python3-torchaudio python3-torchvision python3-pil python3-numpy libopenblas0-openmp ffmpeg

exec /usr/bin/python3 "$root/benchmarks/embed_files.py" "$@"
