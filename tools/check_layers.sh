#!/usr/bin/env bash
# Checks that the includes obey tools/layers.txt. Prints each line that does not and exits 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
declare -A allowed
third=()
while IFS= read -r line; do
  [[ -z "$line" || "$line" == \#* ]] && continue
  if [[ "$line" == @* ]]; then third+=("${line#@ }"); continue; fi
  allowed["${line%%:*}"]=" ${line%%:*} ${line#*:} "
done < tools/layers.txt

while IFS=: read -r file number text; do
  folder=${file#cavmae/}; folder=${folder%%/*}
  target=cavmae.h  # the library's own header lies in no folder: no folder may include it
  [[ $text =~ \"cavmae/([a-z_]+)/ ]] && target=${BASH_REMATCH[1]}
  if [[ -z "${allowed[$folder]:-}" ]]; then
    echo "$file:$number: folder $folder is not listed in tools/layers.txt"; bad=1
  elif [[ "${allowed[$folder]}" != *" $target "* ]]; then
    echo "$file:$number: cavmae/$folder may not include cavmae/$target"; bad=1
  fi
done < <(grep -rnE '#include "cavmae/' cavmae --include='*.h' --include='*.cpp' || true)

while IFS=: read -r file number text; do
  echo "$file:$number: nobody may include apps/"; bad=1
done < <(grep -rnE '#include "apps/' cavmae tests benchmarks --include='*.h' --include='*.cpp' || true)

for rule in "${third[@]}"; do
  pattern=${rule%% : *}; places=${rule#* : }
  while IFS=: read -r file number text; do
    ok=0
    for place in $places; do [[ "$file" == "$place" || "$file" == "$place"/* ]] && ok=1; done
    if (( !ok )); then echo "$file:$number: only $places may include $pattern"; bad=1; fi
  done < <(grep -rnE "#include [<\"]$pattern" cavmae apps tests benchmarks --include='*.h' --include='*.cpp' || true)
done
(( bad == 0 )) && echo "The includes obey tools/layers.txt."
exit $bad
