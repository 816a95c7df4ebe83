#!/usr/bin/env bash
# Installs the Debian packages that cavmae needs, and only those that are missing. `--tests` adds what the tests need.
# Says what it is about to install; does nothing, and needs no network, when everything is there.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libtorch-dev libgloo-dev libopenblas0-openmp libdnnl-dev libhwy-dev
  libavformat-dev libavcodec-dev libavutil-dev libswresample-dev libswscale-dev libjpeg62-turbo-dev
  libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libjs-chart.js libfreetype-dev fonts-dejavu-core
  libarchive-dev libcurl4-openssl-dev libsqlite3-dev libpq-dev libxxhash-dev libfaiss-dev libcpp-httplib-dev libseccomp-dev
)
if [[ "${1:-}" == --tests ]]; then
  packages+=(libgtest-dev libgmock-dev libbenchmark-dev clang-format ffmpeg python3-torch clang libclang-rt-14-dev openmpi-bin iproute2 nginx-light openssl chromium postgresql)
  # Elsewhere npm comes with Node.js itself, beside which Debian's cannot be installed.
  command -v npm >/dev/null || packages+=(nodejs npm)
fi

# What drives the browser, PostgreSQL with pgvector, and an object store, in the versions that their lock files name.
install_from_npm() {
  local tests folder package; tests=$(dirname "${BASH_SOURCE[0]}")/../tests
  for package in serve/browser:playwright-core search/pglite:@electric-sql/pglite-socket storage/s3rver:s3rver; do
    folder=$tests/${package%%:*}
    [[ -d "$folder/node_modules/${package#*:}" ]] ||
      npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent
  done
}

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package")
done
if (( ${#missing[@]} == 0 )); then
  [[ "${1:-}" != --tests ]] || install_from_npm
  exit 0
fi

echo "Installing with apt-get: ${missing[*]}"
sudo=()
if (( EUID != 0 )); then
  command -v sudo >/dev/null || { echo "Run this as root, or install sudo, or install these packages yourself: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[[ "${1:-}" != --tests ]] || install_from_npm
