# shellcheck shell=bash
# Sourced by the scripts of this project: what it needs to build, and how to get it on Debian or Ubuntu.
#
#   . cmake/packages.sh
#   install_packages "${build_packages[@]}" "${test_packages[@]}"

# shellcheck disable=SC2034  # for those who source this
build_packages=(build-essential cmake ninja-build libboost-dev libcereal-dev libssl-dev)
# shellcheck disable=SC2034
test_packages=(libgtest-dev libgmock-dev pkgconf python3 spin doxygen)

# Installs those of the named packages that are missing. Progress goes to stderr.
install_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is neither Debian nor Ubuntu; taking for granted what is there: $*" >&2
    return 0
  fi
  for package in "$@"; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi

  local as_root=()
  if ((EUID != 0)); then
    # Without a terminal nobody can type a password.
    as_root=(sudo)
    if [[ ! -t 0 ]]; then as_root+=(-n); fi
    if ! command -v sudo >/dev/null || ! "${as_root[@]}" true; then
      echo "Missing packages, and no way to become root. Please install:" >&2
      echo "  apt-get install ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "Installing ${missing[*]}" >&2
  local apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
  # Without the network an update fails, and yet the packages may be at hand.
  "${apt_get[@]}" update </dev/null >&2 || echo "apt-get update failed; trying all the same" >&2
  if ! "${apt_get[@]}" install --no-install-recommends "${missing[@]}" </dev/null >&2; then
    echo "apt-get failed. These packages are needed: ${missing[*]}" >&2
    exit 1
  fi
}

# A compiler cache where there is one, unless another launcher was chosen.
use_compiler_cache() {
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER-ccache}"
    # Without it what uses a precompiled header is not cached.
    export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS-pch_defines,time_macros}"
  fi
}
