#!/bin/bash
# The manual pages: well formed, and complete: every command of ztctl and every option of ztd is there.
# usage: man.sh ZTCTL ZTD PAGE...
set -u
ztctl=$(realpath "$1") ztd=$(realpath "$2")
shift 2
failed=0
bad() {
    failed=$((failed + 1))
    echo "FAILED $*"
}
page() { for p in "${pages[@]}"; do [ "${p##*/}" != "$1" ] || echo "$p"; done; }
pages=("$@")

if command -v mandoc > /dev/null; then
    for p in "${pages[@]}"; do
        # Without a date, on purpose: a page is as old as its package.
        out=$(mandoc -Tlint -W warning "$p" 2>&1 | grep -v 'missing date') && bad "$out"
    done
else
    echo 'SKIP mandoc -Tlint: no mandoc'
fi
if command -v man > /dev/null && man --warnings=w -l "${pages[0]}" > /dev/null 2>&1; then
    for p in "${pages[@]}"; do
        out=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings=w -E UTF-8 -l -Tutf8 -Z "$p" 2>&1 > /dev/null)
        [ -z "$out" ] || bad "$p: $out"
    done
else
    echo 'SKIP man --warnings: no man that takes it'
fi

plain() { sed -e 's/\\f.//g' -e 's/\\-/-/g' -e 's/^\.[A-Z]* *//' -e 's/"//g' -e 's/ ,/,/g' -e 's/  */ /g' "$1"; }
text=$(plain "$(page ztctl.1)")
commands=$("$ztctl" help | sed -n 's/^  \([a-z]*\)  *.*/\1/p')
[ "$(wc -w <<< "$commands")" -ge 30 ] || bad "ztctl help lists no commands: $commands"
for c in $commands; do
    grep -qE "(^|, )$c([ ,]|\$)" <<< "$text" || bad "ztctl(1) says nothing of '$c'"
    # What it takes, as the heading of a paragraph; "moon" refers to "planet" for the rest.
    while IFS= read -r form; do
        case $form in moon*) continue ;; esac
        grep -qE "(^|, )${form//[^a-zA-Z0-9-]/.}(,|\$)" <<< "$text" || bad "ztctl(1) has no '$form'"
    done < <("$ztctl" "$c" --help | sed -n '/^usage/,/^$/{s/.*ztctl \[-H HOME\] \[-j\] //p}')
    for o in $("$ztctl" "$c" --help | sed -n '/^usage/,/^$/p' | grep -oE '(^|[[ |])--?[a-z0-9]+' | tr -d '[ |' | sort -u); do
        case $o in -j) continue ;; esac
        grep -qE -e "$o([^a-z]|\$)" <<< "$text" || bad "ztctl(1) says nothing of '$c $o'"
    done
done
text=$(plain "$(page ztd.8)")
for o in $("$ztd" --help | sed -n 's/^ *\(-[A-Za-z]\), .*/\1/p; s/^ .*\(--[a-z-]*\).*/\1/p' | sort -u); do
    grep -qE -e "$o([^a-z]|\$)" <<< "$text" || bad "ztd(8) says nothing of '$o'"
done
echo "$failed failed"
[ $failed = 0 ]
