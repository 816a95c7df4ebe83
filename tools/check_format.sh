#!/usr/bin/env bash
# Checks every source file against .clang-format; with --fix it rewrites them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t files < <(find cavmae apps tests benchmarks -name '*.h' -o -name '*.cpp' | sort)
if [[ "${1:-}" == --fix ]]; then
  clang-format -i "${files[@]}"
else
  clang-format --dry-run --Werror "${files[@]}" && echo "${#files[@]} files are formatted."
fi
