#!/usr/bin/env bash
# Explores every state of the ring's protocol with Spin, and shows that the model can fail.
#
#   tests/model/run.sh              exit code 77 where spin or a C compiler is missing
set -euo pipefail
model=$(realpath "$(dirname "$0")/ring.pml")
command -v spin >/dev/null && command -v cc >/dev/null || { echo "spin or cc is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# explore NAME DEFINE...: prints what Spin found
explore() {
  local name=$1
  shift
  spin "$@" -a "$model"
  cc -O2 -DSAFETY -w -o pan pan.c
  ./pan -m1000000 >"$name.txt"
  grep -E 'errors:|states, stored' "$name.txt" | sed "s/^/$name: /"
}
errors() { sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$1.txt"; }

explore protocol
[[ $(errors protocol) == 0 ]] || { cat protocol.txt; exit 1; }
for mutation in NO_HEAVY_FENCE NO_SLICES; do
  explore "$mutation" "-D$mutation"
  [[ $(errors "$mutation") != 0 ]] || { echo "$mutation: the model does not notice"; exit 1; }
done
echo "no lost wake-up, nothing lost or doubled; both mutations are noticed"
