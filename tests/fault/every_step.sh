#!/usr/bin/env bash
# Kills at every instruction there is, not at some: the tests of tests/fault that single-step.
#
#   tests/fault/every_step.sh [build directory]        build/release if none is named
set -euo pipefail
cd "$(dirname "$0")/../.."

for test in "${1:-build/release}"/tests/fault/*_step_test; do
  TANDEM_STEP=1 TANDEM_TEST_TIMEOUT=0 "$test"
done
