#!/usr/bin/env bash
# Builds tandem and runs its tests. Missing packages are installed first.
#
#   tests/run.sh [preset...]        release, debug, asan or tsan; release if none is named
#   tests/run.sh asan/quick         of a preset only the unit and stress tests
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
. cmake/stages.sh

presets=("$@")
if ((${#presets[@]} == 0)); then presets=(release); fi

install_packages "${build_packages[@]}" "${test_packages[@]}"
use_compiler_cache
trap print_stages EXIT

# A named object that no test removed. Each test looks for its own; here nothing else is running.
named_objects() { find /dev/shm -maxdepth 1 -name 'tandem*' 2>/dev/null | sort; }

before=$(named_objects)
for form in "${presets[@]}"; do
  preset=${form%/quick}
  targets=() tests=()
  if [[ $form != "$preset" ]]; then
    targets=(--target tests/unit/all tests/stress/all)
    tests=(-L '^(unit|stress)$')
  fi
  cmake --preset "$preset" </dev/null
  stage "$form, build" cmake --build --preset "$preset" "${targets[@]}"
  log=$PWD/build/$preset/ctest.log
  passed=0
  stage "$form, tests" ctest --preset "$preset" "${tests[@]}" --output-log "$log" || passed=$?
  note_stage "" "$(grep 'tests passed' "$log" || echo 'no summary by CTest')"
  if ((passed != 0)); then exit "$passed"; fi
done
if left=$(comm -13 <(echo "$before") <(named_objects)) && [[ -n $left ]]; then
  printf 'The tests left behind:\n%s\n' "$left" >&2
  exit 1
fi
