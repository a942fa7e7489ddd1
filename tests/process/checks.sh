# shellcheck shell=bash
# Sourced by the tests of programs: what a run must have done, in the directory with its output (out, err).

checks=0
check() {  # check "what" command...: it must succeed
  local what=$1
  shift
  if ! "$@"; then
    echo "FAILED: $what" >&2
    for file in out err; do
      if [[ -s $file ]]; then sed "s/^/  $file: /" "$file" | head -n 20 >&2; fi
    done
    exit 1
  fi
  checks=$((checks + 1))
}
# shellcheck disable=SC2154  # by who runs the program
code_is() { [[ $code == "$1" ]]; }
