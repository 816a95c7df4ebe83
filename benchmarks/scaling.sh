#!/usr/bin/env bash
# How the cost of a full-size pretraining step grows with the batch, the clip's length and the picture's size: measures
# each with `cavmae bench`, then draws time and memory as one picture.
#
#   benchmarks/scaling.sh                       measures (about 15 minutes on two cores) and draws docs/scaling.svg
#   benchmarks/scaling.sh --plot-only           draws again from docs/scaling.json
#   benchmarks/scaling.sh --help                all options
#
# Installs Debian's python3-matplotlib where it is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
for word in "$@"; do
  case $word in -h | --help) exec /usr/bin/python3 "$root/benchmarks/scaling.py" --help ;; esac
done
if ! /usr/bin/python3 -c 'import matplotlib' 2>/dev/null; then
  echo "scaling: installing with apt-get: python3-matplotlib" >&2
  sudo=(); (( EUID == 0 )) || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-matplotlib >/dev/null
fi
exec /usr/bin/python3 "$root/benchmarks/scaling.py" "$@"
