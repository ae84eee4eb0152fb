#!/usr/bin/env bash
# The path under the nodes gets narrower and wider in mid-transfer: packets must be cut smaller from one
# moment to the next, at the sender or by a router, over IPv4 and over IPv6. Nothing may stall.
#
#     r            a               b
#     |            |  1500, 1400   |  1500, 1300, 9000
#   --+------------+----- net -----+---
#
# Our datagrams have up to 1432 bytes and may be cut on their way (they go without "don't fragment"). A
# transfer both ways runs over all changes; its sums must be right, and its longest pause short.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nets.sh"
set -u
PAUSE=10 # seconds: IPv6 loses what is on its way until the router has told, and what is lost then comes again

start() { # start FAMILIES: the world drawn above, a and b in touch
    FAMILIES=$1
    internet
    for n in r a b; do wire $n; done
    local n=${WIRE[r.eth0]}
    case $1 in
    4) planet r "20.0.$n.2/9993" ;;
    6) planet r "2a00:0:0:$n::2/9993" ;;
    esac
    node r a b
    joined a b
    serve_streams b
    SERVING=$!
    wait_for 60 ping_all a b 1 || fail 'no answer'
    wait_for 60 direct a b || fail 'no direct path'
}
over() {
    kill "$SERVING" && wait "$SERVING" 2>/dev/null
    end r a b
    for n in r a b net; do ip netns del $n; done
    rm -rf "${DIR:?}"/[rab] "$DIR"/planet*
    OUTSIDE=() WIRE=() NETS=0
}
mtu() { ip -n "$1" link set "$2" mtu "$3" || fail "mtu $3 for $1 $2"; }
changes() { # changes WHAT COMMAND...
    echo "   $1"
    shift
    "$@"
    flowing
}
route() { # a's route has an MTU of its own, which what a router says cannot change
    case $FAMILIES in
    4) ip -n a route replace default via "20.0.${WIRE[a.eth0]}.1" metric 100 mtu lock 1280 ;;
    6) ip -n a -6 route replace default via "2a00:0:0:${WIRE[a.eth0]}::1" metric 100 mtu lock 1280 ;;
    esac || fail 'no route with an MTU'
}

for family in 4 6; do
    start $family
    echo "== IPv$family"
    transfer_start a b
    wb=w${WIRE[b.eth0]} wa=w${WIRE[a.eth0]}
    changes "1300 at b's router, where packets are too large for it" mtu net "$wb" 1300
    changes "1300 at b" mtu b eth0 1300
    changes "1400 at a, less than a datagram has" mtu a eth0 1400
    changes "1280 on a's route" route
    changes "1500 at a's router" mtu net "$wa" 1500
    changes "1500 at a" mtu a eth0 1500
    changes "9000 at b's router" mtu net "$wb" 9000
    changes "9000 at b" mtu b eth0 9000
    transfer_end
    pause=$(sed -n 's/.*longest pause \([0-9.]*\) s.*/\1/p' "$DIR/stream.log" | tail -n 1)
    [ -n "$pause" ] || fail "no pause in: $(tail -n 1 "$DIR/stream.log")"
    [ "${pause%%.*}" -lt $PAUSE ] || fail "a pause of $pause s"
    over
done
