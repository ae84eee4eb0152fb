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
    touch "${DIR:-$ZT_NETNS_DIR}/keep"
    exit 1
}

if [ -z "${ZT_NETNS_INSIDE:-}" ]; then
    how=-nm
    if [ "$(id -u)" != 0 ]; then
        how=-Urnm
        unshare -Urnm true 2>/dev/null || skip "no permission to make network namespaces"
    fi
    ZT_NETNS_INSIDE=1 ZT_NETNS_DIR=$(mktemp -d)
    export ZT_NETNS_INSIDE ZT_NETNS_DIR
    unshare $how --kill-child -pf --mount-proc "$0" "$@" &
    inside=$!
    trap 'kill -KILL $inside 2>/dev/null' INT TERM HUP
    wait $inside
    code=$?
    # Only now has everything in there ended: nodes, and programs that would start a node anew.
    if [ -e "$ZT_NETNS_DIR/keep" ]; then echo "logs: $ZT_NETNS_DIR" >&2; else rm -rf "$ZT_NETNS_DIR"; fi
    exit $code
fi

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${ZT_BUILD:-$TOP/build}
ZTD=$BUILD/tools/ztd/ztd
[ -x "$ZTD" ] || ZTD=$BUILD/tools/ztd
ZTCTL=$BUILD/tools/ztctl/ztctl
[ -x "$ZTCTL" ] || ZTCTL=$BUILD/tools/ztctl
PYTHON=$(python3 -c 'import sys; print(sys.executable)') # not a script around it: it is called often
DIR=$ZT_NETNS_DIR

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

# Nothing of the machine's settings stands between curl and a node.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# The reference reads memory that it never wrote; Meson's MALLOC_PERTURB_ makes it crash.
unset MALLOC_PERTURB_

zt() { # zt HOST COMMAND...: ztctl of that host's node
    local name=$1
    shift
    in_host "$name" "$ZTCTL" -H "$DIR/$name" "$@"
}

address_of() { # address_of HOST NWID FAMILY(. or :)
    zt "$1" -j networks | "$PYTHON" -S -c '
import json, sys
for n in json.load(sys.stdin):
    for a in n["assignedAddresses"]:
        if n["nwid"] == sys.argv[1] and sys.argv[2] in a:
            print(a.split("/")[0]); sys.exit(0)
sys.exit(1)' "$2" "$3"
}

# ---- Nodes of either kind ----------------------------------------------------------------------
# The node of a host is `ours` or `reference`; what follows does the same to both. Programs reach the
# virtual network of ours by `ztctl exec`, that of the reference by the TAP device in its namespace.

declare -A KIND # host -> ours, reference

# need_reference: the reference binary and what it needs, or skipped
need_reference() {
    [ -x "${ZT_REFERENCE:-}" ] || skip "ZT_REFERENCE does not name a zerotier-one binary"
    [ -w /dev/net/tun ] || skip "/dev/net/tun cannot be opened"
    command -v ping >/dev/null || skip "no ping"
}

# planet HOST ENDPOINT...: an identity for HOST and a planet with it as the only root, in $DIR/planet
planet() {
    local root=$1
    shift
    mkdir -p "$DIR/$root"
    "$ZTCTL" identity new -o "$DIR/$root" >/dev/null || fail "no identity"
    "$ZTCTL" planet new --root "$DIR/$root/identity.public" "$@" -o "$DIR/planet" >/dev/null ||
        fail "no planet"
}

# node KIND HOST: start one there, in the planet; its process is $!
node() {
    KIND[$2]=$1
    mkdir -p "$DIR/$2"
    cp "$DIR/planet" "$DIR/$2/planet"
    if [ "$1" = ours ]; then
        ip netns exec "$2" "$ZTD" -H "$DIR/$2" -p 9993 >>"$DIR/$2.log" 2>&1 &
    else
        ip netns exec "$2" "$ZT_REFERENCE" -U "$DIR/$2" >>"$DIR/$2.log" 2>&1 &
    fi
}

refcli() { # refcli HOST COMMAND...: the reference's own command line tool
    local name=$1
    shift
    in_host "$name" "$ZT_REFERENCE" -q -D"$DIR/$name" "$@"
}

id_of() { cut -c1-10 "$DIR/$1/identity.public"; }

# pick FIELD-EXPRESSION: a Python expression over the JSON document d; false is failure
pick() {
    "$PYTHON" -S -c '
import json, sys
d = json.load(sys.stdin)
r = eval(sys.argv[1])
if r is None or r is False:
    sys.exit(1)
print(r)' "$1" 2>/dev/null
}

node_online() {
    if [ "${KIND[$1]}" = ours ]; then
        zt "$1" -j info | pick 'd["online"]'
    else
        refcli "$1" info | grep -q ONLINE
    fi
}
node_join() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" join "$2"; else refcli "$1" join "$2"; fi >/dev/null
}
# node_address HOST NWID PREFIX: its virtual address that starts so
node_address() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" -j networks; else refcli "$1" -j listnetworks; fi |
        pick "next((a.split('/')[0] for n in d if n['nwid'] == '$2'
                    for a in n['assignedAddresses'] if a.startswith('$3')), None)"
}
# node_direct HOST PEER-ID: does it use a direct path to that peer?
node_direct() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" -j peers; else refcli "$1" -j listpeers; fi |
        pick "next((p['address'] for x in d if x['address'] == '$2' for p in x['paths']
                    if p['preferred'] and not p['expired']), None)"
}
# node_run HOST PROGRAM...: an ordinary program on the node's virtual networks
node_run() {
    local name=$1
    shift
    if [ "${KIND[$name]}" = ours ]; then
        in_host "$name" "$ZTCTL" exec -H "$DIR/$name" "$@"
    else
        in_host "$name" "$@"
    fi
}
# node_ping HOST ADDRESS COUNT: prints how many of them were answered
node_ping() {
    if [ "${KIND[$1]}" = ours ]; then
        zt "$1" -j ping -c "$3" -i 0.01 "$2" | pick 'd["answered"]'
    else
        in_host "$1" ping -q -n -c "$3" -i 0.01 -W 1 "$2" |
            sed -n 's/.* transmitted, \([0-9]*\) received.*/\1/p'
    fi
}
# node_api HOST METHOD PATH [JSON]: its local HTTP interface
node_api() {
    in_host "$1" curl -sf -m 30 -X "$2" -H "X-ZT1-Auth: $(cat "$DIR/$1/authtoken.secret")" \
        ${4:+-d "$4"} "http://127.0.0.1:9993$3"
}
