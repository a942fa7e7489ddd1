#!/usr/bin/env bash
# Explores every state of the ring's protocol with Spin, and shows that the model can fail.
#
#   tests/model/run.sh              exit code 77 where spin or a C compiler is missing
set -euo pipefail
models=$(realpath "$(dirname "$0")")
command -v spin >/dev/null && command -v cc >/dev/null || { echo "spin or cc is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# explore NAME MODEL DEFINE...: prints what Spin found
explore() {
  local name=$1 model=$models/$2.pml
  shift 2
  spin "$@" -a "$model"
  cc -O2 -DSAFETY -w -o pan pan.c
  ./pan -m1000000 >"$name.txt"
  grep -E 'errors:|states, stored' "$name.txt" | sed "s/^/$name: /"
}
errors() { sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$1.txt"; }

# check MODEL MUTATION...: it holds, and would not hold with any of the mutations
check() {
  local model=$1 mutation
  shift
  explore "$model" "$model"
  [[ $(errors "$model") == 0 ]] || { cat "$model.txt"; exit 1; }
  for mutation in "$@"; do
    explore "$model.$mutation" "$model" "-D$mutation"
    [[ $(errors "$model.$mutation") != 0 ]] || { echo "$mutation: the model does not notice"; exit 1; }
  done
}

check ring NO_HEAVY_FENCE NO_SLICES
check drain NO_HEAVY_FENCE NO_WORD
echo "no lost wake-up, nothing lost or doubled; all mutations are noticed"
