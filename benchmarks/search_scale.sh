#!/usr/bin/env bash
# What searching in very many moments takes: a library of N moments is made of real vectors by mixing and noise, then 1,000
# sounds (or pictures, where --sides leaves no sound) search in it: time of a query (p50, p99) on one thread and on two, what its
# lists find of what comparing everything finds (recall at 10), disk and memory; FAISS's flat index and hnswlib beside it.
#   benchmarks/search_scale.sh --from EMBEDDINGS [--moments N] [--index KIND] [--sides audio,video] [--out DIR]
#       [--queries N] [--beside faiss,hnsw] [--keep]
# EMBEDDINGS is a file of `cavmae embed --data ... --out e.safetensors`, 768 wide for the figures of docs/search.md. A
# stopped run goes on. Writes DIR/result.jsonl [search_scale] and removes the library at the end unless --keep.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$here/build/release from= moments=1000000 index=auto out=search_scale beside= keep=no queries=1000 sides=audio,video
while (( $# > 0 )); do
  case $1 in
    --build) build=$2; shift 2 ;;
    --from) from=$2; shift 2 ;;
    --moments) moments=$2; shift 2 ;;
    --index) index=$2; shift 2 ;;
    --sides) sides=$2; shift 2 ;;
    --queries) queries=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --beside) beside=$2; shift 2 ;;
    --keep) keep=yes; shift ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
done
[[ -f "$from" ]] || { echo "--from: the embeddings are needed that vectors are mixed of" >&2; exit 2; }
program=$build/bin/library_benchmark
[[ -x "$program" ]] || { echo "$program is not built" >&2; exit 2; }
mkdir -p "$out"
library=$out/library-$moments-$index
if [[ ! -f "$library.filled" ]]; then
  "$program" fill "$library" --from "$from" --moments "$moments" --index "$index" --sides "$sides" | tee "$library.filled.part"
  mv "$library.filled.part" "$library.filled"
fi
/usr/bin/time -f '{"max_rss_kb": %M}' -o "$out/memory" \
  "$program" measure "$library" --queries "$queries" --beside "$beside" >"$out/measured"
python3 - "$out" "$library" >>"$out/result.jsonl" <<'PYTHON'
import json, sys
out, library = sys.argv[1:]
result = json.loads(open(out + "/measured").read().strip().splitlines()[-1])
result.update(json.loads(open(out + "/memory").read()))
result.update(json.loads(open(library + ".filled").read().strip().splitlines()[-1]))
result["processor"] = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
print(json.dumps(result))
PYTHON
tail -n 1 "$out/result.jsonl"
[[ $keep == yes ]] || rm -rf "$library" "$library.filled"
