#!/usr/bin/env bash
# A private network of a reference controller: our node asks, waits to be authorised, gets its
# addresses, and talks IPv4 and IPv6 with a reference member, both ways round.
#
#   root and controller (reference)
#       10.9.0.1
#          |
#  --------+------ switch ------
#     |               |
#  10.9.0.2        10.9.0.3
#   a (ours,        b (reference, kernel
#   no TUN)            TUN device)
#
# Needs ZT_REFERENCE=/path/to/zerotier-one and /dev/net/tun; skips without.
. "$(dirname "$0")/lib.sh"
set -u
[ -x "${ZT_REFERENCE:-}" ] || skip "ZT_REFERENCE does not name a zerotier-one binary"
[ -c /dev/net/tun ] || skip "no /dev/net/tun"

api() { # api METHOD PATH [JSON]: the controller's local interface
    in_host r curl -sf -m 5 -X "$1" -H "X-ZT1-Auth: $(cat "$DIR/r/authtoken.secret")" \
        ${3:+-d "$3"} "http://127.0.0.1:9993$2"
}
status_of() { zt "$1" -j networks | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["status"])'; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }

host r 10.9.0.1/24
host a 10.9.0.2/24
host b 10.9.0.3/24
mkdir -p "$DIR"/{r,a,b}
"$ZTCTL" identity new -o "$DIR/r" >/dev/null || fail "identity"
"$ZTCTL" planet new --root "$DIR/r/identity.public" 10.9.0.1/9993 -o "$DIR/planet" >/dev/null ||
    fail "planet"
for h in r a b; do cp "$DIR/planet" "$DIR/$h/planet"; done
for h in r b; do in_host $h "$ZT_REFERENCE" -U "$DIR/$h" >"$DIR/$h.log" 2>&1 & done
in_host a "$ZTD" -H "$DIR/a" -p 9993 >"$DIR/a.log" 2>&1 &
for h in r a b; do
    wait_for 60 test -s "$DIR/$h/identity.public" || fail "start of $h"
done
wait_for 60 test -s "$DIR/r/authtoken.secret" || fail "start of the controller"
R=$(cut -c1-10 "$DIR/r/identity.public") A=$(cut -c1-10 "$DIR/a/identity.public")
B=$(cut -c1-10 "$DIR/b/identity.public")
NWID=${R}00ab01
wait_for 30 api GET /status || fail "the controller does not answer"
api POST "/controller/network/$NWID" '{"name":"lab","private":true,"mtu":2800,
    "v4AssignMode":{"zt":true},"v6AssignMode":{"6plane":true,"rfc4193":true},
    "ipAssignmentPools":[{"ipRangeStart":"10.144.0.10","ipRangeEnd":"10.144.0.99"}],
    "routes":[{"target":"10.144.0.0/24"}]}' >/dev/null || fail "network"

wait_for 30 grep -q online "$DIR/a.log" || fail "our node is not online"
zt a join "$NWID" >/dev/null || fail "join (ours)"
in_host b "$ZT_REFERENCE" -q -D"$DIR/b" join "$NWID" >/dev/null || fail "join (reference)"
wait_for 60 has_status a ACCESS_DENIED || fail "not denied before it was authorised: $(status_of a)"
echo "   denied as long as nobody authorised it"

for m in $A $B; do
    api POST "/controller/network/$NWID/member/$m" '{"authorized":true}' >/dev/null || fail "authorise $m"
done
wait_for 60 has_status a OK || fail "not joined after authorisation: $(status_of a)"
wait_for 30 address_of a "$NWID" 10.144. || fail "no IPv4 address"
A4=$(address_of a "$NWID" 10.144.)
A6=$(address_of a "$NWID" 9993 || address_of a "$NWID" :)
echo "   joined: $A4, $A6"
wait_for 60 sh -c "ip -n b addr | grep -q 'inet 10.144'" || fail "no address (reference)"
wait_for 30 settled b || fail "an address of the reference stays tentative"
B4=$(ip -n b addr | sed -n 's/.*inet \(10\.144\.[0-9.]*\)\/.*/\1/p' | head -1)
B6=$(ip -n b -6 addr | sed -n 's/.*inet6 \(fd[0-9a-f:]*\)\/.*/\1/p' | head -1)

mkdir -p "$DIR/www" && head -c 8388608 /dev/urandom >"$DIR/www/file"
serve() { # serve HOST COMMAND...: an HTTP server in the folder
    local name=$1
    shift
    (cd "$DIR/www" && exec ip netns exec "$name" "$@" >>"$DIR/www-$name.log" 2>&1) &
}
for pair in "$A4 $B4" "$A6 $B6"; do
    read -r ours theirs <<<"$pair"
    serve a "$ZTCTL" exec -H "$DIR/a" python3 -m http.server --bind "$ours" 8000
    serve b python3 -m http.server --bind "$theirs" 8001
    case $ours in *:*) ours="[$ours]" theirs="[$theirs]" ;; esac
    wait_for 30 in_host b curl -g -sf -m 3 -o /dev/null "http://$ours:8000/" ||
        fail "reference -> $ours: no connection"
    in_host b curl -g -sf -m 60 -o "$DIR/got" "http://$ours:8000/file" || fail "reference -> $ours"
    cmp "$DIR/got" "$DIR/www/file" || fail "reference -> $ours: bytes differ"
    wait_for 30 in_host a "$ZTCTL" exec -H "$DIR/a" curl -g -sf -m 3 -o /dev/null "http://$theirs:8001/" ||
        fail "ours -> $theirs: no connection"
    in_host a "$ZTCTL" exec -H "$DIR/a" curl -g -sf -m 60 -o "$DIR/got" "http://$theirs:8001/file" ||
        fail "ours -> $theirs"
    cmp "$DIR/got" "$DIR/www/file" || fail "ours -> $theirs: bytes differ"
    echo "   8 MiB each way between $ours and $theirs"
done

api POST "/controller/network/$NWID/member/$A" '{"authorized":false}' >/dev/null || fail "deauthorise"
wait_for 90 has_status a ACCESS_DENIED || fail "still joined after authorisation was taken away"
echo "   denied again when authorisation was taken away"
echo PASS
