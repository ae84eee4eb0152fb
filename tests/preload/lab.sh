# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the tests that need real nodes: a private planet on loopback with a root and the homes A and
# B, both on two ad-hoc networks, one for IPv6 and one for IPv4. All of it is in $work, which goes away
# with everything that runs in it.
#
#   $build      the build folder, set by the caller before
#   $a6 $b6 $a4 $b4   the virtual addresses, after lab_up
set -u

# By root in a network namespace of its own: what should have stayed in the virtual network and did not ends
# here, as an error, and not at somebody else's machine that has the same private address.
if [ -z "${ZT_LAB_ALONE-}" ] && [ "$(id -u)" = 0 ] && unshare -n true 2> /dev/null; then
    mapfile -d '' -t zt_command < "/proc/$$/cmdline"
    export ZT_LAB_ALONE=1
    exec unshare -n sh -c 'ip link set lo up && ip address add 192.0.2.7/32 dev lo && exec "$@"' sh "${zt_command[@]}"
fi

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=../../tools/lib/common.sh
. "$here/../../tools/lib/common.sh"
# shellcheck source=../../tools/lib/lab.sh
. "$here/../../tools/lib/lab.sh"

network4=ff0a000000000001 # ad-hoc, 10.0.0.0/8: the last three bytes are the node's
preload=${ZT_LAB_PRELOAD:-$build/preload/libztpreload.so} # another one: a sanitizer is for the node alone
passed=0 failed=0 started=()
at_end=: # a command of the caller's for the end
export ZT_PRELOAD_WAIT=${ZT_PRELOAD_WAIT-60} # for a node that a program starts: on a machine that does much else, too
ztctl() { "$build/tools/ztctl" "$@"; }

# Everything of this run has $work in its command line or is in $started.
finish() {
    local code=$? pid
    trap - EXIT INT TERM HUP
    for pid in "${started[@]-}"; do
        [ -z "$pid" ] || kill "$pid" 2> /dev/null
    done
    $at_end
    end_nodes || code=1
    for pid in $(lab_nodes); do
        echo "left running: $(tr '\0' ' ' < "/proc/$pid/cmdline")"
        kill -KILL "$pid" 2> /dev/null
        code=1
    done
    wait
    if [ $code -ne 0 ] && [ -n "${ZT_TEST_KEEP-}" ]; then
        echo "kept: $work"
    else
        rm -rf "$work"
    fi
    exit $code
}

# pids of the nodes whose home is in $work (or below)
lab_nodes() {
    local p
    for p in $(find /proc -maxdepth 2 -name exe -lname "*/ztd" 2> /dev/null | cut -d/ -f3); do
        tr '\0' ' ' < "/proc/$p/cmdline" 2> /dev/null | grep -qF -- "${1-$work}" && echo "$p"
    done
    return 0
}

# a failure before anything could be tested
fail() {
    echo "$*"
    exit 1
}

pass() {
    passed=$((passed + 1))
    echo "ok      $*"
}
miss() {
    failed=$((failed + 1))
    echo "FAILED  $*"
}
# check WHAT COMMAND...: the command must succeed; its output is shown when it does not
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then pass "$what"; else
        miss "$what"
        echo "$out" | tail -n 12 | sed 's/^/        /'
    fi
}
verdict() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# need PROGRAM...: without it there is nothing to test
need() {
    local p
    for p; do
        command -v "$p" > /dev/null || { echo "$p is not installed"; trap - EXIT; exit 77; }
    done
}

# in_home HOME COMMAND...: the unmodified command under the preload; never starts a node by itself
in_home() {
    local home=$1
    shift
    ZT_HOME=$work/$home ZT_PRELOAD_START=${ZT_START-no} LD_PRELOAD=$preload "$@"
}

address_in() { # HOME NETWORK 4|6
    ztctl -H "$work/$1" -j networks | json "[x.split('/')[0] for n in d if n['id'] == '$2'
        for x in n['assignedAddresses'] if (':' in x) == ($3 == 6)][0]"
}

lab_begin() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/zt-preload.XXXXXX") || exit 1
    trap finish EXIT
    trap 'exit 130' INT TERM HUP
    cd "$work" || exit 1
}

lab_up() {
    local home
    start_root a b
    for home in a b; do
        start_node $home "$(free_ports 1)" || fail "$home: $(cat "$work/$home.up.log")"
    done
    for home in a b; do
        wait_for 60 is_online $home || fail "$home is not online: $waited"
        ztctl -H "$work/$home" join "$network" > join.log 2>&1 || fail "$(cat join.log)"
        ztctl -H "$work/$home" join "$network4" > join.log 2>&1 || fail "$(cat join.log)"
        wait_for 30 address_in $home "$network" 6 || fail "$home has no IPv6 address: $waited"
        declare -g "${home}6=$waited"
        wait_for 30 address_in $home "$network4" 4 || fail "$home has no IPv4 address: $waited"
        declare -g "${home}4=$waited"
    done
}
