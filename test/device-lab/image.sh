#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# image.sh KERNEL: makes what QEMU boots, out of what packages.sh has fetched:
#   image/KERNEL/vmlinux       the kernel's ELF (boots by PVH, which spares the
#                              guest the decompression)
#   image/KERNEL/initramfs.gz  busybox as init, toybox and mksh as an Android
#                              device has them, adbd, the puppet, modules
# under .cache/device-lab (or $PERFETTO_DMABUF_CACHE). Does nothing if both are
# newer than all they are made of.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${PERFETTO_DMABUF_CACHE:-$HERE/../../.cache/device-lab}
CACHE=$(cd "$CACHE" && pwd)
KERNEL=${1:?usage: image.sh 6.1|6.12|newest}
TREE=$CACHE/kernel/$KERNEL
ADBD=$CACHE/adbd
IMAGE=$CACHE/image/$KERNEL
LIB=usr/lib/x86_64-linux-gnu
ADBD_LIBRARIES=$ADBD/$LIB/android:$CACHE/adbd-libraries/$LIB

# Perfetto itself, which is not everywhere to be had.
PERFETTO=
[ ! -d "$CACHE/perfetto" ] || PERFETTO=$CACHE/perfetto

# Modules of the guest, with what they depend on. Those that a kernel has built
# in or not at all are passed over.
MODULES='virtio_pci virtio_net vgem udmabuf'

is_up_to_date() {
  [ -f "$IMAGE/vmlinux" ] && [ -f "$IMAGE/initramfs.gz" ] &&
    [ -z "$(find "$HERE/guest" "$HERE/puppet" "$HERE/image.sh" "$TREE" \
      "$ADBD" "$CACHE/adbd-libraries" $PERFETTO -maxdepth 1 \
      -newer "$IMAGE/initramfs.gz" -print -quit)" ]
}

# number OFFSET SIZE FILE: a little-endian number in a file.
number() { od -An -v -t "u$2" -j "$1" -N "$2" "$3" | tr -d ' '; }

# The compressed ELF inside a bzImage: see Documentation/arch/x86/boot.rst for
# setup_sects (0x1f1), payload_offset (0x248) and payload_length (0x24c). The
# payload of xz and zstd ends in four bytes of our own size, which are not part
# of the stream.
extract_vmlinux() {
  local image=$1 sectors offset length magic unpack
  sectors=$(number $((0x1f1)) 1 "$image")
  offset=$(($(number $((0x248)) 4 "$image") + (sectors + 1) * 512))
  length=$(number $((0x24c)) 4 "$image")
  magic=$(od -An -v -t x1 -j $offset -N 4 "$image" | tr -d ' ')
  case $magic in
    28b52ffd) unpack='zstd -dc' length=$((length - 4)) ;;
    fd377a58) unpack='xz -dc' length=$((length - 4)) ;;
    1f8b*) unpack='gzip -dc' ;;
    *)
      echo "image.sh: $image: payload of unknown compression $magic" >&2
      return 1
      ;;
  esac
  dd if="$image" bs=64K iflag=skip_bytes,count_bytes skip=$offset \
    count=$length status=none | $unpack
}

# Adds a module, dependencies first, and notes the order of loading.
add_module() {
  local name=$1 root=$2 file dependency
  [ ! -e "$root/modules/$name.ko" ] || return 0
  file=$(find "$TREE" \( -name "$name.ko*" -o -name "${name//_/-}.ko*" \) \
    -print -quit)
  [ -n "$file" ] || return 0
  case $file in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *) cat "$file" ;;
  esac >"$root/modules/$name.ko"
  for dependency in $(strings -a "$root/modules/$name.ko" |
    sed -n 's/^depends=//p' | tr , ' '); do
    add_module "$dependency" "$root"
  done
  echo "$name.ko" >>"$root/modules/order"
}

# The shared libraries that programs need, where the guest's loader looks.
add_libraries() {
  local root=$1 library missing
  shift
  missing=$(LD_LIBRARY_PATH=$ADBD_LIBRARIES ldd "$@" | grep 'not found' || true)
  if [ -n "$missing" ]; then
    echo "image.sh: missing: libraries of this machine:" $missing >&2
    return 1
  fi
  for library in $(LD_LIBRARY_PATH=$ADBD_LIBRARIES ldd "$@" |
    sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u); do
    cp -L "$library" "$root/$LIB/"
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
}

add_programs() {
  local root=$1 applet
  cp /bin/busybox "$root/bin/busybox"
  cp /usr/bin/toybox "$root/system/bin/toybox"
  for applet in $(toybox); do
    # No more than Android links; mounting and the like is init's own work.
    case $applet in
      insmod | poweroff | reboot | su | sh) ;;
      *) ln -sf toybox "$root/system/bin/$applet" ;;
    esac
  done
  cp /bin/mksh "$root/system/bin/sh"
  ln -s /system/bin/sh "$root/bin/sh"
  install -D "$ADBD/usr/lib/android-sdk/platform-tools/adbd" \
    "$root/usr/sbin/adbd"
  mkdir -p "$root/$LIB"
  add_libraries "$root" "$root/usr/sbin/adbd" /usr/bin/toybox /bin/mksh
}

# compile PROGRAM SOURCE...: linked statically, so that it runs in any guest.
compile() {
  local program=$1
  shift
  gcc -O2 -static -std=gnu11 -Wall -Wextra -Werror -pthread -o "$program" "$@"
}

add_our_own() {
  local root=$1 bin=$1/system/bin
  install -m 755 "$HERE/guest/init" "$root/init"
  compile "$root/lab/su" "$HERE/guest/su.c"
  compile "$root/lab/perfetto" "$HERE/guest/perfetto.c"
  compile "$bin/scanner" "$HERE/puppet/scanner.c"
  compile "$bin/meter" "$HERE/puppet/meter.c"
  compile "$bin/puppet" \
    "$HERE"/puppet/{puppet,server,actor,jobs,exporter,truth,wire}.c
}

# Perfetto was linked with a newer libc than the guest's: it brings its own, and
# the loader for it. The guest's init says how they are started.
add_perfetto() {
  local to=$1/lab/real loader=$PERFETTO/$LIB/ld-linux-x86-64.so.2 library
  [ -n "$PERFETTO" ] || return 0
  mkdir -p "$to"
  cp -L "$PERFETTO"/usr/bin/perfetto "$PERFETTO"/usr/sbin/traced{,_probes} \
    "$loader" "$to/"
  for library in $("$loader" --list --library-path \
    "$PERFETTO/$LIB:$PERFETTO/usr/lib/perfetto" "$to/traced_probes" |
    sed -n 's/.*=> \(\/[^ ]*\).*/\1/p'); do
    cp -L "$library" "$to/"
  done
}

add_users() {
  printf '%s:x:%d:%d:%s:/:/system/bin/sh\n' \
    root 0 0 root system 1000 1000 system shell 2000 2000 shell >"$1/etc/passwd"
  printf '%s:x:%d:\n' root 0 system 1000 shell 2000 >"$1/etc/group"
}

make_initramfs() {
  local root=$1 module
  # Not the 0700 of mktemp: a shell of uid 2000 could not run anything.
  chmod 755 "$root"
  mkdir -p "$root"/{bin,sbin,usr/sbin,system/bin,proc,sys,dev,etc,lab,modules}
  mkdir -p "$root"/{root,data,lib64,tmp,var/log}
  add_programs "$root"
  add_our_own "$root"
  add_perfetto "$root"
  add_users "$root"
  : >"$root/modules/order"
  for module in $MODULES; do add_module "$module" "$root"; done
  (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1)
}

mkdir -p "$CACHE/image"
exec 9>"$CACHE/image/lock"
flock 9
is_up_to_date && exit 0

work=$(mktemp -d "$CACHE/image/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root" "$work/image"
extract_vmlinux "$(find "$TREE" -name 'vmlinuz*' -type f -print -quit)" \
  >"$work/image/vmlinux"
make_initramfs "$work/root" >"$work/image/initramfs.gz"
rm -rf "$IMAGE"
mv "$work/image" "$IMAGE"
echo "device-lab: made $IMAGE"
