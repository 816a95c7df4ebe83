#!/usr/bin/env bash
# install_consumer_test.sh BUILD_DIR SOURCE_DIR MEDIA: installs the build into an empty folder, builds programs against
# the installed copy and, where it has media libraries (MEDIA is ON), runs them on clips, models and an archive that the
# installed program makes. One of them is the README's, letter for letter.
set -euo pipefail
build=$1 source=$2 media=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; }

sed -n '/^## As a library/,/^## /p' "$source/README.md" | sed -n '/^```cpp/,/^```/p' | sed '1d;$d' |
  diff - "$source/tests/consumer/example.cpp" || { echo "README.md shows another program than tests/consumer/example.cpp"; exit 1; }

quietly cmake --install "$build" --prefix "$work/prefix"
quietly cmake -S "$source/tests/consumer" -B "$work/consumer" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_PREFIX_PATH="$work/prefix" ${CONSUMER_CXX_FLAGS:+-DCMAKE_CXX_FLAGS="$CONSUMER_CXX_FLAGS"}
quietly cmake --build "$work/consumer"
cavmae=$work/prefix/bin/cavmae
[[ "$("$cavmae" --version)" == cavmae\ * ]]
[[ "$media" == ON ]] || exit 0

cd "$work"
quietly "$cavmae" synth --out clips --clips 6 --seed 1
few=(--batch-size 2 --epochs 1 --no-report)
quietly "$cavmae" pretrain --config tiny --data clips --out run "${few[@]}"
quietly "$cavmae" finetune --init run --data clips --out classifier "${few[@]}" --allow-empty-classes
quietly "$cavmae" embed --checkpoint run --data clips/clips --out archive.safetensors
clips=(clips/clips/*.mp4)
[[ "$(consumer/check run classifier "$source/tests/data/golden/authors_pretrain.pth" archive.safetensors "${clips[@]}")" == "6 clips" ]]
cp "${clips[0]}" clip.mp4
[[ "$(consumer/example | wc -l)" == 3 ]]
