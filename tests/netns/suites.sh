#!/usr/bin/env bash
# Which cipher suite protects what: decided by what two nodes announce and accept, and shown by opening
# what crossed the switch.
#
#   root .1     s .2, s2 .3         e .4, e2 .5         m .6, m2 .7       p .8 (the reference's,
#  (any suite)  settings            settings            any suite         when ZT_REFERENCE names
#               cipherSuites salsa  cipherSuites aes                      one)
#      |           |                   |                   |                 |
#  ----+-----------+-------------------+-------------------+-----------------+---- switch, recorded
#
# Every pair below sends checked bytes and datagrams both ways; then the recording is opened with the
# nodes' secrets: all the bytes are there in the suite of that pair, and no MAC in the whole recording
# is wrong. Suite 1 is also what goes to a node whose version isn't known yet: that many packets at the
# most are let pass as early ones, from nodes that would use either. One that takes suite 1 only and one that takes
# suite 3 only have none in common: nothing passes, and both count what they refuse.
. "$(dirname "$0")/lib.sh"
set -u
command -v tcpdump >/dev/null || skip 'no tcpdump'
ztpcap=${ZT_PCAP:-$BUILD/tests/netns/ztpcap}
[ -x "$ztpcap" ] || skip "ztpcap is not built"
here=$(dirname "$0")
nwid=ff0000ffff000000
bytes=$((2 << 20)) datagrams=300
leaves=(s s2 e e2 m m2)
pairs=('s s2 1' 'e e2 3' 'm m2 3' 's m 1' 'e m 3')
if [ -n "${ZT_REFERENCE:-}" ]; then
    need_reference
    leaves+=(p)
    pairs+=('s p 1' 'e p 3' 'm p 3')
else
    echo 'skipped pairs with the reference: ZT_REFERENCE does not name a zerotier-one binary'
fi

n=1
for h in r "${leaves[@]}"; do
    host "$h" 10.9.0.$n/24
    # One datagram a frame in the recording: the kernel would hand over several as one otherwise.
    ip -n "$h" link set dev eth0 gso_max_segs 1
    n=$((n + 1))
done
planet r 10.9.0.1/9993
for h in s s2 e e2; do
    mkdir -p "$DIR/$h"
    case $h in s*) only=salsa ;; e*) only=aes ;; esac
    echo "{\"settings\": {\"cipherSuites\": \"$only\"}}" >"$DIR/$h/local.conf"
done
tcpdump -i sw -s 0 -B 131072 -U -w "$DIR/sw.pcap" udp 2>"$DIR/tcpdump.txt" &
tcpdump=$!
wait_for 60 grep -q 'listening on' "$DIR/tcpdump.txt" || fail "tcpdump: $(cat "$DIR/tcpdump.txt")"
node ours r
for h in "${leaves[@]}"; do if [ "$h" = p ]; then node reference p; else node ours "$h"; fi; done
declare -A address
for h in "${leaves[@]}"; do
    wait_for 60 node_online "$h" || fail "$h is not online"
    node_join "$h" $nwid || fail "$h cannot join"
done
for h in "${leaves[@]}"; do
    wait_for 30 node_address "$h" $nwid fc >/dev/null || fail "$h has no address"
    address[$h]=$(node_address "$h" $nwid fc)
    [ "$h" != p ] || wait_for 30 settled p || fail "an address of $h stays tentative"
    node_run "$h" "$PYTHON" "$here/traffic.py" serve "${address[$h]}" 7000 >"$DIR/$h.serve" \
        2>"$DIR/$h.serve.log" &
    wait_for 60 grep -q ready "$DIR/$h.serve" || fail "$h: no server"
done

met() { [ "$(node_ping "$1" "${address[$2]}" 1)" = 1 ]; }
for pair in "${pairs[@]}"; do
    read -r a b suite <<<"$pair"
    for way in "$a $b" "$b $a"; do
        read -r from to <<<"$way"
        wait_for 30 met "$from" "$to" || fail "$from does not reach $to"
        node_run "$from" "$PYTHON" "$here/traffic.py" tcp "${address[$to]}" 7000 $bytes >/dev/null ||
            fail "$from to $to: bytes"
        node_run "$from" "$PYTHON" "$here/traffic.py" udp "${address[$to]}" 7000 $datagrams \
            >/dev/null || fail "$from to $to: datagrams"
    done
done
[ "$(node_ping s "${address[e]}" 5)" = 0 ] || fail 'one that takes suite 1 only met one of suite 3 only'
refused() { zt "$1" -j info | pick "d['drops'].get('CIPHER', 0) > 0"; }
for h in s e; do refused $h >/dev/null || fail "$h counts no refused suite"; done

kill -INT $tcpdump
wait $tcpdump
grep -q '^0 packets dropped by kernel' "$DIR/tcpdump.txt" || fail "$(cat "$DIR/tcpdump.txt")"
keys=()
for h in r "${leaves[@]}"; do keys+=(-i "$DIR/$h/identity.secret"); done
"$ztpcap" -s "${keys[@]}" "$DIR/sw.pcap" >"$DIR/opened" || fail 'a packet in the recording is forged'
if awk '$4 == "-"' "$DIR/opened" | grep .; then fail 'packets of strangers'; fi

early_most=8
frames() { # frames FROM TO SUITE: packets and bytes of frames in that suite, then packets in others
    awk -v s="$(id_of "$1")" -v d="$(id_of "$2")" -v suite="$3" '
        $1 == s && $2 == d && $4 ~ /^(EXT_)?FRAME$/ {
            if ($3 == suite) { p += $5; b += $6 } else { early += $5 } }
        END { print p + 0, b + 0, early + 0 }' "$DIR/opened"
}
printf '%-5s %-5s %5s %8s %10s %6s\n' from to suite packets bytes early
for pair in "${pairs[@]}"; do
    read -r a b suite <<<"$pair"
    for way in "$a $b" "$b $a"; do
        read -r from to <<<"$way"
        read -r packets total early < <(frames "$from" "$to" "$suite")
        printf '%-5s %-5s %5s %8s %10s %6s\n' "$from" "$to" "$suite" "$packets" "$total" "$early"
        [ "$total" -ge $bytes ] || fail "$from to $to: $total bytes in suite $suite, $bytes sent"
        most=0
        case $from$suite in m3 | m23 | p3) most=$early_most ;; esac
        [ "$early" -le $most ] || fail "$from to $to: $early packets in another suite than $suite"
    done
done
awk '$4 == "HELLO" && $3 != 0 { exit 1 }' "$DIR/opened" || fail 'a HELLO is not in suite 0'
echo PASS
