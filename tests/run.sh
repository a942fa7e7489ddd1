#!/usr/bin/env bash
# Builds tandem and runs its tests. Missing packages are installed first.
#
#   tests/run.sh [preset...]        release, debug, asan or tsan; release if none is named
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh

presets=("$@")
if ((${#presets[@]} == 0)); then presets=(release); fi

install_packages "${build_packages[@]}" "${test_packages[@]}"
use_compiler_cache

# A named object that no test removed. Each test looks for its own; here nothing else is running.
named_objects() { find /dev/shm -maxdepth 1 -name 'tandem*' 2>/dev/null | sort; }

before=$(named_objects)
for preset in "${presets[@]}"; do
  echo "== $preset =="
  cmake --preset "$preset" </dev/null
  cmake --build --preset "$preset" </dev/null
  ctest --preset "$preset" </dev/null
done
if left=$(comm -13 <(echo "$before") <(named_objects)) && [[ -n $left ]]; then
  printf 'The tests left behind:\n%s\n' "$left" >&2
  exit 1
fi
