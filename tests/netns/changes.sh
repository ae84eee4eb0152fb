#!/usr/bin/env bash
# A private network that changes while it is in use: authorisation, MTU, routes (also through a
# member), DNS, addresses; nobody joins again. Each change must show in ztctl and as an event, and
# in what becomes of a connection that is open meanwhile.
#
#   r: root and controller     a: ours, ztd        c: ours, a program that prints
#      (reference)             10.9.0.2            its events; 10.9.0.4
#       10.9.0.1                  |                   |
#          |                      |                   |
#  --------+---------- switch ----+---------+---------+--
#                                           |
#                                 b: reference, 10.9.0.3, has 10.200.0.1 of its own
#
# changes.sh [CONTROLLER [PEER]]: `ours` or `reference` (the default) for r and for b. With the
# reference it needs ZT_REFERENCE=/path/to/zerotier-one and /dev/net/tun, and skips without; ours is no
# gateway, so with it as b the route leads nowhere. With ZT_TEST_ALL=1 it also waits until the refused
# member has noticed by itself (a minute).
. "$(dirname "$0")/lib.sh"
set -u
CONTROLLER=${1:-reference} PEER=${2:-reference}
[ "$CONTROLLER$PEER" = oursours ] || need_reference
HERE=$(cd "$(dirname "$0")" && pwd)
WATCH=${ZT_WATCH:-$BUILD/tests/netns/watch}

api() { node_api r "$@"; }
network() { api POST "/controller/network/$NWID" "$1" >/dev/null || fail "network: $1"; }
member() { api POST "/controller/network/$NWID/member/$1" "$2" >/dev/null || fail "member: $2"; }
get() { zt a get "$NWID" "$1"; }
is() { [ "$(get "$1")" = "$2" ]; }
has() { get "$1" | grep -q -- "$2"; }
event() { grep -q -- "$1" "$DIR/c.log"; }
never_event() { ! event "$1"; }

# Connections: talk NAME ADDRESS PORT, then moves NAME, ended NAME
talk() {
    in_host a "$ZTCTL" exec -H "$DIR/a" "$HERE/steady.py" talk "$2" "$3" "$DIR/$1" >>"$DIR/$1.log" 2>&1 &
    wait_for 60 test -s "$DIR/$1" || fail "$1: no connection to $2 port $3"
}
count() { cut -d' ' -f1 "$DIR/$1"; }
ended() { grep -q ended "$DIR/$1"; }
beyond() { [ "$(count "$1")" -gt "$2" ]; }
moves() {
    ended "$1" && fail "$1: $(cat "$DIR/$1") ($2)"
    wait_for 30 beyond "$1" $(($(count "$1") + 5)) || fail "$1: $(cat "$DIR/$1"): stands still ($2)"
}

host r 10.9.0.1/24
host a 10.9.0.2/24
host b 10.9.0.3/24
host c 10.9.0.4/24
mkdir -p "$DIR/c"
planet r 10.9.0.1/9993
cp "$DIR/planet" "$DIR/c/planet"
"$ZTCTL" identity new -o "$DIR/c" >/dev/null || fail "identity"
node "$CONTROLLER" r
node "$PEER" b
node ours a
for h in r a b; do
    wait_for 60 test -s "$DIR/$h/identity.public" || fail "start of $h"
done
wait_for 60 test -s "$DIR/r/authtoken.secret" || fail "start of the controller"
R=$(id_of r) A=$(id_of a) B=$(id_of b) C=$(id_of c)
NWID=${R}00ab02
LAN='{"target":"10.144.0.0/24"}'
wait_for 30 api GET /status || fail "the controller does not answer"
network "{\"name\":\"lab\",\"private\":true,\"mtu\":2800,\"v4AssignMode\":{\"zt\":true},
    \"ipAssignmentPools\":[{\"ipRangeStart\":\"10.144.0.10\",\"ipRangeEnd\":\"10.144.0.49\"}],
    \"routes\":[$LAN]}"

# ---- denied, then authorised
in_host c "$WATCH" "$DIR/c" 9993 "$NWID" >"$DIR/c.log" 2>&1 < <(sleep 1000) &
for h in a b; do
    wait_for 60 node_online $h || fail "$h is not online"
    node_join $h "$NWID" || fail "join ($h)"
done
wait_for 30 is status ACCESS_DENIED || fail "not denied: $(get status)"
wait_for 30 event NETWORK_ACCESS_DENIED || fail "no event: denied"
for m in $A $B $C; do member "$m" '{"authorized":true}'; done
wait_for 30 is status OK || fail "not joined: $(get status)"
wait_for 30 event NETWORK_READY_IP4 || fail "no event: address"
event "NETWORK_OK" && event "NETIF_UP" || fail "no event: up"
wait_for 30 node_address a "$NWID" 10.144. || fail "no address"
wait_for 60 node_address b "$NWID" 10.144. || fail "no address ($PEER)"
A4=$(node_address a "$NWID" 10.144.) B4=$(node_address b "$NWID" 10.144.)
[ "$PEER" = ours ] || wait_for 30 sh -c "ip -n b addr | grep -q '$B4/'" || fail "no address in the kernel"
node_run b "$HERE/steady.py" serve "$B4" 7000 >"$DIR/serve.log" 2>&1 &
wait_for 60 grep -q serving "$DIR/serve.log" || fail "no server on b"
# A node of the reference announces a new address within five seconds, and is not found before.
reached() { [ "$(node_ping a "$B4" 1)" = 1 ]; }
wait_for 60 reached || fail "no answer from $B4"
talk steady "$B4" 7000
moves steady "at the start"
echo "   denied, authorised, $A4 talks to $B4"

# ---- MTU: the open connection goes on; new ones use the new size
for mtu in 1280 1500 10000 2800; do
    network "{\"mtu\":$mtu}"
    wait_for 30 is mtu $mtu || fail "mtu $mtu: $(get mtu)"
    wait_for 30 event "mtu $mtu" || fail "no event: mtu $mtu"
    [ "$PEER" = ours ] || wait_for 30 sh -c "ip -n b link | grep -q 'zt.* mtu $mtu '" ||
        fail "mtu $mtu (reference)"
    moves steady "mtu $mtu"
    talk "steady-$mtu" "$B4" 7000
    moves "steady-$mtu" "new at mtu $mtu"
done
for mtu in 1280 1500 10000; do moves "steady-$mtu" "at the end of the changes"; done
echo "   MTU 1280, 1500, 10000, 2800: open and new connections go on"

# ---- a route through a member
routed() { # what goes through the gateway, if b is one
    [ "$PEER" = ours ] || "$@"
}
if [ "$PEER" = reference ]; then
    ip -n b link add outer type bridge && ip -n b addr add 10.200.0.1/24 dev outer &&
        ip -n b link set outer up || fail "an address behind b"
    in_host b "$HERE/steady.py" serve 10.200.0.1 7001 >"$DIR/serve-behind.log" 2>&1 &
    wait_for 60 grep -q serving "$DIR/serve-behind.log" || fail "no server behind b"
fi
network "{\"routes\":[$LAN,{\"target\":\"10.200.0.0/24\",\"via\":\"$B4\"}]}"
wait_for 30 has usedRoutes "10.200.0.0/24.*$B4" || fail "route: $(get usedRoutes)"
wait_for 30 event "ROUTE_ADDED 10.200.0.0" || fail "no event: route"
routed talk routed 10.200.0.1 7001
routed moves routed "through a member"
moves steady "a route more"
zt a set "$NWID" allowManaged=10.144.0.0/16 >/dev/null || fail "set"
has usedRoutes 10.200 && fail "a route that is not allowed: $(get usedRoutes)"
has routes 10.200 || fail "what is configured is not shown: $(get routes)"
zt a set "$NWID" allowManaged=1 >/dev/null || fail "set"
has usedRoutes 10.200 || fail "an allowed route is missing: $(get usedRoutes)"
routed moves routed "allowed again"
network "{\"routes\":[$LAN]}"
wait_for 30 event "ROUTE_REMOVED 10.200.0.0" || fail "no event: route removed"
has usedRoutes 10.200 && fail "route still there"
moves steady "a route less"
in_host a "$ZTCTL" exec -H "$DIR/a" timeout 3 "$HERE/steady.py" talk 10.200.0.1 7001 "$DIR/gone"
[ -s "$DIR/gone" ] && ! ended gone && fail "reached what no route leads to"
echo "   a route through a member came, was refused, allowed, and went"

# ---- DNS
network '{"dns":{"domain":"lab.test","servers":["10.144.0.1","10.144.0.2"]}}'
wait_for 30 has dns '"lab.test".*10.144.0.1.*10.144.0.2' || fail "dns: $(get dns)"
network '{"dns":{"domain":"other.test","servers":["10.144.0.3"]}}'
wait_for 30 has dns '"other.test".*10.144.0.3' || fail "dns: $(get dns)"
moves steady "DNS"
echo "   DNS settings follow"

# ---- another address: connections of the old one are reset, the others not
member "$A" "{\"ipAssignments\":[\"$A4\",\"10.144.0.77\"]}"
wait_for 30 has usedAddresses 10.144.0.77 || fail "second address: $(get usedAddresses)"
moves steady "an address more"
member "$A" '{"ipAssignments":["10.144.0.77"]}'
wait_for 30 sh -c "! '$ZTCTL' -H '$DIR/a' get $NWID usedAddresses | grep -q '$A4/'" ||
    fail "old address: $(get usedAddresses)"
wait_for 30 ended steady || fail "a connection of a removed address goes on: $(cat "$DIR/steady")"
talk steady2 "$B4" 7000
moves steady2 "from the new address"
C4=$(sed -n 's/ADDR_ADDED_IP4 //p' "$DIR/c.log" | head -1)
member "$C" '{"ipAssignments":["10.144.0.78"]}'
wait_for 30 event "ADDR_ADDED_IP4 10.144.0.78" || fail "no event: new address"
wait_for 30 event "ADDR_REMOVED_IP4 $C4" || fail "no event: address removed"
echo "   the address changed: $(cat "$DIR/steady")"

# ---- deauthorised in mid-transfer, and authorised again
member "$A" '{"authorized":false}'
still() {
    local before
    before=$(count steady2)
    sleep 2
    [ "$(count steady2)" = "$before" ]
}
wait_for 70 still || fail "traffic goes on after authorisation was taken away"
ended steady2 && fail "steady2: $(cat "$DIR/steady2")"
if [ -n "${ZT_TEST_ALL:-}" ]; then
    wait_for 90 is status ACCESS_DENIED || fail "not denied: $(get status)"
    member "$C" '{"authorized":false}'
    wait_for 90 sh -c "tail -n 1 '$DIR/c.log' | grep -q ACCESS_DENIED" || fail "no event: denied again"
fi
echo "   deauthorised: traffic stopped"
member "$A" '{"authorized":true}'
wait_for 70 is status OK || fail "not authorised again: $(get status)"
wait_for 70 beyond steady2 $(($(count steady2) + 5)) ||
    fail "steady2: $(cat "$DIR/steady2"): stands still after it was authorised again"
never_event NETWORK_DOWN || fail "a network went down"
echo "   authorised again: the same connection goes on"
for j in $(jobs -p); do
    pkill -P "$j"
    kill "$j" 2>/dev/null
done
sleep 0.3
echo PASS
