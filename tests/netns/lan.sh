#!/usr/bin/env bash
# Two nodes behind one NAT that has no hairpin: to reach each other directly they must learn their
# inside addresses, and may not take somebody else's node with the same inside address for a neighbour.
#
#      root r
#        |
#      --+----------- net (Internet) -----+-----
#             |                           |
#      n1 (port-restricted)         n2 (port-restricted)
#             |   192.168.1.1             |   192.168.1.1
#        -----+-----                      |
#        |         |                      |
#     a .1.2     b .1.3               c 192.168.1.2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nets.sh"
set -u

internet
wire r
nat port n1 a b
nat port n2 c
planet r "${OUTSIDE[r]}/9993"
node r a b c
joined a b c
serve_streams b
serve_streams c

is_at() { case $(path "$1" "$2") in "$3/"*) ;; *) return 1 ;; esac; }
neighbours() { is_at a b 192.168.1.3 && is_at b a 192.168.1.2; }

wait_for 60 ping_all a b 1 || fail 'no answer'
timed 'directly by the inside addresses' 60 neighbours
ping_all a b 5 || fail 'pings lost'
ping_all b a 5 || fail 'pings back lost'

wait_for 60 ping_all b c 1 || fail 'no answer from the other side'
timed 'direct to the node behind the other NAT' 60 direct b c
for i in a b; do
    is_at $i c "${OUTSIDE[c]}" || wait_for 60 ping_all $i c 1 || fail "$i does not reach c"
    wait_for 60 is_at $i c "${OUTSIDE[c]}" || fail "$i does not see c where it is"
    is_at c $i "${OUTSIDE[a]}" || fail "c does not see $i where it is"
done
stream a c --bytes 131072 >/dev/null || fail 'transfer to the other side'

echo "   without the outside the neighbours go on"
transfer_start a b
ip -n n1 link set wan down
flowing
transfer_end
neighbours || fail 'neighbours need the outside'
echo PASS
