#!/usr/bin/env bash
# The reference's own zerotier-cli against ztd and against its own service: the same exit codes, the
# same words, the same fields with the same types, for every command and many wrong ones.
#
#      r 10.9.0.1 (root, ours)     o 10.9.0.2 (ours)     e 10.9.0.3 (reference)
#          |                           |                     |
#  --------+------------- switch ------+---------------------+------
#
# Needs ZT_REFERENCE=/path/to/zerotier-one and /dev/net/tun; skips without.
. "$(dirname "$0")/../netns/lib.sh"
set -u
[ -x "${ZT_REFERENCE:-}" ] || skip "ZT_REFERENCE does not name a zerotier-one binary"
[ -c /dev/net/tun ] || skip "no /dev/net/tun"

host r 10.9.0.1/24
host o 10.9.0.2/24
host e 10.9.0.3/24
mkdir -p "$DIR/r" "$DIR/o" "$DIR/e" "$DIR/nobody"
"$ZTCTL" identity new -o "$DIR/r" >/dev/null || fail "identity"
"$ZTCTL" planet new --root "$DIR/r/identity.public" 10.9.0.1/9993 -o "$DIR/planet" >/dev/null ||
    fail "planet"
for n in r o e; do cp "$DIR/planet" "$DIR/$n/planet"; done
in_host r "$ZTD" -H "$DIR/r" -p 9993 >"$DIR/r.log" 2>&1 &
in_host o "$ZTD" -H "$DIR/o" -p 9993 >"$DIR/o.log" 2>&1 &
in_host e "$ZT_REFERENCE" -U "$DIR/e" >"$DIR/e.log" 2>&1 &
ln -s "$ZT_REFERENCE" "$DIR/zerotier-cli"
for n in o e; do
    wait_for 60 test -s "$DIR/$n/zerotier-one.port" || fail "start of $n"
    wait_for 60 sh -c "ip netns exec $n '$DIR/zerotier-cli' -D$DIR/$n info | grep -q ONLINE" ||
        fail "$n is not online"
done
python3 "$(dirname "$0")/cli.py" "$DIR" "$ZTCTL" || fail "see above"
kill $(jobs -p) 2>/dev/null
wait 2>/dev/null
