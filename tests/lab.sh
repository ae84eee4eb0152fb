# shellcheck shell=bash disable=SC2034
# The opening of scripts that run programs in a private planet on loopback:
#   . .../tests/lab.sh BUILD NAME
# $build is the build's folder, $work an empty one, in which the script goes on; processes whose numbers are in
# `started` are killed at the end, nodes end in good order ($ZT_TEST_KEEP: the folder stays). fail TEXT ends it all.
build=$(readlink -f "$1")
# shellcheck source=../tools/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../tools/lib/common.sh"
# shellcheck source=../tools/lib/lab.sh
. "$top/tools/lib/lab.sh"
ztctl() { "$build/tools/ztctl" "$@"; }

started=()
work=$(mktemp -d "${TMPDIR:-/tmp}/zt-$2.XXXXXX")
finish() {
    local code=$? pid
    trap - EXIT INT TERM HUP
    for pid in "${started[@]-}"; do
        [ -z "$pid" ] || kill -KILL "$pid" 2> /dev/null
    done
    end_nodes || code=1
    wait
    if [ -n "${ZT_TEST_KEEP-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
fail() {
    echo "$*"
    exit 1
}
cd "$work" || exit 1

# new_network NAME KEY=VALUE...: its id, of the root's controller
new_network() { ztctl -H root controller new "name=$1" "${@:2}" | grep -oE '\b[0-9a-f]{16}\b' | head -n 1; }
