#!/usr/bin/env bash
# Measures cavmae beside plain PyTorch on the same sizes, in turn, and prints a table: samples a second, how many times
# faster cavmae is, the share of the machine's measured peak, and peak memory.
#
#   benchmarks/compare.sh              the full-size model, about 25 minutes on two cores
#   benchmarks/compare.sh --quick      a small model, about a minute
#   benchmarks/compare.sh --no-pytorch --other build/before/cavmae      two builds of cavmae alone
#   benchmarks/compare.sh --help       all options
#
# Installs Debian's PyTorch where it is missing. The program must have been built: cmake --preset release &&
# cmake --build --preset release.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

for word in "$@"; do
  case $word in -h | --help) exec /usr/bin/python3 "$root/benchmarks/compare.py" --help ;; esac
done

for word in "$@"; do
  case $word in --no-pytorch) exec /usr/bin/python3 "$root/benchmarks/compare.py" "$@" ;; esac
done

source "$root/benchmarks/need_packages.sh"
need_packages compare python3-torch python3-torchaudio python3-torchvision python3-pil libopenblas0-openmp

# The BLAS that comes with PyTorch unless one asks for another. Installed, it could become the one that cavmae and the
# rest of the machine use, so it is only unpacked.
shipped=$root/build/as_shipped
if [[ ! -e $shipped/usr ]]; then
  mkdir -p "$shipped"
  (cd "$shipped" && apt-get download -qq libopenblas0-pthread >/dev/null 2>&1 && dpkg -x libopenblas0-pthread_*.deb .) ||
    echo "compare: libopenblas0-pthread cannot be downloaded; no row for PyTorch as shipped" >&2
fi

exec /usr/bin/python3 "$root/benchmarks/compare.py" --shipped-blas "$shipped/usr/lib" "$@"
