#!/usr/bin/env bash
# How long a training step waits for its clips: from loose files with --cache, from shards of prepared pictures on the disk,
# and from the same shards behind nginx on this machine. The same network and number of steps, in turn, A B C A B C ...
#
#   benchmarks/shards.sh [--clips 32] [--rounds 3] [--build DIR] [-- FLAGS OF PRETRAIN]
#
# Prints a table of each source's share of the time that was spent waiting, and of clips a second: the median of the rounds,
# of the steps after the first epoch, when the cache is filled. Without flags it is the full network in batches of 4.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
clips=32 rounds=3 build=$root/build/release
while (( $# > 0 )); do
  case $1 in
    --clips) clips=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --) shift; break ;;
    -h | --help) sed -n '2,8s/^# \?//p' "$0"; exit ;;
    *) echo "shards: '$1' is no option; --help shows them" >&2; exit 2 ;;
  esac
done
flags=("$@")
(( ${#flags[@]} > 0 )) || flags=(--config cav-mae --batch-size 4 --precision bf16)
cavmae=$build/cavmae
[[ -x $cavmae ]] || { echo "shards: $cavmae is not built" >&2; exit 1; }
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || { echo "shards: nginx is not installed: apt-get install nginx-light" >&2; exit 1; }
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"$cavmae" --quiet synth --out "$work/clips" --clips "$clips" --seconds 10 --image-size 256 >/dev/null
"$cavmae" --quiet pack --data "$work/clips" --out "$work/shards" --shard-size 20MB --frames 10 --resize 256 >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
{
  echo "daemon off; pid $work/pid; error_log $work/errors; events {}"
  (( EUID != 0 )) || echo "user root;"
  echo "http { access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;"
  echo "uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi; server { listen 127.0.0.1:$port; root $work; } }"
} >"$work/nginx.conf"
nginx -p "$work" -e "$work/errors" -c "$work/nginx.conf" &
server=$!

declare -A data=([loose]="$work/clips" [shards]="$work/shards" [nginx]="http://127.0.0.1:$port/shards")
for (( round = 1; round <= rounds; ++round )); do
  for source in loose shards nginx; do
    cache=()
    [[ $source != loose ]] || cache=(--cache "$work/cache")
    "$cavmae" --quiet pretrain "${flags[@]}" --data "${data[$source]}" "${cache[@]}" --out "$work/$source-$round" --epochs 3 \
      --log-interval-steps 1 --no-report >/dev/null
    rm -rf "$work/$source-$round/checkpoints"  # gigabytes each, of the full network
  done
done
python3 - "$work" "$rounds" <<'PY'
import json, pathlib, statistics, sys

print(f'{"source":8} {"waiting":>8} {"clips/s":>8}')
for source in ('loose', 'shards', 'nginx'):
    waits, rates = [], []
    for number in range(1, int(sys.argv[2]) + 1):
        lines = (pathlib.Path(sys.argv[1]) / f'{source}-{number}' / 'metrics.jsonl').read_text().splitlines()
        steps = [step for step in map(json.loads, lines) if 'data_wait_share' in step and step['epoch'] > 1]
        waits.append(statistics.mean(step['data_wait_share'] for step in steps))
        rates.append(statistics.mean(step['samples_per_second'] for step in steps))
    print(f'{source:8} {100 * statistics.median(waits):6.2f} % {statistics.median(rates):8.2f}')
PY
