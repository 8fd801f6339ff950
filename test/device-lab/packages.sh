#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh: brings what the device lab is made of, all of it from Debian:
#   - the tools of this machine (QEMU, adb, a C compiler, the guest's programs),
#     installed with apt-get when we are root, named when we are not;
#   - three kernels, AOSP's adbd and, where it can be had, Perfetto, downloaded
#     and unpacked without being installed, under .cache/device-lab (or $PERFETTO_DMABUF_CACHE).
#
# Run again at will: what is there already is not fetched again.
# Exits with 1 and one line for each thing that is missing.
#
# usage: packages.sh [--check] [KERNEL...]      KERNEL: 6.1 6.12 newest
#   --check   change nothing, only say what is missing
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${PERFETTO_DMABUF_CACHE:-$HERE/../../.cache/device-lab}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# What this machine must have: Debian package and a file by which to know it.
TOOLS='
qemu-system-x86 /usr/bin/qemu-system-x86_64
adb /usr/bin/adb
toybox /usr/bin/toybox
mksh /bin/mksh
busybox-static /bin/busybox
zstd /usr/bin/zstd
xz-utils /usr/bin/xz
cpio /usr/bin/cpio
util-linux /usr/bin/setpriv
binutils /usr/bin/strings
gcc /usr/bin/gcc
libc6-dev /usr/lib/x86_64-linux-gnu/libc.a
linux-libc-dev /usr/include/linux/dma-buf.h
'

# Suites in which a kernel is looked for, the first that has one wins.
kernel_suites() {
  case $1 in
    6.1) echo bookworm-security bookworm ;;
    6.12) echo bookworm-backports trixie ;;
    newest) echo trixie-backports ;;
    *)
      echo "packages.sh: no such kernel: $1 (6.1, 6.12 or newest)" >&2
      exit 2
      ;;
  esac
}

# ---- this machine's tools ---------------------------------------------------

missing_tools() {
  local package file
  while read -r package file; do
    [ -z "$package" ] || [ -e "$file" ] || echo "$package"
  done <<<"$TOOLS"
  # A dynamic busybox cannot be the guest's /init.
  if [ -e /bin/busybox ] && ldd /bin/busybox >/dev/null 2>&1; then
    echo busybox-static
  fi
}

install_tools() {
  local missing
  missing=$(missing_tools)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "device-lab: missing: as root, apt-get install" $missing
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# ---- packages of other suites, in an apt configuration of our own -----------

# The source line of a suite, on whichever mirror this machine's own apt is
# set up with. `indextargets` speaks of the sources in use, whatever their
# syntax.
source_line() {
  local suite=$1 base
  base=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' \
    'Identifier: Packages' | awk -v suite="$suite" '
      { main = $2 ~ /^[a-z]+$/; security = $2 ~ /-security$/ }
      security && suite ~ /-security$/ { print $1; exit }
      main && suite !~ /-security$/ { print $1; exit }')
  [ -n "$base" ] || return 1
  echo "deb [signed-by=$KEYRING] $base $suite main"
}

# suite_apt SUITE COMMAND...: an apt command that knows this suite alone.
# Lists, state and archives lie in our cache: the system's stay as they are.
suite_apt() {
  local apt=$CACHE/apt/$1
  shift
  local command=$1
  shift
  "$command" -qq \
    -o Dir::Etc::sourcelist="$apt/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State="$apt/state" \
    -o Dir::State::status=/dev/null \
    -o Dir::Cache="$apt/cache" \
    -o APT::Sandbox::User=root \
    "$@"
}

# Fetches the lists of a suite once a day.
update_suite() {
  local apt=$CACHE/apt/$1
  if [ -n "$(find "$apt/updated" -mmin -1440 2>/dev/null)" ]; then
    return 0
  fi
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
  source_line "$1" >"$apt/sources.list" || return 1
  # A hook of the system may fail after the lists have come: judge by the lists.
  suite_apt "$1" apt-get update >"$apt/update.log" 2>&1 || true
  ls "$apt"/state/lists/*_Packages* >/dev/null 2>&1 || return 1
  touch "$apt/updated"
}

# Packages that PACKAGE of SUITE depends on, by name. Those that the suite does
# not hold itself come in angle brackets.
dependencies() {
  suite_apt "$1" apt-cache depends --no-recommends --no-suggests \
    --no-conflicts --no-breaks --no-replaces --no-enhances "$2" 2>/dev/null |
    sed -n 's/^ *|*\(Pre\)*Depends: <*\([^<>]*\)>*$/\2/p'
}

# unpack SUITE TREE PACKAGE...: downloads the packages and unpacks them into
# TREE, which appears only when all of it is there.
unpack() {
  local suite=$1 tree=$2 temporary=$2.partial package
  shift 2
  rm -rf "$temporary"
  mkdir -p "$temporary/debs"
  (cd "$temporary/debs" && suite_apt "$suite" apt-get download "$@") ||
    return 1
  for package in "$temporary"/debs/*.deb; do
    dpkg -x "$package" "$temporary"
  done
  rm -rf "$temporary/debs" "$tree"
  mv "$temporary" "$tree"
}

# The packages that make up the kernel of a suite: `linux-image-amd64` depends
# on linux-image-VERSION; from 7.x on that one is empty and depends on
# linux-binary-VERSION and linux-modules-VERSION.
kernel_packages() {
  local suite=$1 image parts
  image=$(dependencies "$suite" linux-image-amd64 |
    grep -m1 '^linux-image-[0-9]') || return 1
  parts=$(dependencies "$suite" "$image" | grep -E '^linux-(binary|modules)-' |
    sort -u || true)
  echo "$image" $parts
}

fetch_kernel() {
  local kernel=$1 suite packages
  [ ! -d "$CACHE/kernel/$kernel" ] || return 0
  mkdir -p "$CACHE/kernel"
  for suite in $(kernel_suites "$kernel"); do
    update_suite "$suite" || continue
    packages=$(kernel_packages "$suite") || continue
    echo "device-lab: kernel $kernel: $packages of $suite"
    unpack "$suite" "$CACHE/kernel/$kernel" $packages && return 0
  done
  return 1
}

# AOSP's adbd as Debian builds it, with AOSP's libraries of the same suite.
fetch_adbd() {
  local suite=bookworm-backports
  [ ! -d "$CACHE/adbd" ] || return 0
  update_suite "$suite" || return 1
  echo "device-lab: adbd of $suite"
  unpack "$suite" "$CACHE/adbd" adbd \
    $(dependencies "$suite" adbd | grep '^android-lib')
}

# The libraries adbd was linked with that a machine may not have, or have in
# another version. Those of every Debian (libc, libsystemd...) are its own.
fetch_adbd_libraries() {
  [ ! -d "$CACHE/adbd-libraries" ] || return 0
  update_suite bookworm || return 1
  unpack bookworm "$CACHE/adbd-libraries" \
    $(dependencies bookworm-backports adbd | grep '^lib' |
      grep -vE '^lib(c6|gcc-s1|stdc\+\+6|systemd0)$')
}

# Perfetto's tracing service, which Debian has in sid alone, with the libraries
# it was linked with. The lab does without: a stand-in is there too.
fetch_perfetto() {
  [ ! -d "$CACHE/perfetto" ] || return 0
  update_suite sid || return 1
  echo 'device-lab: perfetto of sid'
  unpack sid "$CACHE/perfetto" perfetto libc6 libgcc-s1 libstdc++6 zlib1g ||
    return 1
  # Sid moves: what does not run with these libraries is as good as not there.
  local lib=$CACHE/perfetto/usr/lib/x86_64-linux-gnu
  "$lib/ld-linux-x86-64.so.2" \
    --library-path "$lib:$CACHE/perfetto/usr/lib/perfetto" \
    "$CACHE/perfetto/usr/bin/perfetto" --version >/dev/null 2>&1 && return 0
  rm -rf "$CACHE/perfetto"
  return 1
}

# ---- main -------------------------------------------------------------------

check_only=false
kernels=()
for argument in "$@"; do
  case $argument in
    --check) check_only=true ;;
    *)
      kernel_suites "$argument" >/dev/null
      kernels+=("$argument")
      ;;
  esac
done
[ ${#kernels[@]} -gt 0 ] || kernels=(6.1 6.12 newest)

if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get >/dev/null; then
  echo 'device-lab: missing: a Debian machine of architecture amd64'
  exit 1
fi

failed=0
if ! $check_only; then
  mkdir -p "$CACHE"
  # Two of us at the same time would unpack over each other.
  exec 9>"$CACHE/packages.lock"
  flock 9
  install_tools || true
  fetch_adbd && fetch_adbd_libraries || true
  fetch_perfetto || true
  for kernel in "${kernels[@]}"; do fetch_kernel "$kernel" || true; done
fi
for package in $(missing_tools); do
  echo "device-lab: missing: Debian package $package on this machine"
  failed=1
done
if [ ! -d "$CACHE/adbd" ] || [ ! -d "$CACHE/adbd-libraries" ]; then
  echo 'device-lab: missing: package adbd of bookworm-backports in the cache'
  failed=1
fi
for kernel in "${kernels[@]}"; do
  if [ ! -d "$CACHE/kernel/$kernel" ]; then
    echo "device-lab: missing: kernel $kernel of" \
      "$(kernel_suites "$kernel" | sed 's/ / or /') in the cache"
    failed=1
  fi
done
exit $failed
