# Shared by the scripts of this folder: own namespaces, clean-up on every exit, waiting for
# conditions. Source it first; exit status 77 means skipped, with the reason printed.
#
# Namespaces are unnamed to everybody else: the script re-executes itself in a fresh mount and network
# namespace (by root, else in a user namespace), so that nothing of the machine is touched and the
# kernel takes everything away when the script ends.

skip() {
    echo "SKIP: $*"
    exit 77
}
fail() {
    echo "FAIL: $*" >&2
    [ -n "${DIR:-}" ] && tail -n 20 "$DIR"/*.log >&2
    KEEP=1
    exit 1
}

if [ -z "${ZT_NETNS_INSIDE:-}" ]; then
    export ZT_NETNS_INSIDE=1
    if [ "$(id -u)" = 0 ]; then
        exec unshare -nm --kill-child -pf --mount-proc "$0" "$@"
    fi
    unshare -Urnm true 2>/dev/null || skip "no permission to make network namespaces"
    exec unshare -Urnm --kill-child -pf --mount-proc "$0" "$@"
fi

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${ZT_BUILD:-$TOP/build}
ZTD=$BUILD/tools/ztd/ztd
[ -x "$ZTD" ] || ZTD=$BUILD/tools/ztd
ZTCTL=$BUILD/tools/ztctl/ztctl
[ -x "$ZTCTL" ] || ZTCTL=$BUILD/tools/ztctl
DIR=$(mktemp -d)
KEEP=
trap '[ -n "$KEEP" ] && echo "logs: $DIR" >&2 || rm -rf "$DIR"' EXIT

mount -t tmpfs tmpfs /run 2>/dev/null || mount -t tmpfs tmpfs /var/run || skip "no private /run"
ip link set lo up

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# host NAME ADDRESS/BITS...: a namespace on the switch "sw"
host() {
    local name=$1
    shift
    ip link show sw >/dev/null 2>&1 || {
        ip link add sw type bridge
        ip link set sw up
    }
    ip netns add "$name"
    ip link add dev "$name" type veth peer name eth0 netns "$name"
    ip link set dev "$name" master sw up
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    local a
    for a in "$@"; do ip -n "$name" addr add "$a" dev eth0; done
}

# The kernel refuses to bind an address while it looks for duplicates of it.
settled() { ! ip -n "$1" -6 addr | grep -q tentative; }

in_host() {
    local name=$1
    shift
    ip netns exec "$name" "$@"
}

# The reference reads memory that it never wrote; Meson's MALLOC_PERTURB_ makes it crash.
unset MALLOC_PERTURB_

zt() { # zt HOST COMMAND...: ztctl of that host's node
    local name=$1
    shift
    in_host "$name" "$ZTCTL" -H "$DIR/$name" "$@"
}

address_of() { # address_of HOST NWID FAMILY(. or :)
    zt "$1" -j networks | python3 -c '
import json, sys
for n in json.load(sys.stdin):
    for a in n["assignedAddresses"]:
        if n["nwid"] == sys.argv[1] and sys.argv[2] in a:
            print(a.split("/")[0]); sys.exit(0)
sys.exit(1)' "$2" "$3"
}
