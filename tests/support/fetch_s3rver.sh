#!/bin/sh
# fetch_s3rver.sh FOLDER: an object store for tests, s3rver 3.7.1, into FOLDER by npm unless it is there.
set -eu
[ ! -f "$1/complete" ] || exit 0
command -v npm >/dev/null || { echo "npm is not installed" >&2; exit 1; }
mkdir -p "$1"
exec 9>"$1.lock"
flock 9
[ ! -f "$1/complete" ] || exit 0
npm install --silent --no-audit --no-fund --no-save --prefix "$1" s3rver@3.7.1
touch "$1/complete"
