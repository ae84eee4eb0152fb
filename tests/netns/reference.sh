#!/usr/bin/env bash
# An ad-hoc network with a node of the reference implementation in it, both ways round.
#
#      root (ours, then the reference's)
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
NWID=ff0000ffff000000

reference() { # reference HOST: start it there with the planet
    mkdir -p "$DIR/$1"
    cp "$DIR/planet" "$DIR/$1/planet"
    in_host "$1" "$ZT_REFERENCE" -U "$DIR/$1" >"$DIR/$1.log" 2>&1 &
}
refcli() {
    local name=$1
    shift
    in_host "$name" "$ZT_REFERENCE" -q -D"$DIR/$name" "$@"
}
ours() {
    mkdir -p "$DIR/$1"
    cp "$DIR/planet" "$DIR/$1/planet"
    in_host "$1" "$ZTD" -H "$DIR/$1" -p 9993 >"$DIR/$1.log" 2>&1 &
}
ours_direct() { # does our node $1 list $2 with a live direct path?
    zt "$1" -j peers | python3 -c '
import json, sys
sys.exit(0 if any(p["address"] == sys.argv[1] and any(not q["expired"] for q in p["paths"])
                  for p in json.load(sys.stdin)) else 1)' "$2"
}

run() { # run ROOTKIND
    echo "== root: $1"
    host r 10.9.0.1/24
    host a 10.9.0.2/24
    host b 10.9.0.3/24
    mkdir -p "$DIR/r"
    "$ZTCTL" identity new -o "$DIR/r" >/dev/null || fail "identity"
    "$ZTCTL" planet new --root "$DIR/r/identity.public" 10.9.0.1/9993 -o "$DIR/planet" >/dev/null || fail "planet"
    if [ "$1" = ours ]; then ours r; else reference r; fi
    ours a
    reference b
    wait_for 30 sh -c "test -s $DIR/b/identity.public && test -s $DIR/a/identity.public && test -s $DIR/b/authtoken.secret" || fail "start"
    A=$(cut -c1-10 "$DIR/a/identity.public") B=$(cut -c1-10 "$DIR/b/identity.public")
    wait_for 30 sh -c "ip netns exec a $ZTCTL -H $DIR/a -j info | grep -q '\"online\": *true'" || fail "our node is not online"
    wait_for 40 sh -c "ip netns exec b $ZT_REFERENCE -q -D$DIR/b info | grep -q ONLINE" || fail "the reference node is not online"
    zt a join $NWID >/dev/null || fail "join (ours)"
    refcli b join $NWID >/dev/null || fail "join (reference)"
    wait_for 20 address_of a $NWID : || fail "no address (ours)"
    A6=$(address_of a $NWID :)
    wait_for 20 sh -c "ip -n b -6 addr | grep -q ' fc'" || fail "no address (reference)"
    wait_for 10 settled b || fail "the reference's address stays tentative"
    B6=$(ip -n b -6 addr | sed -n 's/.* \(fc[0-9a-f:]*\)\/.*/\1/p' | head -1)
    mkdir -p "$DIR/www" && head -c 8388608 /dev/urandom >"$DIR/www/file"
    (cd "$DIR/www" && in_host a "$ZTCTL" exec -H "$DIR/a" python3 -m http.server --bind "$A6" 8000 >"$DIR/wwwa.log" 2>&1) &
    (cd "$DIR/www" && exec ip netns exec b python3 -m http.server --bind "$B6" 8001 >"$DIR/wwwb.log" 2>&1) &
    wait_for 20 in_host b curl -g -sf -m 3 -o /dev/null "http://[$A6]:8000/" || fail "reference -> ours: no connection"
    in_host b curl -g -sf -m 60 -o "$DIR/got1" "http://[$A6]:8000/file" || fail "reference -> ours: transfer"
    cmp "$DIR/got1" "$DIR/www/file" || fail "reference -> ours: bytes differ"
    wait_for 20 in_host a "$ZTCTL" exec -H "$DIR/a" curl -g -sf -m 3 -o /dev/null "http://[$B6]:8001/" || fail "ours -> reference: no connection"
    in_host a "$ZTCTL" exec -H "$DIR/a" curl -g -sf -m 60 -o "$DIR/got2" "http://[$B6]:8001/file" || fail "ours -> reference: transfer"
    cmp "$DIR/got2" "$DIR/www/file" || fail "ours -> reference: bytes differ"
    wait_for 20 ours_direct a "$B" || fail "no direct path to the reference node"
    wait_for 20 sh -c "ip netns exec b $ZT_REFERENCE -q -D$DIR/b peers | grep $A | grep -q DIRECT" || fail "the reference node has no direct path to ours"
    echo "   8 MiB each way, direct paths on both sides"
    kill $(jobs -p) 2>/dev/null
    wait 2>/dev/null
    for h in r a b; do
        ip link del dev $h
        ip netns del $h
    done
    rm -rf "$DIR"/[rab] "$DIR/planet"*
}
run ours
run reference
echo PASS
