#!/usr/bin/env bash
# Nodes behind NATs of every kind, in all pairs; a direct path that is cut and comes back; NATs that
# forget in mid-transfer what they knew.
#
#      root r           pub1 pub2        NAT       NAT           NAT      NAT
#        |                |   |           |         |      ...    |        |
#      --+--------------- net (Internet) -+---------+-------------+--------+--
#                                         |         |             |        |
#                                       full1     full2         sym1     sym2
#
# What must come about (D direct, R relayed by the root):
#
#               pub   full  addr  port  sym
#        pub    D     D     D     D     D     a public host can be called by anybody
#        full         D     D     D     D     the root tells each where the other is seen; who is behind
#                                             a full cone can be called there by anybody
#        addr               D     D     D     both call at once, so both NATs are open for answers; a
#                                             symmetric NAT calls from a port that nobody foresaw, but
#                                             its address was called and so may come in
#        port                     D     R     here it may not: its port was not called
#        sym                            R     neither knows the other's port
#
# Relayed pairs could only meet by guessing ports (thousands of them): hundreds of datagrams to strangers'
# addresses, which networks take for an attack. The reference doesn't either. By chance it happens: each
# node announces all outside ports that it was seen at and tries all that it is told, so now and then one
# that a symmetric NAT draws is one that the other side called. Such a path is as good as any; that it
# was chance shows when the NAT forgets it: then the pair is relayed again.
#
# ZT_TEST_ALL: more bytes, and with ZT_REFERENCE a node of the reference in place of the first leaf of
# each kind.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nets.sh"
set -u
BYTES=131072
[ -z "${ZT_TEST_ALL:-}" ] || BYTES=16777216
KINDS='pub full addr port sym'

internet
wire r
wire probe
for k in $KINDS; do
    for i in 1 2; do
        if [ $k = pub ]; then wire pub$i; else nat $k n$k$i $k$i; fi
    done
done

# The NATs are what they are called: an inside endpoint meets two outside ports of one address.
python3 - "$(for k in full addr port sym; do echo "$k"; done | tr '\n' ' ')" \
    "${OUTSIDE[r]}" "${OUTSIDE[probe]}" <<'PY' || fail 'the NATs are not what they should be'
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def bound(ns):
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open("/run/netns/" + ns, os.O_RDONLY)
    assert libc.setns(there, 0) == 0
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 0))
    assert libc.setns(home, 0) == 0
    return s

def heard(s, comes=True):
    s.settimeout(20 if comes else 0.2)
    try:
        return s.recvfrom(9)[1]
    except TimeoutError:
        return None

root, probe, other = bound("r"), bound("probe"), bound("probe")
at = {s: (ip, s.getsockname()[1]) for s, ip in ((root, sys.argv[2]), (probe, sys.argv[3]), (other, sys.argv[3]))}
want = {"full": (1, 1, 1), "addr": (1, 0, 1), "port": (1, 0, 0), "sym": (0, 0, 0)}
for kind in sys.argv[1].split():
    s = bound(kind + "1")
    s.sendto(b"1", at[root])
    first = heard(root)
    probe.sendto(b"2", first)
    stranger = heard(s, want[kind][1]) is not None
    s.sendto(b"3", at[probe])
    same_port = heard(probe) == first
    probe.sendto(b"4", first) if same_port else None
    assert not same_port or heard(s) == at[probe], "no answers get in"
    other.sendto(b"5", first)
    got = (same_port, stranger, heard(s, want[kind][2]) is not None)
    assert got == want[kind], (kind, got)
PY


expected() { # expected KIND KIND
    case "$1 $2" in
    'port sym' | 'sym port' | 'sym sym') echo relayed ;;
    *) echo direct ;;
    esac
}

# forget NAT: it is as if it had been restarted. Nothing passes meanwhile: else an outgoing packet would
# enter its old port again.
forget() {
    local all='{ type filter hook prerouting priority raw; policy drop; }'
    in_ns "$1" nft "add table ip hold; add chain ip hold inbound $all" &&
        in_ns "$1" nft 'flush map ip nat inside; flush set ip nat opened' &&
        in_ns "$1" "$TOP/tests/netns/forget.py" && in_ns "$1" nft delete table ip hold ||
        fail "$1 does not forget"
}

# One pair: first contact, the path that must come about, pings and a transfer each way.
pair() { # pair A KIND B KIND
    local a=$1 b=$3 want began nat
    want=$(expected "$2" "$4")
    began=$(date +%s%N)
    wait_for 60 ping_all "$a" "$b" 1 || { echo "no answer at all"; return 1; }
    if [ "$want" = direct ]; then
        wait_for 60 direct "$a" "$b" >/dev/null || { echo "no direct path"; return 1; }
        want="direct after $((($(date +%s%N) - began) / 1000000)) ms"
    fi
    ping_all "$a" "$b" 5 || { echo "pings lost"; return 1; }
    ping_all "$b" "$a" 5 || { echo "pings back lost"; return 1; }
    stream "$a" "$b" --bytes $BYTES || { echo "transfer failed"; return 1; }
    # Relayed pairs have been introduced several times by now.
    if [ "$want" = relayed ] && ! relayed "$a" "$b" >/dev/null; then
        echo "direct by chance? $(path "$a" "$b") $(path "$b" "$a")"
        for nat in "$a $2" "$b $4"; do [ "${nat#* }" != sym ] || forget "n${nat% *}"; done
        # The reference shows a path until it was silent for four minutes.
        wait_for 270 relayed "$a" "$b" || { echo "direct, not by chance"; return 1; }
        want="relayed, after a direct path by chance"
    fi
    case $want in
    direct*) direct "$a" "$b" >/dev/null ;;
    *) relayed "$a" "$b" >/dev/null ;;
    esac || { echo "not ${want%% *} any more: $(path "$a" "$b") $(path "$b" "$a")"; return 1; }
    echo "$want"
}

# pairs JOBS: those of the standard input (A KIND B KIND a line), several at a time
pairs() {
    local a ka b kb pids=() n=0
    while read -r a ka b kb; do
        (pair "$a" "$ka" "$b" "$kb" >"$DIR/pair.$a.$b" 2>&1) &
        pids+=("$a $b $!")
        n=$((n + 1))
        [ $((n % $1)) != 0 ] || wait "$!"
    done
    local p bad=
    for p in "${pids[@]}"; do
        wait "${p##* }" || bad=1
        read -r a b _ <<<"$p"
        printf '   %-6s %-6s %s\n' "$a" "$b" "$(tail -n 1 "$DIR/pair.$a.$b")"
        [ -z "${V:-}" ] || cat "$DIR/pair.$a.$b"
    done
    [ -z "$bad" ] || fail 'not as expected (above)'
}

# Every kind with every kind, first leaves of the one with second leaves of the other.
all_pairs() {
    local x y seen
    for x in $KINDS; do
        seen=$1
        for y in $KINDS; do
            [ "$x" != "$y" ] || seen=1
            [ -z "$seen" ] || echo "${x}1 $x ${y}2 $y"
        done
    done
}

planet r "${OUTSIDE[r]}/9993"
node r
# shellcheck disable=SC2046
set -- $(for k in $KINDS; do echo ${k}1 ${k}2; done)
node "$@"
joined "$@"
for k in $KINDS; do serve_streams ${k}2; done
echo "== all pairs"
pairs 8 < <(all_pairs '')

echo "== the direct path of full1 and port2 is cut in mid-transfer, and comes back"
transfer_start full1 port2
part "${OUTSIDE[full1]}" "${OUTSIDE[port2]}"
timed relayed 60 relayed full1 port2
flowing
mend "${OUTSIDE[full1]}" "${OUTSIDE[port2]}"
timed direct 90 direct full1 port2
flowing
transfer_end

# rebind A B NAT...: these NATs forget everything while A and B talk directly. B must come to see A
# somewhere else, and the transfer goes on.
seen_elsewhere() { # seen_elsewhere A B ENDPOINT
    local now
    now=$(path "$2" "$1") && [ "$now" != "$3" ] && path "$1" "$2" >/dev/null
}
rebind() {
    local a=$1 b=$2 nat was
    shift 2
    transfer_start "$a" "$b"
    wait_for 60 direct "$a" "$b" || fail "$a and $b have no direct path"
    was=$(path "$b" "$a")
    for nat; do forget "$nat"; done
    timed "$a is seen elsewhere by $b" 60 seen_elsewhere "$a" "$b" "$was"
    flowing
    transfer_end
}
echo "== NATs forget their mappings in mid-transfer"
rebind port1 full2 nport1

[ -n "${ZT_TEST_ALL:-}" ] || { echo PASS; exit 0; }
rebind sym1 full2 nsym1
rebind addr1 port2 naddr1 nport2
rebind port1 port2 nport1 nport2
transfer_start sym1 port2 # relayed: each of them finds the root again
forget nsym1
forget nport2
flowing
transfer_end

echo "== relayed for a minute: mappings of 30 s are kept alive, no direct path appears"
transfer_start sym1 port2
sleep 60
flowing
transfer_end
relayed sym1 port2 || fail 'a direct path where none can be'
echo "== silent for 40 s: the mappings are still there"
sleep 40
direct full1 port2 >/dev/null || fail 'the direct path of full1 and port2 is gone'
ping_all full1 port2 3 || fail 'the NATs forgot full1 and port2'

[ -x "${ZT_REFERENCE:-}" ] || { echo "PASS (no reference: ZT_REFERENCE)"; exit 0; }
[ -c /dev/net/tun ] || { echo "PASS (no reference: no /dev/net/tun)"; exit 0; }
echo "== nodes of the reference in all first places"
set --
for k in $KINDS; do
    end ${k}1
    rm -r "${DIR:?}/${k}1"
    set -- "$@" ${k}1
done
node -r "$@"
joined "$@"
pairs 5 < <(all_pairs 1)
echo PASS
