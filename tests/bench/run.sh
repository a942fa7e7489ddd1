#!/usr/bin/env bash
# Builds and runs the benchmarks: tandem and its peers side by side.
#
#   tests/bench/run.sh [name...]          queue pipe sync start manager manager_size pool idle digest;
#                                         all if none is named
#   tests/bench/run.sh report [name...]   the same, kept in docs/benchmarks/runs; then writes the report
#                                         docs/benchmarks.md and the table of the README from all that is kept (report.py
#                                         does that alone)
#   tests/bench/run.sh soak [MILLIONS]    so many million messages (100) through one queue: none
#                                         lost, in order, and no memory grows
#
# Peers that are not installed are named and skipped. To have them: apt-get install libzmq3-dev,
# redis-server, libhiredis-dev (where that starts a server, it may be stopped: a benchmark starts its
# own), and configure again.
#
# TANDEM_BENCH_SECONDS is how long each comparison takes (10); TANDEM_BENCH_ROW and TANDEM_BENCH_PEER
# are parts of the names of those that are wanted (ROW="64 B, 1p1c" PEER=Boost). Figures mean little on a machine that
# does anything else, and ratios only within one run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. cmake/packages.sh

names=("$@")
arguments=()
report=no
if [[ ${names[0]-} == report ]]; then
  report=yes
  names=("${names[@]:1}")
fi
if ((${#names[@]} == 0)); then names=(queue pipe sync start manager manager_size pool idle digest); fi
if [[ ${names[0]} == soak ]]; then
  arguments=("${names[@]:1}")
  names=(soak)
fi

install_packages "${build_packages[@]}" "${test_packages[@]}"
use_compiler_cache
cmake --preset release </dev/null >&2
cmake --build --preset release --target "${names[@]/%/_bench}" </dev/null >&2

if [[ $report == yes ]]; then
  exec python3 -B tests/bench/report.py --run build/release "${names[@]}"
fi
sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | uniq -c
for name in "${names[@]}"; do
  "build/release/tests/bench/${name}_bench" "${arguments[@]}"
done
