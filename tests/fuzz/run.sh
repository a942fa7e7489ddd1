#!/usr/bin/env bash
# Runs every fuzz target for some time, two at a time, and says which of them found something.
#
#   tests/fuzz/run.sh [seconds]          each target; 60 if not said
#   tests/fuzz/run.sh [seconds] queue    one target
#
# What they learn stays in build/fuzz/corpus, for the next time. An input that crashes is left in
# build/fuzz/found: once it is understood it becomes a seed of its target.
set -euo pipefail
cd "$(dirname "$0")/../.."
. cmake/packages.sh

seconds=${1:-60}
targets=("${@:2}")
if ((${#targets[@]} == 0)); then targets=(archive channel queue store sync wire); fi

install_packages "${build_packages[@]}" clang libclang-rt-dev
use_compiler_cache
cmake --preset fuzz </dev/null
cmake --build --preset fuzz --target tandem_fuzz </dev/null
mkdir -p build/fuzz/corpus build/fuzz/found

# \param $1 the target
fuzz() {
  local corpus=build/fuzz/corpus/$1 log=build/fuzz/found/$1.log
  mkdir -p "$corpus"
  if TANDEM_FUZZ_TARGET=$1 TANDEM_FUZZ_SEEDS=$corpus build/fuzz/tests/fuzz/tandem_fuzz \
      -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
      -artifact_prefix="build/fuzz/found/$1-" -print_final_stats=1 "$corpus" >"$log" 2>&1; then
    echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
  else
    tail -n 60 "$log"
    echo "$1: FOUND SOMETHING, see $log" >&2
    return 1
  fi
}
export -f fuzz
export seconds

printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'fuzz {}'
