#!/usr/bin/env bash
# A node behind a router that gives every flow another port, and a peer that only answers those it
# spoke to first: nothing but a relay connects them, until the router maps a port.
#
#   a  10.9.1.2 --- 10.9.1.1  gw  198.51.100.1 ---+--- r  198.51.100.3  root
#                   (symmetric NAT, maps ports)   +--- b  198.51.100.2  (takes nothing unasked from gw)
#
# Once with NAT-PMP, with ZT_TEST_ALL once with UPnP, each by tests/netns/router.py in gw.
. "$(dirname "$0")/lib.sh"
set -u
command -v nft >/dev/null || skip "no nft"
NWID=ff0000ffff000000
HERE=$(dirname "$(readlink -f "$0")")

json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
online() { [ "$(zt "$1" -j info | json 'd["online"]')" = True ]; }
path() { # path HOST NODE: endpoints of its live direct paths
    zt "$1" -j peers | json "' '.join(q['address'] for p in d if p['address']=='$2' for q in p['paths'] if not q['expired'])"
}

host gw 198.51.100.1/24
host b 198.51.100.2/24
host r 198.51.100.3/24
ip netns add a
ip link add dev eth0 netns a type veth peer name in netns gw
ip -n a link set lo up
ip -n a addr add 10.9.1.2/24 dev eth0
ip -n a link set eth0 up
ip -n gw addr add 10.9.1.1/24 dev in
ip -n gw link set in up
ip -n a route add default via 10.9.1.1
in_host gw sysctl -qw net.ipv4.ip_forward=1 || skip "no forwarding in a namespace"
in_host gw nft -f - <<'NFT' || skip "no NAT in a namespace"
table ip nat {
    chain prerouting { type nat hook prerouting priority -100; }
    chain postrouting { type nat hook postrouting priority 100; oifname "eth0" masquerade fully-random; }
}
table ip filter {
    chain input { type filter hook input priority 0; iifname "eth0" ct state new drop; }
}
NFT
in_host b nft -f - <<'NFT' || skip "no firewall in a namespace"
table ip filter {
    chain input { type filter hook input priority 0; ip saddr 198.51.100.1 ct state new drop; }
}
NFT
planet r 198.51.100.3/9993

try() { # try KIND
    echo "== $1"
    : >"$DIR/router.log"
    ip netns exec gw python3 "$HERE/router.py" "$1" 10.9.1.1 198.51.100.1 "$DIR/router.log" >"$DIR/router.err" 2>&1 &
    local router=$!
    wait_for 60 grep -q ready "$DIR/router.log" || fail "router: $(cat "$DIR/router.err")"
    for h in r a b; do node ours $h; done
    for h in a b; do wait_for 120 online $h || fail "$h is not online"; done # ThreadSanitizer makes identities slowly
    A=$(id_of a) B=$(id_of b)
    for h in a b; do zt $h join $NWID >/dev/null || fail "join"; done
    wait_for 30 address_of b $NWID : || fail "no address"
    B6=$(address_of b $NWID :)
    ping_b() { zt a ping -c 1 "$B6"; }
    wait_for 30 ping_b || fail "no ping through the root"
    zt a ping -c 8 -i 0.5 "$B6" >/dev/null
    [ -z "$(path b "$A")" ] || fail "a direct path without a mapping: $(path b "$A")"

    echo '{"settings": {"portMappingEnabled": true}}' >"$DIR/a/local.conf"
    zt a reload >/dev/null || fail "reload"
    mapped() { [ "$(zt a -j info | json 'd["mapped"]')" != None ]; }
    wait_for 60 mapped || fail "no mapping: $(cat "$DIR/router.log" "$DIR/router.err")"
    M=$(zt a -j info | json 'd["mapped"]') T=$(zt a -j info | json 'd["tertiaryPort"]')
    grep -q "$1 10.9.1.2:$T ${M#*/}" "$DIR/router.log" || fail "$M: $(cat "$DIR/router.log")"
    over_mapping() { ping_b; path b "$A" | grep -q "$M"; }
    wait_for 60 over_mapping || fail "b: no direct path at $M but: $(path b "$A")"
    echo "   mapped $M, direct"

    echo '{}' >"$DIR/a/local.conf"
    zt a reload >/dev/null || fail "reload"
    gone() { ! mapped && grep -qE "(pmp 10.9.1.2:$T 0 0|upnp delete ${M#*/})" "$DIR/router.log"; }
    wait_for 30 gone || fail "the mapping was not given back: $(cat "$DIR/router.log")"
    for h in r a b; do zt $h down >/dev/null; done
    kill $router
    wait $router 2>/dev/null
}
# A router that has fallen asleep holds up neither the node's loop nor its end.
stuck() {
    echo "== stuck"
    : >"$DIR/router.log"
    ip netns exec gw python3 "$HERE/router.py" stuck 10.9.1.1 198.51.100.1 "$DIR/router.log" >"$DIR/router.err" 2>&1 &
    local router=$! begin
    wait_for 60 grep -q ready "$DIR/router.log" || fail "router: $(cat "$DIR/router.err")"
    echo '{"settings": {"portMappingEnabled": true}}' >"$DIR/a/local.conf"
    node ours a
    wait_for 30 grep -q stuck "$DIR/router.log" || fail "the router was not asked"
    for settings in '{}' '{"settings": {"portMappingEnabled": true}}'; do
        echo "$settings" >"$DIR/a/local.conf"
        for _ in 1 2 3 4 5; do # what waits for the router does so each time
            begin=$EPOCHREALTIME
            zt a reload >/dev/null || fail "reload"
            took=$(python3 -c "print(int(($EPOCHREALTIME - $begin) * 1000))")
            [ "$took" -ge 1500 ] || break
        done
        [ "$took" -lt 1500 ] || fail "reload beside a stuck router took $took ms"
    done
    : >"$DIR/router.log"
    wait_for 30 grep -q stuck "$DIR/router.log" || fail "the router was not asked again"
    begin=$EPOCHREALTIME
    zt a down >/dev/null || fail "down"
    took=$(python3 -c "print(int(($EPOCHREALTIME - $begin) * 1000))")
    echo "   down after $took ms"
    [ "$took" -lt 10000 ] || fail "the end beside a stuck router took $took ms"
    rm "$DIR/a/local.conf"
    kill $router
    wait $router 2>/dev/null
}
try pmp
stuck
if [ -n "${ZT_TEST_ALL:-}" ]; then try upnp; else echo "   UPnP: only with ZT_TEST_ALL"; fi
echo PASS
