# shellcheck shell=bash disable=SC2034
# An Internet with NATs in it (sourced after lib.sh): the namespace "net" is its core and routes between
# machines that each hang on a wire of their own; leaves stand outside, or behind a NAT.
#
#      r 20.0.1.2      a 20.0.3.2         nb 20.0.4.2   (a NAT)
#         |               |                  |   192.168.1.1
#      ---+------- net ---+------------------+---+---
#                                                |
#                                         b 192.168.1.2
#
# Every inside has the same private addresses, as in real life. The addresses are global ones, because
# nodes treat those of other scopes differently; nothing here is connected to anything.
# shellcheck source-path=SCRIPTDIR source=lib.sh

for tool in nft python3 curl; do
    command -v $tool >/dev/null || skip "no $tool"
done
NWID=ff0000ffff000000
NETS=0      # wires of the core so far
declare -A OUTSIDE # name -> its address as the Internet sees it

# Without the mounts of "ip netns exec", which take longer than most commands.
in_ns() {
    local name=$1
    shift
    nsenter --net="/run/netns/$name" "$@"
}

# The core, with a switch that cuts pairs of outside addresses off each other (part, mend).
internet() {
    ip netns add net
    ip -n net link set lo up
    in_ns net sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    in_ns net nft -f - <<'NFT' || skip 'no nftables'
table inet cuts {
    set pairs4 { type ipv4_addr . ipv4_addr; }
    set pairs6 { type ipv6_addr . ipv6_addr; }
    chain forward {
        type filter hook forward priority 0;
        ip saddr . ip daddr @pairs4 drop
        ip6 saddr . ip6 daddr @pairs6 drop
    }
}
NFT
}
pairs_of() { case $1 in *:*) echo pairs6 ;; *) echo pairs4 ;; esac; }
part() { in_ns net nft add element inet cuts "$(pairs_of "$1")" "{ $1 . $2, $2 . $1 }"; }
mend() { in_ns net nft delete element inet cuts "$(pairs_of "$1")" "{ $1 . $2, $2 . $1 }"; }

# wire NAME [DEVICE [METRIC]]: a wire from that namespace to the core: 20.0.N.2 and, where $FAMILIES has 6,
# 2a00:0:0:N::2, with default routes over it. The core's end has 1 for 2.
FAMILIES=4
wire() {
    local name=$1 dev=${2:-eth0}
    NETS=$((NETS + 1))
    ip netns list | grep -qw "$name" || ip netns add "$name"
    ip -n net link add "w$NETS" type veth peer name "$dev" netns "$name"
    ip -n net addr add 20.0.$NETS.1/24 dev "w$NETS"
    ip -n net addr add 2a00:0:0:$NETS::1/64 dev "w$NETS" nodad
    ip -n net link set "w$NETS" up
    ip -n "$name" link set lo up
    WIRE[$name.$dev]=$NETS
    plug "$name" "$dev" 2 "${3:-100}"
    case $FAMILIES in *4*) OUTSIDE[$name]=20.0.$NETS.2 ;; *) OUTSIDE[$name]=2a00:0:0:$NETS::2 ;; esac
}
declare -A WIRE # name.device -> N

# plug NAME DEVICE [HOST [METRIC]]: addresses (20.0.N.HOST ...) and default routes
plug() {
    local n=${WIRE[$1.$2]} host=${3:-2} metric=${4:-100}
    ip -n "$1" link set "$2" up
    case $FAMILIES in *4*)
        ip -n "$1" addr add 20.0.$n.$host/24 dev "$2"
        ip -n "$1" route replace default via 20.0.$n.1 metric "$metric" ;;
    esac
    case $FAMILIES in *6*)
        ip -n "$1" addr add 2a00:0:0:$n::$host/64 dev "$2" nodad
        ip -n "$1" -6 route replace default via 2a00:0:0:$n::1 metric "$metric" ;;
    esac
}

# nat KIND NAME LEAF...: a NAT with leaves 192.168.1.2, .3, ... behind it. KIND:
#   full  full cone: one outside port for each inside endpoint, open to all
#   addr  address-restricted: the same, open to the addresses that were sent to
#   port  port-restricted: the same, open to the endpoints that were sent to
#   sym   symmetric: another outside port for each remote endpoint, open to that one
# Mappings last 30 s without traffic from inside. No hairpin: what comes from inside for the outside
# address is dropped. Nobody outside can open anything.
nat() {
    local kind=$1 name=$2 i=1 leaf out random=
    shift 2
    wire "$name" wan
    out=${OUTSIDE[$name]}
    in_ns "$name" sysctl -q net.ipv4.ip_forward=1
    ip -n "$name" link add lan type bridge
    ip -n "$name" addr add 192.168.1.1/24 dev lan
    ip -n "$name" link set lan up
    for leaf; do
        i=$((i + 1))
        ip netns list | grep -qw "$leaf" || ip netns add "$leaf"
        ip -n "$name" link add "l$i" type veth peer name eth0 netns "$leaf"
        ip -n "$name" link set "l$i" master lan up
        ip -n "$leaf" link set lo up
        ip -n "$leaf" link set eth0 up
        ip -n "$leaf" addr add 192.168.1.$i/24 dev eth0
        ip -n "$leaf" route add default via 192.168.1.1
        OUTSIDE[$leaf]=$out
    done
    [ "$kind" != sym ] || random=fully-random
    # Outside ports are none that a node may have inside (9993, 20000 and more): the kernel would keep those.
    # The kernel's own translation gives an inside endpoint the same outside port for all remote ones
    # (if it may choose by itself) and lets answers in. Cones are made of that by remembering in
    # "inside" who owns an outside port, and in "opened" whom it was used with. Nothing else gets past
    # "self": else an unasked datagram would leave a trace that makes the kernel change a port.
    in_ns "$name" nft -f - <<NFT || fail "nat $kind"
table ip nat {
    map inside { typeof udp dport : ip saddr . udp sport; flags dynamic,timeout; timeout 30s; }
    set opened { typeof udp dport . ip saddr; flags dynamic,timeout; timeout 30s; }
    chain out {
        type nat hook postrouting priority srcnat;
        oifname wan meta l4proto { udp, tcp } snat to $out:10000-19999 $random
    }
    chain note {
        type filter hook postrouting priority srcnat + 10;
        oifname wan meta l4proto udp ct direction original update @inside { udp sport : ct original ip saddr . ct original proto-src }
        oifname wan meta l4proto udp ct direction reply update @inside { udp sport : ct reply ip saddr . ct reply proto-src }
        oifname wan meta l4proto udp update @opened { udp sport . ip daddr }
    }
    chain in { type nat hook prerouting priority dstnat; }
    chain self {
        type filter hook input priority 0; policy drop;
        iifname lo accept
        iifname lan ip daddr != $out accept
    }
    chain through {
        type filter hook forward priority 0; policy drop;
        iifname lan accept
        ct state established,related accept
        ct status dnat accept
    }
}
NFT
    case $kind in
    full) in_ns "$name" nft add rule ip nat in iifname wan dnat to udp dport map @inside ;;
    addr) in_ns "$name" nft add rule ip nat in iifname wan udp dport . ip saddr @opened \
        dnat to udp dport map @inside ;;
    esac || fail "nat $kind"
    in_ns "$name" sysctl -q net.netfilter.nf_conntrack_udp_timeout=30 \
        net.netfilter.nf_conntrack_udp_timeout_stream=30 || fail "conntrack's times"
}
# -- nodes --

declare -A PID IS_REF VIRTUAL

# planet NAME ENDPOINT...: makes the root NAME, to be reached there, and the planet
planet() {
    mkdir -p "$DIR/$1"
    "$ZTCTL" identity new -o "$DIR/$1" >/dev/null || fail 'no identity for the root'
    "$ZTCTL" planet new --root "$DIR/$1/identity.public" "${@:2}" -o "$DIR/planet" >/dev/null ||
        fail 'no planet'
}
# node [-r] NAME...: start a node there with the planet, on port 9993 (-r: of the reference)
node() {
    local name ref=
    if [ "$1" = -r ]; then ref=1; shift; fi
    for name; do
        mkdir -p "$DIR/$name"
        cp "$DIR/planet" "$DIR/$name/planet"
        IS_REF[$name]=$ref
        if [ -n "$ref" ]; then
            nsenter --net="/run/netns/$name" "$ZT_REFERENCE" -U "$DIR/$name" >"$DIR/$name.log" 2>&1 &
        else
            nsenter --net="/run/netns/$name" "$ZTD" -H "$DIR/$name" -p 9993 >"$DIR/$name.log" 2>&1 &
        fi
        PID[$name]=$!
    done
}
ctl() { # ctl NAME ARGUMENTS...: control that node, whichever it is
    if [ -n "${IS_REF[$1]}" ]; then
        in_ns "$1" "$ZT_REFERENCE" -q -D"$DIR/$1" "${@:2}"
    else
        "$ZTCTL" -H "$DIR/$1" "${@:2}" # its socket is a file: the namespace does not matter
    fi
}
is_online() {
    if [ -n "${IS_REF[$1]}" ]; then ctl "$1" info | grep -q ONLINE; else
        ctl "$1" -j info | grep -q '"online": *true'
    fi
}
id_of() { cut -c1-10 "$DIR/$1/identity.public"; }
has_virtual() {
    if [ -n "${IS_REF[$1]}" ]; then
        VIRTUAL[$1]=$(ip -n "$1" -6 addr | grep -v tentative | sed -n 's/.* \(fc[0-9a-f:]*\)\/.*/\1/p' | head -1)
    else
        VIRTUAL[$1]=$(ctl "$1" -j networks | sed -n 's/.*"\(fc[0-9a-f:]*\)\/.*/\1/p' | head -1)
    fi
    [ -n "${VIRTUAL[$1]}" ]
}
# joined NAME...: wait until they are online and on the network, with their addresses in VIRTUAL
joined() {
    local name
    for name; do
        wait_for 60 is_online "$name" || fail "$name is not online"
        ctl "$name" join $NWID >/dev/null || fail "$name does not join"
    done
    for name; do wait_for 60 has_virtual "$name" || fail "$name has no address"; done
}
# end NAME...: end nodes and wait for them
end() {
    local name
    for name; do kill "${PID[$name]}" 2>/dev/null; done
    for name; do wait "${PID[$name]}" 2>/dev/null; done
}

# inside NAME COMMAND...: a program on the virtual network as that node
inside() {
    if [ -n "${IS_REF[$1]}" ]; then in_ns "$@"; else
        in_ns "$1" "$ZTCTL" exec -H "$DIR/$1" "${@:2}"
    fi
}

# path FROM TO: the address of the direct path that FROM's node prefers to TO's; fails when there is none
path() {
    local id line
    read -rn 10 id <"$DIR/$2/identity.public"
    line=$(ctl "$1" peers | grep "^\(200 listpeers \)\?$id")
    case $line in *DIRECT*) echo "${line##* }" ;; *) return 1 ;; esac
}
direct() { path "$1" "$2" && path "$2" "$1"; }
relayed() { ! path "$1" "$2" && ! path "$2" "$1"; }

# ping_all FROM TO COUNT: all of them must be answered, within a second each; a machine that stands still for
# that long is asked again
ping_all() { pings_answered "$@" || pings_answered "$@"; }
pings_answered() {
    if [ -n "${IS_REF[$1]}" ]; then in_ns "$1" ping -q -i 0.2 -c "$3" "${VIRTUAL[$2]}"; else
        ctl "$1" ping -i 0.2 -c "$3" "${VIRTUAL[$2]}"
    fi | grep -q -e "$3 sent, $3 answered" -e " $3 received"
}
# The transfer tool of this folder.
serve_streams() {
    inside "$1" python3 "$STREAM" serve "${VIRTUAL[$1]}" 7000 >"$DIR/serve.$1.log" 2>&1 &
    wait_for 60 grep -q serving "$DIR/serve.$1.log" || fail "no server on $1"
}
STREAM=$TOP/tests/netns/stream.py
stream() { inside "$1" python3 "$STREAM" run "${VIRTUAL[$2]}" 7000 "${@:3}"; }

# A transfer that lasts as long as the script wants, over whatever happens meanwhile.
#   transfer_start A B; ...; flowing; ...; transfer_end
transfer_start() {
    : >"$DIR/go"
    echo 0 >"$DIR/seen"
    stream "$1" "$2" --while "$DIR/go" --rate 400000 --seen "$DIR/seen" >"$DIR/stream.log" 2>&1 &
    STREAMING=$!
    flowing
}
seen_more_than() { [ "$(<"$DIR/seen")" -gt "$1" ]; }
# Wait until more has arrived than what may be in the buffers between.
flowing() {
    local n
    n=$(<"$DIR/seen")
    wait_for 60 seen_more_than $((${n:-0} + 400000)) || fail 'the transfer stands still'
}
transfer_end() {
    rm "$DIR/go"
    wait "$STREAMING" || fail "the transfer broke: $(tail -n 1 "$DIR/stream.log")"
    echo "   $(tail -n 1 "$DIR/stream.log")"
}

# timed WHAT SECONDS COMMAND...: wait for it and say how long that took (nothing depends on how long)
timed() {
    local what=$1 began
    began=$(date +%s%N)
    shift
    wait_for "$@" || fail "not $what"
    echo "   $what after $((($(date +%s%N) - began) / 1000000)) ms"
}
