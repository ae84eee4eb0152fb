#!/bin/bash
# Two builds of the same sources, in folders of other names and depths, at other times, with files of other
# dates, in another language and time zone, give the same bytes. Under ZT_TEST_ALL: it compiles everything twice.
#
#   reproducible.sh [SOURCE]
set -eu
source=$(readlink -f "${1:-$(dirname "$0")/../..}")
[ -n "${ZT_TEST_ALL-}" ] || { echo 'skipped: compiles everything twice; tools/test --all'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
products=(libzt/libzt.so.0.1.0 libzt/libzt18.so.0.1.0 preload/libztpreload.so tools/ztd tools/ztctl)

build() { # FOLDER FILE-DATE: leaves the products in FOLDER/build
    mkdir -p "$1"
    tar -C "$source" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$1" -xf -
    find "$1" -path '*/subprojects/*' -prune -o -type f -exec touch -d "$2" {} +
    (cd "$1" && CCACHE_DISABLE=1 CC=gcc meson setup build --buildtype=release &&
        CCACHE_DISABLE=1 nice ninja -C build "${products[@]}") > "$work/log" 2>&1 ||
        { tail -n 20 "$work/log"; exit 1; }
}

(export LC_ALL=C TZ=UTC && umask 022 && build "$work/a" '2026-01-01')
(export LC_ALL=C.UTF-8 TZ=Asia/Tokyo && umask 077 && build "$work/another/deeper folder/libzt" '2026-02-02')
passed=0 failed=0
for f in "${products[@]}"; do
    if cmp "$work/a/build/$f" "$work/another/deeper folder/libzt/build/$f"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED  $f differs"
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
