#!/bin/bash
# What the compiler and the linker were asked for is in the files that are shipped.
#
#   hardening.sh BUILD [sanitized]
set -u
build=$1 sanitized=${2-}
passed=0 failed=0
command -v readelf > /dev/null || { echo 'skipped: no readelf'; exit 77; }

check() { # TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  $text"; fi
}
has() { grep -qE -- "$1" <<< "$2"; }
has_endbr() { [ "$(LC_ALL=C grep -aoP '\xf3\x0f\x1e\xfa' "$1" | wc -l)" -gt 20 ]; }
hasnt() { ! has "$@"; }

machine=$(uname -m)
for f in tools/ztd tools/ztctl libzt/libzt.so preload/libztpreload.so; do
    file=$build/$f
    dynamic=$(readelf -dW "$file") program=$(readelf -lW "$file") header=$(readelf -hW "$file")
    symbols=$(readelf -sW --dyn-syms "$file") notes=$(readelf -nW "$file")
    check "$f: position independent" has 'Type: *DYN' "$header"
    check "$f: GNU_RELRO" has GNU_RELRO "$program"
    check "$f: all symbols bound at the start" has 'BIND_NOW|FLAGS_1.*NOW' "$dynamic"
    check "$f: no executable stack" has 'GNU_STACK.* RW +0x' "$program"
    check "$f: nothing writable is executable" hasnt 'LOAD.* RWE ' "$program"
    check "$f: no text relocations" hasnt TEXTREL "$dynamic"
    check "$f: no search path of its own that others can write to" hasnt 'R(UN)?PATH.*\[(/tmp|\.|[^/$])' "$dynamic"
    check "$f: stack protector" has '__stack_chk_fail' "$symbols"
    if [ -z "$sanitized" ] && [ "$f" != preload/libztpreload.so ]; then # it defines what fortify wraps
        check "$f: checked calls (fortify)" has '__[a-z]+_chk(@|$)' "$(grep -v stack_chk <<< "$symbols")"
    fi
    if [ "$machine" = x86_64 ] && [ -z "$sanitized" ]; then
        # The mark of the whole file needs a C library built so (Debian's is not); our code is in any case.
        if readelf -nW "$(gcc -print-file-name=crti.o)" | grep -q IBT; then
            check "$f: CET" has 'IBT, SHSTK' "$notes"
        fi
        check "$f: indirect jumps land on endbr64" has_endbr "$file"
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
