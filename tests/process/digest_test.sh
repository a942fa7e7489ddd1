#!/usr/bin/env bash
# What the example `digest` must do, against sha256sum.
#
#   digest_test.sh /path/to/digest
set -euo pipefail
digest=$(realpath -- "$1")
. "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
pid=
finish() {
  if [[ -n $pid ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
  chmod -R u+rwx "$work"
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

run() {  # run digest with arguments: its exit code in $code, its output in out and err
  code=0
  "$digest" "$@" >out 2>err </dev/null || code=$?
}
complains_of() { grep -qF -- "$1" err; }

# A tree with everything that a name and a file may be.
mkdir -p tree/sub/deeper tree/empty "tree/with space"
for i in {1..300}; do printf '%*d' $((i * 37 % 5000)) "$i" >"tree/sub/$i.txt"; done
head -c 3000000 /dev/urandom >tree/sub/deeper/large.bin
: >tree/nothing
for name in $'new\nline' 'back\slash' $'carriage\rreturn' $'tab\there' '-dash' ' leading' 'ümläut' \
            $'not\xffutf8' '\' '*' '.hidden' 'two.dots.tar.gz' 'trailing.'; do
  printf %s "$name" >"tree/with space/$name"
done
ln -s large.bin tree/sub/deeper/link
ln -s nowhere tree/dangling
ln -s .. tree/loop
mkfifo tree/fifo
expected() {  # expected DIR: sha256sum's lines in the order of the paths
  find "$1" -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum --
}

expected tree >wanted
for processes in 0 1 2 5; do
  run --processes "$processes" tree
  check "--processes $processes ends with 0" code_is 0
  check "--processes $processes prints what sha256sum prints" cmp out wanted
done
run tree
check "the default prints the same" cmp out wanted
check "sha256sum accepts it" sha256sum -c --quiet out
check "the largest extension is named" grep -qE '^ *3000000 +1  \.bin$' err
check "at most five extensions are named" test "$(sed '0,/extension$/d' err | wc -l)" = 5

run tree/
expected tree/ >wanted
check "a slash at the end is kept" cmp out wanted
cd tree/sub
expected . >../../wanted
"$digest" . >../../out 2>../../err
cd ../..
check "the working directory" cmp out wanted
run tree/empty
check "an empty directory: nothing, and no error" test "$code/$(wc -c <out)" = 0/0

# What goes wrong.
for processes in 0 2; do
  run --processes "$processes" tree/missing
  check "a missing directory is a failure" code_is 1
  check "a missing directory is named" complains_of 'tree/missing: No such file or directory'
  check "and nothing is printed" test ! -s out
done
run tree/nothing
check "a file instead of a directory" code_is 1
check "a file instead of a directory is named" complains_of 'tree/nothing: Not a directory'
for arguments in '' '--processes' '--processes 2' '--processes x tree' '--processes -1 tree' 'a b' \
                 '--processes 99999999999999999999 tree'; do
  # shellcheck disable=SC2086
  run $arguments
  check "wrong command line '$arguments'" code_is 2
  check "wrong command line '$arguments' prints the usage" complains_of 'usage: digest'
done
for processes in 0 2; do
  code=0
  "$digest" --processes "$processes" tree >/dev/full 2>err || code=$?
  check "a full disk" code_is 1
  check "a full disk is named" complains_of 'standard output: No space left on device'
  code=0
  "$digest" --processes "$processes" tree >&- 2>err || code=$?
  check "a closed standard output" code_is 1
  check "a closed standard output is named" complains_of 'standard output: Bad file descriptor'
done

# What is unreadable, also for root, who is run without the right to read everything.
limited=()
if ((EUID == 0)); then
  limited=(setpriv --inh-caps=-all --bounding-set=-dac_override,-dac_read_search)
fi
expected tree >wanted
printf secret >tree/sub/unreadable.txt
mkdir tree/closed
chmod 000 tree/sub/unreadable.txt tree/closed
for processes in 0 2; do
  code=0
  "${limited[@]}" "$digest" --processes "$processes" tree >out 2>err || code=$?
  check "an unreadable file is a failure" code_is 1
  check "an unreadable file is named" complains_of 'tree/sub/unreadable.txt: Permission denied'
  check "an unreadable directory is named" complains_of 'tree/closed: Permission denied'
  check "the others are printed" cmp out wanted
done

# Files that take so long to read that there is time to do something meanwhile.
fresh_slow_tree() {
  rm -rf slow kept
  mkdir slow
  for i in {1..40}; do truncate -s 8G "slow/$i"; done
  cp -rl slow kept
}
children() { sed -n 's|^/proc/\([0-9]*\)/.*|\1|p' < <(grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status); }
reads_slow_file() {  # whether one of these processes has one open
  local process
  for process in "$@"; do
    if find "/proc/$process/fd" -lname "*/slow/*" 2>/dev/null | grep -q .; then return 0; fi
  done
  return 1
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
# With job control a background program does not ignore SIGINT, and is a process group, as on a terminal.
set -m

for processes in 0 2; do
  fresh_slow_tree
  "$digest" --processes "$processes" slow >out 2>err </dev/null &
  pid=$!
  reading() { reads_slow_file "$pid" $(children "$pid"); }
  wait_until "slow files are being read" reading
  rm slow/*
  truncate -s 0 kept/*  # the open ones end here
  code=0
  wait "$pid" || code=$?; pid=
  check "a vanished file is a failure" code_is 1
  vanished=$(grep -cE 'slow/[0-9]+: No such file or directory$' err)
  check "every file is either printed or complained about" test "$((vanished + $(wc -l <out)))" = 40
  check "the open ones were printed" test -s out
done

gone() {  # whether none of these processes runs any more
  local process
  for process in "$@"; do
    if grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$process/status"; then return 1; fi
  done
}
for processes in 0 2; do
  for whom in group program; do
    fresh_slow_tree
    "$digest" --processes "$processes" slow >out 2>err </dev/null &
    pid=$!
    reading() { reads_slow_file "$pid" $(children "$pid"); }
    wait_until "slow files are being read" reading
    mapfile -t helpers < <(children "$pid")
    if [[ $whom == group ]]; then kill -INT -- "-$pid"; else kill -INT "$pid"; fi
    code=0
    wait "$pid" || code=$?; pid=
    check "Ctrl-C ends it by SIGINT" code_is 130
    wait_until "no process is left after Ctrl-C" gone "${helpers[@]}"
    check "nothing is printed after Ctrl-C" test ! -s out
    check "nobody complains of Ctrl-C" test ! -s err
  done
done

echo "$checks checks passed"
