#!/usr/bin/env bash
# The command line of the program `tandem`. What it finds out is tested by tool_test.cpp.
#
#   tool_test.sh /path/to/tandem VERSION
set -euo pipefail
tandem=$(realpath -- "$1")
version=$2
. "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
pid=
finish() {
  if [[ -n $pid ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

run() {  # run tandem with arguments: its exit code in $code, its output in out and err
  code=0
  "$tandem" "$@" >out 2>err </dev/null || code=$?
}
wait_until() {  # wait_until "what" command...: looks again until it succeeds, for a minute
  local what=$1 tries
  shift
  for ((tries = 0; tries < 3000; ++tries)); do
    if "$@"; then return 0; fi
    sleep 0.02
  done
  check "$what" false
}

run --version
check "--version ends with 0" code_is 0
check "--version prints it" test "$(<out)" = "tandem $version"
for arguments in --help -h help 'ps --help' 'top -h'; do
  # shellcheck disable=SC2086
  run $arguments
  check "'$arguments' ends with 0" code_is 0
  check "'$arguments' prints the usage" grep -q '^usage: tandem ps' out
done
for arguments in '' 'nothing' 'ps --jsn' 'ps 0' 'ps -1' 'ps 12x' 'ps 99999999999' 'ps --interval' \
                 'ps --interval 0' 'ps --interval -1' 'ps --interval nan' 'ps --interval x' \
                 'ps --interval 1e9' 'top --json' '--version 1' '--help ps'; do
  # shellcheck disable=SC2086
  run $arguments
  check "'$arguments' is a usage error" code_is 2
  check "'$arguments' prints the usage" grep -q '^usage: tandem ps' err
  check "'$arguments' prints nothing else" test ! -s out
done

run ps
check "ps ends with 0" code_is 0
check "ps prints something" test -s out
check "ps complains of nothing" test ! -s err
run ps $$
check "a process without objects is no failure" code_is 0
check "and is said to have none" grep -q "^Nothing of tandem's is alive" out
# Root without its rights is refused what root with them does.
if ((EUID == 0)); then
  without_rights=(setpriv --inh-caps=-all --bounding-set=-all)
  code=0
  "${without_rights[@]}" "$tandem" ps >out 2>err || code=$?
  check "processes that cannot be looked into are no failure" code_is 0
  check "but they are counted" grep -qE '^Not allowed to look into [0-9]+ process' out
  code=0
  "${without_rights[@]}" "$tandem" ps $$ >out 2>err || code=$?
  check "unless nothing else was asked for" code_is 1
  check "and named" grep -q "process $$ does not exist or cannot be looked into" err
fi
run ps 2147483647
check "a process that does not exist is a failure" code_is 1
check "it is named" grep -q 'process 2147483647 does not exist' err
run ps 2147483647 $$
check "one that exists is enough" code_is 0
check "the other is named" grep -q 'process 2147483647 does not exist' err

code=0
"$tandem" ps --json >/dev/full 2>err || code=$?
check "a full disk is a failure" code_is 1
check "a full disk is named" grep -q 'standard output: No space left on device' err
code=0
"$tandem" ps >&- 2>err || code=$?
check "a closed standard output is a failure" code_is 1
check "a closed standard output is named" grep -q 'standard output: Bad file descriptor' err
# The reader is gone before the first byte.
mkfifo fifo
"$tandem" ps --interval 0.2 >fifo 2>err &
pid=$!
exec 3<fifo 3<&-
code=0
wait "$pid" || code=$?
pid=
check "a reader that has seen enough is no failure" code_is 0
check "and nothing to complain of" test ! -s err

run top
check "top ends with its input" code_is 0
check "top has printed once" test -s out
mkfifo input
for signal in INT TERM; do
  # With job control a background program does not ignore SIGINT.
  set -m
  "$tandem" top --interval 0.05 >out 2>err <input &
  pid=$!
  set +m
  exec 4>input
  printed_twice() { (($(stat -c %s out) > 2 * ${size:-1})); }
  wait_until "top prints" test -s out
  size=$(stat -c %s out)
  wait_until "top prints again" printed_twice
  kill -s "$signal" "$pid"
  code=0
  wait "$pid" || code=$?
  pid=
  exec 4>&-
  check "top ends after SIG$signal" code_is 0
done

echo "$checks checks passed"
