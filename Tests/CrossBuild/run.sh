#!/bin/sh
# Builds the kernels for ARM, runs their test in an emulator on processors with dot products and without, and compares
# every checksum with this machine's own. On an ARM machine it runs the test there, without an emulator.
set -eu
cd "$(dirname "$0")/../.."

missing() {
  echo "run.sh: $1 is missing: $2" >&2
  exit 69
}

cc=${CC:-clang}
command -v "$cc" >/dev/null || cc=/opt/swift/usr/bin/clang
command -v "$cc" >/dev/null || missing clang "it comes with Swift; CC says where it is"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build <output> <options>: optimised as the package builds it.
build() {
  output=$1
  shift
  "$cc" "$@" -O3 -Wall -Wextra -Werror -ISources/CKernels/include Sources/CKernels/*.c Tests/CrossBuild/kernels_test.c \
    -o "$output" -lm -lpthread
}

# compare <processor>: all but the lines of what the C library rounds and of the builds.
compare() {
  for side in here "$1"; do grep -v '^libm\|^builds' "$work/$side" >"$work/$side.same"; done
  diff "$work/here.same" "$work/$1.same" >&2 || {
    echo "run.sh: $1 computes other bits than this machine" >&2
    exit 1
  }
}

build "$work/native"
"$work/native" >"$work/here"
cat "$work/here"
case $(uname -m) in aarch64 | arm64) exit 0 ;; esac

emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64) ||
  missing qemu-aarch64 "apt-get install qemu-user-static"
echo 'int main(void) { return 0; }' >"$work/empty.c"
"$cc" --target=aarch64-linux-gnu -fuse-ld=lld -static "$work/empty.c" -o "$work/empty" 2>/dev/null ||
  missing "a C library for ARM" "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
build "$work/arm" --target=aarch64-linux-gnu -fuse-ld=lld -static
for processor in neoverse-n1 cortex-a72; do
  "$emulator" -cpu $processor "$work/arm" >"$work/$processor"
  echo "$processor, emulated:"
  grep '^libm\|^builds' "$work/$processor"
  compare $processor
done
echo "The rest is the same, bit for bit."
