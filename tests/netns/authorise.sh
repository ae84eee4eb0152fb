#!/usr/bin/env bash
# A private network from one hand: our root, our controller, and two members.
#
#    r: root       c: controller     a, b: members (KIND)
#    10.9.0.1      10.9.0.2          10.9.0.3, 10.9.0.4
#       |             |                |     |
#    ---+-------------+----------------+-----+---- switch
#
# Both ask and are refused; one HTTP call each lets them in; they have the addresses that the controller
# says, over IPv4 and IPv6; 50 pings and 200 MiB by TCP each way, equal SHA-256; one call takes the
# authorisation of a away: its traffic stops, in both directions, within seconds, while b stays in; one call
# gives it back.
#
# authorise.sh [KIND]: `ours` (the default) or `reference`, which needs ZT_REFERENCE=/path/to/zerotier-one
# and /dev/net/tun, and skips without. With our own nodes 8 MiB, unless ZT_TEST_ALL is set.
. "$(dirname "$0")/lib.sh"
set -u
KIND_OF_LEAVES=${1:-ours}
HERE=$(cd "$(dirname "$0")" && pwd)
bytes=$((200 << 20)) pings=50
if [ "$KIND_OF_LEAVES" = reference ]; then
    need_reference
elif [ -z "${ZT_TEST_ALL:-}" ]; then
    bytes=$((8 << 20)) pings=20
fi

n=1
for h in r c a b; do
    host $h 10.9.0.$n/24
    n=$((n + 1))
done
planet r 10.9.0.1/9993
node ours r
node ours c
node "$KIND_OF_LEAVES" a
node "$KIND_OF_LEAVES" b
for h in r c a b; do wait_for 60 test -s "$DIR/$h/identity.public" || fail "start of $h"; done
for h in c a b; do wait_for 60 node_online $h || fail "$h is not online"; done
wait_for 30 node_api c GET /status || fail 'the controller does not answer'

status_of() { # as the member itself says
    if [ "$KIND_OF_LEAVES" = ours ]; then zt "$1" -j networks; else refcli "$1" -j listnetworks; fi |
        pick "next(n['status'] for n in d if n['nwid'] == '$nwid')"
}
has_status() { [ "$(status_of "$1")" = "$2" ]; }
member() { # member HOST PYTHON-EXPRESSION: of the controller's record
    node_api c GET "/controller/network/$nwid/member/$(id_of "$1")" | pick "$2"
}
set_member() { # set_member HOST JSON: one HTTP call
    node_api c POST "/controller/network/$nwid/member/$(id_of "$1")" "$2" >/dev/null || fail "member $1: $2"
}

nwid=$(id_of c)00ab01
node_api c POST "/controller/network/$nwid" '{"name":"lab","private":true,
    "v4AssignMode":{"zt":true},"v6AssignMode":{"rfc4193":true,"6plane":true},
    "ipAssignmentPools":[{"ipRangeStart":"10.144.0.10","ipRangeEnd":"10.144.0.99"}],
    "routes":[{"target":"10.144.0.0/24"}]}' >/dev/null || fail 'no network'
for h in a b; do node_join $h "$nwid" || fail "$h cannot join"; done
for h in a b; do
    wait_for 60 has_status $h ACCESS_DENIED || fail "$h is not refused: $(status_of $h)"
    member $h 'd["authorized"] is False and d["identity"] != ""' >/dev/null || fail "$h is not in the list"
    ! node_address $h "$nwid" '' >/dev/null || fail "$h has an address without authorisation"
done
echo '   refused, and in the list of the controller'

declare -A address
for h in a b; do set_member $h '{"authorized":true}'; done
for h in a b; do
    wait_for 60 has_status $h OK || fail "$h is not in: $(status_of $h)"
    for prefix in 10.144. fd fc; do
        wait_for 30 node_address $h "$nwid" $prefix || fail "$h has no address $prefix"
        address[$h$prefix]=$(node_address $h "$nwid" $prefix)
    done
    member $h "d['ipAssignments'] == ['${address[${h}10.144.]}']" >/dev/null ||
        fail "the controller gave $h another address: $(member $h 'd["ipAssignments"]')"
    [ "$KIND_OF_LEAVES" = ours ] || wait_for 30 settled $h || fail "an address of $h stays tentative"
done
echo "   authorised: a ${address[a10.144.]}, b ${address[b10.144.]}"

port=7000
for prefix in 10.144. fd fc; do
    for h in a b; do
        node_run $h "$PYTHON" "$HERE/traffic.py" serve "${address[$h$prefix]}" $port \
            >"$DIR/$h.$port.serve" 2>"$DIR/$h.$port.log" &
        wait_for 60 grep -q ready "$DIR/$h.$port.serve" || fail "no server on $h"
    done
    port=$((port + 1))
done
met() { [ "$(node_ping "$1" "${address[$2$3]}" 1)" = 1 ]; }
for way in 'a b' 'b a'; do
    read -r from to <<<"$way"
    for prefix in 10.144. fd fc; do
        wait_for 30 met "$from" "$to" $prefix || fail "$from does not reach $to ($prefix)"
        for _ in 1 2 3; do # each has a second for its answer, and nobody sends it again
            got=$(node_ping "$from" "${address[$to$prefix]}" $pings)
            [ "$got" != $pings ] || break
        done
        [ "$got" = $pings ] || fail "$from to $to ($prefix): $got of $pings pings"
    done
    out=$(node_run "$from" timeout 240 "$PYTHON" "$HERE/traffic.py" tcp "${address[${to}10.144.]}" 7000 \
        $bytes 2>>"$DIR/$from.traffic.log") || fail "$from to $to: $out"
    echo "   $from to $to: $pings pings over IPv4, RFC 4193 and 6plane each; $out"
done

# A connection in use when the authorisation goes.
node_run b "$PYTHON" "$HERE/steady.py" serve "${address[b10.144.]}" 7100 >"$DIR/steady-serve" \
    2>"$DIR/steady-serve.log" &
wait_for 60 grep -q serving "$DIR/steady-serve" || fail 'no second server on b'
node_run a "$PYTHON" "$HERE/steady.py" talk "${address[b10.144.]}" 7100 "$DIR/talk" >"$DIR/talk.log" 2>&1 &
count() { cut -d' ' -f1 "$DIR/talk" 2>/dev/null || echo 0; }
beyond() { [ "$(count)" -gt "$1" ]; }
wait_for 30 beyond 5 || fail 'no connection in use'
still() {
    local before
    before=$(count)
    sleep 2
    [ "$(count)" = "$before" ]
}
began=$SECONDS
set_member a '{"authorized":false}'
wait_for 30 still || fail 'traffic goes on after the authorisation was taken away'
echo "   deauthorised: still after $((SECONDS - began - 2)) s"
for way in 'a b' 'b a'; do
    read -r from to <<<"$way"
    for prefix in 10.144. fd fc; do
        got=$(node_ping "$from" "${address[$to$prefix]}" 3)
        [ "${got:-0}" = 0 ] || fail "$from still reaches $to ($prefix)"
    done
done
has_status b OK || fail "b is not in any more: $(status_of b)"
set_member a '{"authorized":true}'
wait_for 70 has_status a OK || fail "a is not in again: $(status_of a)"
wait_for 60 beyond "$(($(count) + 5))" || fail 'the connection does not go on'
[ "$(node_address a "$nwid" 10.144.)" = "${address[a10.144.]}" ] || fail 'another address than before'
echo '   authorised again: the same address, and the connection goes on'
echo PASS
