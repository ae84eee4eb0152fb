#!/bin/sh
# static.sh OUTPUT WORKDIR CC ARCHIVE...: everything as one relocatable object with only zts_* global, so
# that a program links with -lzt alone and may have its own lwIP, libuv or OpenSSL beside it.
#
# Archives of ours go in whole; of the others (those outside the build folder) only the members that are
# needed. The C library stays the program's.
set -eu
out=$1 work=$2 cc=$3
shift 3
mkdir -p "$work"
rm -f "$out" "$work/libzt.o"
own='' others=''
for a; do
    case $a in
    /*) others="$others $a" ;;
    *) own="$own $a" ;;
    esac
done
# shellcheck disable=SC2086
ld -r -d -o "$work/libzt.o" --whole-archive $own --no-whole-archive --start-group $others --end-group
objcopy --wildcard --keep-global-symbol='zts_*' "$work/libzt.o"
objcopy --strip-debug "$work/libzt.o"
ar rcs "$out" "$work/libzt.o"
# What it still wants from outside must be in the C library.
printf 'int main(void) { return 0; }\n' > "$work/empty.c"
$cc -o "$work/empty" "$work/empty.c" -Wl,--whole-archive "$out" -Wl,--no-whole-archive -pthread ||
    { echo "libzt.a is not complete" >&2; rm -f "$out"; exit 1; }
