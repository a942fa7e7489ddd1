#!/usr/bin/env bash
# Digests of all files below a directory, computed by a pool of processes.
#
#   examples/demo.sh [directory]    /usr/include if none is named
#
# Builds tandem first, installing what is missing. Only digests are written to stdout.
set -euo pipefail
directory=$(realpath -- "${1:-/usr/include}")
cd "$(dirname "$0")/.."
. cmake/packages.sh

install_packages "${build_packages[@]}" "${test_packages[@]}"
use_compiler_cache
cmake --preset release </dev/null >&2
cmake --build --preset release --target digest </dev/null >&2
exec build/release/examples/digest "$directory"
