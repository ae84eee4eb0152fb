# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after lab.sh by what runs other people's suites: the same tests on the kernel's loopback and on
# virtual addresses, `outcome name` a line, compared but for those that are listed with their reason.

# suite_tree NAME SOURCE STAMP-FILES...: a copy of the source in the build folder, $tree, built once; false when
# it was built already from the same source by the same script
suite_tree() {
    local stamp
    tree=$build/foreign/$1
    stamp=$( (cd "$2" && find "${@:3}" -type f -name '*.[ch]' -exec cat {} +; cat "$here/${0##*/}") | sha256sum)
    [ "$(cat "$tree/.stamp" 2> /dev/null)" != "$stamp" ] || return 1
    rm -rf "$tree"
    mkdir -p "$tree"
    (cd "$2" && tar c --exclude=.git .) | tar x -C "$tree" || fail "$2 can't be copied"
    tree_stamp=$stamp
}
suite_built() { echo "$tree_stamp" > "$tree/.stamp"; }

counts() {
    awk '{ n[$1]++ } END { printf "%d passed, %d failed, %d skipped", n["ok"], n["failed"], n["skipped"] }' "$1"
}

# suite_agrees KNOWN: are kernel.tests and virtual.tests the same, but for what KNOWN lists and what passes on the
# virtual network alone (the kernel's multicast needs a route)?
suite_agrees() {
    [ -s virtual.tests ] || { echo 'nothing ran'; return 1; }
    diff kernel.tests virtual.tests | sed -n 's/^[<>] [a-z]* //p' | sort -u | grep -vxFf <(sed -n 's/^ok //p' virtual.tests) > differ
    grep -v '^#' "$1" | cut -f1 > patterns
    grep -vxE -f patterns differ > surprise || return 0
    local t
    while read -r t; do
        grep -xE "[a-z]+ $t" kernel.tests virtual.tests
        tail -n 15 "virtual.${t%.[0-9]*}.log"
    done < surprise
    return 1
}
