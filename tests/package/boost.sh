#!/usr/bin/env bash
# Builds the library with another Boost than the system's, and runs the tests of what is made of Boost.
#
#   tests/package/boost.sh [VERSION]       1.81, the newer of the two that Debian 12 has, if none is named
#
# Debian's packages of two Boosts exclude each other, so this one is unpacked, not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. cmake/packages.sh

version=${1-1.81}
build=build/boost-$version
boost=$PWD/$build/boost
tests=(shared_heap_test segment_test shared_memory_test ring_test)

install_packages "${build_packages[@]}" "${test_packages[@]}"
use_compiler_cache

if [[ ! -d $boost/usr/include/boost ]]; then
  mkdir -p "$build/package"
  (cd "$build/package" && apt-get -q download "libboost$version-dev" </dev/null)
  dpkg-deb -x "$build/package/libboost$version-dev"_*.deb "$boost"
fi
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBOOST_ROOT="$boost/usr" </dev/null

cmake --build "$build" --parallel 2 --target tandem "${tests[@]}"

# That it was this Boost, and in every file.
used=$(ninja -C "$build" -t deps | grep -c "boost/usr/include/boost/version.hpp" || true)
others=$(ninja -C "$build" -t deps | grep -c " /usr/include/boost/" || true)
if ((used == 0 || others != 0)); then
  echo "Boost $version was included by $used files, the system's headers of Boost $others times." >&2
  exit 1
fi
for test in "${tests[@]}"; do
  "$build/tests/unit/$test" --gtest_brief=1
done
echo "tandem with Boost $version: built, tests passed"
