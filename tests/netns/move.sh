#!/usr/bin/env bash
# A node that moves in mid-transfer: another address, an interface that goes away and comes back, a
# second uplink, a preferred path that dies; and underlays of IPv6 alone and of both families.
#
#     r            p               m (moves)
#     |            |             eth0  eth1
#     |            |               |    |
#   --+------------+--- net -------+----+---
#
# A transfer both ways runs over each change; its sums must be right. Without the root the nodes could
# still talk, so how they find each other again is what is seen: the path must be the expected one.
# With ZT_TEST_ALL and ZT_REFERENCE then one of the nodes is the reference's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nets.sh"
set -u

is_at() { case $(path "$1" "$2") in "$3/"*) ;; *) return 1 ;; esac; }
change() { echo "== $*"; transfer_start m p; }
settle() { # settle ENDPOINT-OF-M: p reaches m there, and the transfer goes on and ends well
    timed "direct by $1" 90 is_at p m "$1"
    flowing
    transfer_end
}
start() { # start FAMILIES: the world drawn above, m and p in touch
    FAMILIES=$1
    internet
    for n in r p m; do wire $n; done
    wire m eth1 200
    # Each uplink is used with its own address, as on every machine with two.
    local n=${WIRE[m.eth1]}
    case $1 in *4*)
        ip -n m rule add from 20.0.$n.0/24 table 7
        ip -n m route add default via 20.0.$n.1 table 7 ;;
    esac
    case $1 in *6*)
        ip -n m -6 rule add from 2a00:0:0:$n::/64 table 7
        ip -n m -6 route add default via 2a00:0:0:$n::1 table 7 ;;
    esac
    [ -z "${2:-}" ] || ip -n m link set eth1 down
    n=${WIRE[r.eth0]}
    set --
    case $FAMILIES in *4*) set -- 20.0.$n.2/9993 ;; esac
    case $FAMILIES in *6*) set -- "$@" "2a00:0:0:$n::2/9993" ;; esac
    planet r "$@"
    local h
    for h in r p m; do if [ "$h" = "${REF:-}" ]; then node -r $h; else node $h; fi; done
    joined p m
    serve_streams p
    wait_for 60 ping_all m p 1 || fail 'no answer'
    wait_for 60 direct m p || fail 'no direct path'
}
over() {
    end r p m
    for n in r p m net; do ip netns del $n; done
    rm -rf "${DIR:?}"/[rpm] "$DIR"/planet*
    OUTSIDE=() WIRE=() NETS=0
}

start 4 one-uplink
zero=20.0.${WIRE[m.eth0]} one=20.0.${WIRE[m.eth1]} there=${OUTSIDE[p]}

change "another address on the same link"
ip -n m addr flush dev eth0
plug m eth0 77
settle $zero.77

change "the interface goes down and comes back"
ip -n m link set eth0 down
sleep 2
plug m eth0 77 2>/dev/null
ip -n m route replace default via $zero.1 metric 100
settle $zero.77

change "a second uplink comes, the first one goes"
ip -n m link set eth1 up
ip -n m route replace default via $one.1 metric 200
ip -n m route replace default via $one.1 table 7
flowing
ip -n m link set eth0 down
settle $one.2

echo "== back to two uplinks"
ip -n m link set eth0 up
ip -n m addr replace $zero.77/24 dev eth0
ip -n m route replace default via $zero.1 metric 100
both() { ctl p -j peers | grep -q "\"$zero.77/" && ctl p -j peers | grep -q "\"$one.2/"; }
timed 'reached over both' 90 both

change "the preferred path is cut, the other one takes over"
case $(path p m) in $zero.77/*) now=$zero.77 then=$one.2 ;; *) now=$one.2 then=$zero.77 ;; esac
part $now "$there"
settle $then
mend $now "$there"
over

echo "== IPv6 alone"
start 6 one-uplink
is_at p m "2a00:0:0:${WIRE[m.eth0]}::2" || fail "not by IPv6: $(path p m)"
change "another IPv6 address"
ip -n m -6 addr flush dev eth0 scope global
plug m eth0 77
settle "2a00:0:0:${WIRE[m.eth0]}::77"
over

echo "== both families"
start 46 one-uplink
n=${WIRE[m.eth0]} k=${WIRE[p.eth0]}
families() { ctl p -j peers | grep -q "\"20.0.$n.2/" && ctl p -j peers | grep -q "\"2a00:0:0:$n::2/"; }
timed 'reached by both' 90 families
change "the family in use is cut, the other one takes over"
case $(path p m) in
20.*) part 20.0.$n.2 20.0.$k.2 && then=2a00:0:0:$n::2 ;;
*) part 2a00:0:0:$n::2 2a00:0:0:$k::2 && then=20.0.$n.2 ;;
esac
settle "$then"

[ -n "${ZT_TEST_ALL:-}" ] || { echo PASS; exit 0; }
[ -x "${ZT_REFERENCE:-}" ] || { echo "PASS (no reference: ZT_REFERENCE)"; exit 0; }
[ -c /dev/net/tun ] || { echo "PASS (no reference: no /dev/net/tun)"; exit 0; }
over
echo "== beside a node of the reference"
REF=p start 4 one-uplink
zero=20.0.${WIRE[m.eth0]}
change "another address, seen by a node of the reference"
ip -n m addr flush dev eth0
plug m eth0 77
settle $zero.77
over
# It looks at its addresses each half minute; TCP would have given up some of the time.
REF=m start 4 one-uplink
zero=20.0.${WIRE[m.eth0]}
echo "== a node of the reference moves"
ip -n m addr flush dev eth0
plug m eth0 77
timed 'reached again' 150 ping_all m p 1
timed "direct by $zero.77" 150 is_at p m $zero.77
stream m p --bytes 4000000 || fail 'no transfer after the move'
echo PASS
