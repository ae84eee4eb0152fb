#!/bin/bash
# A controller takes a member's address away, gives it another one, and then the first again, while a program
# has listeners, connections and datagram sockets on it.
#
#   address.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need python3
python=$(python3 -c 'import sys; print(sys.executable)')

has() { grep -q "$1" "$2"; }
holds() { [ "$(address_in "$1" "$nwid" 4)" = "$2" ]; }
give() { # MEMBER ADDRESS
    ztctl -H "$work/root" controller set "$nwid" "$(node_id "$1")" "ip=$2" > give.log 2>&1 || fail "$(cat give.log)"
    wait_for 30 holds "$1" "$2" || fail "$1 does not have $2"
}
equals() {
    [ "$2" = "$1" ] || { diff <(echo "$1") <(echo "$2"); return 1; }
}

lab_begin
start_root a b
nwid=$(ztctl -H "$work/root" controller new name=x private=false ipv4=10.47.0.0/24 | tail -n 1) || fail 'no network'
for home in a b; do
    start_node $home "$(free_ports 1)" || fail "$home: $(cat "$work/$home.up.log")"
    ztctl -H "$work/$home" join "$nwid" > join.log 2>&1 || fail "$(cat join.log)"
    wait_for 30 address_in $home "$nwid" 4 || fail "$home has no address: $waited"
done
give a 10.47.0.201
give b 10.47.0.202

(
    export ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec "$python" "$here/address.py" far 7500
) > far.out 2>&1 < /dev/null &
started+=($!)
wait_for 30 has ready far.out || fail "$(cat far.out)"
mkfifo hold
in_home a timeout 500 "$python" "$here/address.py" near 10.47.0.201 10.47.0.202 7500 < hold >> near.out 2>&1 &
program=$!
started+=($program)
exec 9> hold
wait_for 60 has ready near.out || fail "$(cat near.out)"
give a 10.47.0.203
echo 10.47.0.203 >&9
wait_for 100 has done near.out || fail "$(cat near.out)"
check 'the address taken away' equals "ready
connections: ECONNRESET ECONNRESET ECONNRESET
and again: b'' b'' b''
send: EPIPE
listener: TimeoutError []
its name: True True
datagrams: ok ENETUNREACH
bind: EADDRNOTAVAIL EADDRNOTAVAIL
connect: EHOSTUNREACH
the new address: ok ok ECONNREFUSED ok
done" "$(cat near.out)"
give a 10.47.0.201
: > near.out
echo >&9
wait $program
check 'and given back: listener and datagram socket work as before' equals "back: ok ok b'back'
quick" "$(cat near.out)"
verdict
