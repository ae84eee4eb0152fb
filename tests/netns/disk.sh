#!/bin/bash
# A full disk, a read-only one, and few descriptors: clear errors, nothing damaged, and all is well afterwards.
# Homes are small file systems of their own; no planet, so nothing is sent.
. "$(dirname "$0")/lib.sh"

passed=0
ok() { echo "ok      $*"; passed=$((passed + 1)); }
fs() { # NAME SIZE
    mkdir -p "$DIR/$1"
    mount -t tmpfs -o "size=$2,mode=0700" tmpfs "$DIR/$1" || skip 'no file systems of our own'
}
start() { # NAME COMMAND...: the node, in the background
    local name=$1
    shift
    "$@" "$ZTD" -H "$DIR/$name" -p 0 --no-http > "$DIR/$name.log" 2>&1 &
    node=$!
}
ctl() { local name=$1; shift; timeout 10 "$ZTCTL" -H "$DIR/$name" "$@"; }
ended() { ! kill -0 "$node" 2> /dev/null; }
fill() { dd if=/dev/zero of="$DIR/$1/filler" bs=4k 2> /dev/null; }

# ---- full from the beginning
fs full 64k
fill full || : # until nothing fits
start full
wait_for 30 ended || fail 'a node starts on a full disk'
wait "$node" && fail 'and says that all is well'
grep -q "$DIR/full" "$DIR/full.log" || fail "the error does not name the home: $(cat "$DIR/full.log")"
[ ! -s "$DIR/full/identity.secret" ] || fail 'half an identity'
ok "full: $(tail -n 1 "$DIR/full.log")"
rm "$DIR/full/filler"
start full
wait_for 60 ctl full info || fail "with room it does not start: $(cat "$DIR/full.log")"
ok 'with room it starts'

# ---- full while it runs
id=$(cut -d: -f1 "$DIR/full/identity.public")
secret=$(cat "$DIR/full/identity.secret")
fill full || :
ctl full join ff0000ffff000000 > "$DIR/join.log" 2>&1 || :
ctl full -j networks | grep -q ff0000ffff000000 || fail "join with a full disk: $(cat "$DIR/join.log")"
wait_for 30 grep -q networks.d "$DIR/full.log" || fail 'nothing is said about the file that could not be written'
ok "join: $(grep networks.d "$DIR/full.log" | tail -n 1)"
[ "$(cat "$DIR/full/identity.secret")" = "$secret" ] || fail 'the identity is damaged'
find "$DIR/full" -name '*.tmp*' | grep -q . && fail 'temporary files stay'
rm "$DIR/full/filler"
ctl full leave ff0000ffff000000 > /dev/null && ctl full join ff0000ffff000000 > /dev/null
wait_for 60 test -s "$DIR/full/networks.d/ff0000ffff000000.conf" || fail 'with room again it is not written'
ctl full down && wait_for 30 ended || fail 'it does not end'
start full
wait_for 60 ctl full info || fail "it does not start again: $(cat "$DIR/full.log")"
[ "$(ctl full -j info | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["address"])')" = "$id" ] || fail 'another identity'
ctl full -j networks | grep -q ff0000ffff000000 || fail 'the network is forgotten'
ctl full down
wait_for 30 ended || fail 'it does not end'
ok 'the same node and network afterwards'

# ---- read-only
mount -o remount,ro "$DIR/full" || skip 'no read-only file systems'
start full
wait_for 30 ended || fail 'a node starts in a read-only home'
grep -qi 'read-only' "$DIR/full.log" || fail "unclear: $(cat "$DIR/full.log")"
ok "read-only: $(tail -n 1 "$DIR/full.log")"

# ---- few descriptors
fs few 1m
start few prlimit --nofile=40:40
wait_for 60 ctl few info || fail "with 40 descriptors it does not start: $(cat "$DIR/few.log")"
"$PYTHON" - "$DIR/few/control.sock" << 'END' || fail 'the crowd at the door'
import socket, sys
crowd = []
for _ in range(60):  # more than fit; who waits outside is not refused
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    s.connect(sys.argv[1])
    crowd.append(s)
for s in crowd:
    s.close()
END
wait_for 60 ctl few info || fail 'after the crowd it does not answer'
ctl few down
wait_for 30 ended || fail 'it does not end'
ok 'few descriptors: it goes on when there are some again'
umount "$DIR/full" "$DIR/few"
echo "$passed passed, 0 failed"
