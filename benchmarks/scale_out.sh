#!/usr/bin/env bash
# What training on several ranks costs, and what it would on many nodes: two ranks of one thread beside one rank of two threads,
# what overlap hides where a core is free and over slower networks, and a model of 1 to 64 nodes that is fed with both.
#
#   benchmarks/scale_out.sh                       measures (about 15 minutes on two cores) and draws docs/scale_out.svg
#   benchmarks/scale_out.sh --only pairs          measures one part anew: pairs, free-core, networks
#   benchmarks/scale_out.sh --plot-only           draws again from docs/scale_out.json
#   benchmarks/scale_out.sh --help                all options
#
# Networks need root (iproute2): they are two network namespaces. Installs Debian's python3-matplotlib where it is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
for word in "$@"; do
  case $word in -h | --help) exec /usr/bin/python3 "$root/benchmarks/scale_out.py" --help ;; esac
done
if ! /usr/bin/python3 -c 'import matplotlib' 2>/dev/null; then
  echo "scale_out: installing with apt-get: python3-matplotlib" >&2
  sudo=(); (( EUID == 0 )) || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-matplotlib >/dev/null
fi
exec /usr/bin/python3 "$root/benchmarks/scale_out.py" "$@"
