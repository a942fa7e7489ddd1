#!/usr/bin/env bash
# Counts the instructions of one operation of Queue and Pipe, 64 bytes, nobody waiting, with valgrind.
#
#   tests/bench/instructions.sh build/release/tests/bench/instructions [OPERATION...]
#
# Unlike a time, the count is the same on every run. An operation with a plus is counted with what
# it needs; those of put_many and get_many are for one of 64 messages.
set -euo pipefail
program=$1
shift
operations=("$@")
((${#operations[@]})) || mapfile -t operations < <("$program" || true)
count() {
  valgrind --tool=none "$program" "$1" 64 >/dev/null 2>&1  # so that an error is seen
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
for operation in "${operations[@]}"; do
  few=$(count "$operation" 4096)
  many=$(count "$operation" 12288)
  printf '%-20s %6d.%d\n' "$operation" $(((many - few) / 8192)) $(((many - few) * 10 / 8192 % 10))
done
