#!/usr/bin/env bash
# The example `bank` hangs, and the program `tandem` says why.
#
#   bank_test.sh /path/to/bank /path/to/tandem
set -euo pipefail
bank=$(realpath -- "$1")
tandem=$(realpath -- "$2")
. "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
pid=
finish() {
  if [[ -n $pid ]]; then kill -KILL -- "-$pid" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

set -m  # its processes are a group of their own, to be killed together
"$bank" </dev/null >bank_out 2>&1 &
pid=$!
set +m
disown "$pid"  # that it is killed is no news

is_seen() {
  "$tandem" ps "$pid" >out 2>err || true
  grep -q '^DEADLOCK$' out
}
for ((tries = 0; tries < 3000; ++tries)); do
  if is_seen; then break; fi
  sleep 0.02
done
waits='^  bank\[[0-9]+\] waits for tandem-lock-[0-9a-f]+, held by bank\[[0-9]+\]$'
check "the deadlock is seen" grep -q '^DEADLOCK$' out
check "by two processes" test "$(grep -cE "$waits" out)" = 2
check "the starter waits for an item" grep -qE "^bank\[$pid\] .* waits for an item of tandem-queue-" out
check "tandem complains of nothing" test ! -s err
check "nor does bank" test ! -s bank_out

echo "$checks checks passed"
