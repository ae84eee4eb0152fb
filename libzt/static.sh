#!/bin/sh
# static.sh OUTPUT WORKDIR ARCHIVE...: the archives as one relocatable object with only zts_* global.
set -eu
out=$1 work=$2
shift 2
mkdir -p "$work"
rm -f "$out" "$work/libzt.o"
ld -r -o "$work/libzt.o" --whole-archive "$@" --no-whole-archive
objcopy --wildcard --keep-global-symbol='zts_*' "$work/libzt.o"
ar rcs "$out" "$work/libzt.o"
