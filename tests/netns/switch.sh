#!/bin/bash
# Three machines on one switch, as network namespaces. A fetches a marked text from B over the virtual
# network, by the preload; what crosses the switch is recorded.
#
#      root 10.9.0.1        A 10.9.0.2         B 10.9.0.3
#         |                    |                  |
#      ---+--------------------+------------------+---  bridge "switch" (recorded)
#
# Checks: both nodes come online, A reaches B, the path is direct between 10.9.0.2 and 10.9.0.3, the
# text is not in the recording. That the recording would show it is checked with a copy sent in clear.
#
# usage: switch.sh BUILD-FOLDER      exit status 77: skipped, the reason is the last line
set -u
build=$(realpath "$1")
top=$(realpath "$(dirname "$0")/../..")

skip() {
    echo "SKIP: $*"
    exit 77
}

if [ "${2-}" != inside ]; then
    [ -x "$build/tools/ztd" ] || skip 'ztd is not built'
    for tool in ip unshare tcpdump curl; do
        command -v $tool > /dev/null || skip "no $tool"
    done
    if [ "$(id -u)" = 0 ] && unshare -nm true 2> /dev/null; then
        exec unshare -nm "$0" "$build" inside
    elif unshare -Urnm true 2> /dev/null; then
        exec unshare -Urnm "$0" "$build" inside
    fi
    skip 'namespaces are not allowed here (neither as root nor for users)'
fi

mount -t tmpfs tmpfs /run 2> /dev/null && mkdir -p /run/netns || skip 'no private /run'

# shellcheck source-path=SCRIPTDIR source=../../tools/lib/common.sh
. "$top/tools/lib/common.sh"
# shellcheck source-path=SCRIPTDIR source=../../tools/lib/lab.sh
. "$top/tools/lib/lab.sh"
work=$(mktemp -d)
homes=() pids=() passed=0

# ztctl of a home runs in the namespace that is called like the home
ztctl() {
    local i ns=
    for ((i = 1; i < $#; i++)); do
        case ${!i} in -H) i=$((i + 1)) ns=${!i} ;; esac
    done
    ip netns exec "${ns##*/}" "$build/tools/ztctl" "$@"
}
fail() {
    echo "FAILED: $*"
    echo "$passed passed, 1 failed"
    tail -n 20 "$work"/*/ztd.log 2> /dev/null
    exit 1
}
ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}
finish() {
    local code=$? pid
    trap - EXIT
    for pid in "${pids[@]}"; do
        kill "$pid" 2> /dev/null
        wait "$pid" 2> /dev/null
    done
    end_nodes || code=1
    for ns in root a b; do ip netns del $ns; done
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 1' INT TERM

ip link add switch type bridge 2> /dev/null || { trap - EXIT; rm -rf "$work"; skip 'no bridges here'; }
ip link set switch up
n=0
for ns in root a b; do
    n=$((n + 1))
    ip netns add $ns
    ip link add "to_$ns" type veth peer name eth0 netns $ns
    ip link set "to_$ns" master switch up
    ip -n $ns link set lo up
    ip -n $ns addr add 10.9.0.$n/24 dev eth0
    ip -n $ns link set eth0 up
done

"$build/tools/ztctl" identity new -o "$work/root" > /dev/null || fail 'no identity'
"$build/tools/ztctl" planet new --root "$work/root/identity.public" 10.9.0.1/9993 -o "$work/planet" \
    > /dev/null || fail 'no planet'
for ns in root a b; do
    mkdir -p "$work/$ns"
    cp "$work/planet" "$work/$ns/"
    start_node $ns || fail "$ns: $(cat "$work/$ns.up.log")"
done

tcpdump -i switch -U -w "$work/switch.pcap" 2> "$work/tcpdump.log" &
pids+=($!)
wait_for 60 grep -q 'listening on' "$work/tcpdump.log" || fail 'tcpdump does not start'

for ns in a b; do
    wait_for 60 is_online $ns || fail "$ns is not online"
    ztctl -H "$work/$ns" join "$network" > /dev/null || fail "$ns cannot join"
    wait_for 30 virtual_address $ns || fail "$ns has no address"
done
ok 'both nodes are online'

marker=clear-text-$RANDOM$RANDOM$RANDOM
mkdir "$work/served"
for ((i = 0; i < 2000; i++)); do echo "$marker $i"; done > "$work/served/text"
ip_b=$(virtual_address b)
ip netns exec b "$build/tools/ztctl" exec -H "$work/b" \
    python3 -u -m http.server --bind "$ip_b" --directory "$work/served" 8000 > "$work/server.log" 2>&1 &
pids+=($!)
wait_for 60 grep -q 'Serving HTTP' "$work/server.log" || fail "no server: $(cat "$work/server.log")"
fetch() {
    ztctl exec -H "$work/a" curl -q -sS -g --max-time 20 -o "$work/got" "http://[$ip_b]:8000/text"
}
fetch || fail 'A cannot fetch from B'
cmp -s "$work/got" "$work/served/text" || fail 'another text came'
ok 'A fetches from B'
id_b=$(node_id b)
wait_for 30 direct_path a "$id_b" || fail 'no direct path'
case $waited in "DIRECT 10.9.0.3/"*) ok "$waited" ;; *) fail "the path is $waited" ;; esac
fetch || fail 'A cannot fetch again over the direct path'
ok 'A fetches over the direct path'

seen() { grep -qa "$marker $1" "$work/switch.pcap"; }
ip netns exec a bash -c "echo '$marker control' > /dev/udp/10.9.0.3/7"
wait_for 30 seen control || fail 'the recording would not show the text'
! seen '[0-9]' || fail 'the text is in the recording'
ok 'nothing of the text is readable on the switch'
echo "$passed passed, 0 failed"
