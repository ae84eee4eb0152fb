#!/usr/bin/env bash
# local.conf in a running node, and the node's sockets when addresses come and go.
#
#   r root      10.9.0.1      a  10.9.0.2 (.12 later)      b  10.9.0.3 (the reference's when
#   (ours)                                                    ZT_REFERENCE names one)
#   --------------------------- one switch ---------------------------
#
# With the reference, trusted paths are shown both ways beside it: what is said between a and b is
# plaintext (suite 2) on the wire exactly while both have the same id for 10.9.0.0/24.
. "$(dirname "$0")/lib.sh"
set -u
NWID=ff0000ffff000000

json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
start() {
    mkdir -p "$DIR/$1"
    cp "$DIR/planet" "$DIR/$1/planet"
    (exec ip netns exec "$1" "$ZTD" -H "$DIR/$1" -p 9993 >>"$DIR/$1.log" 2>&1) &
    PIDS[$1]=$!
}
start_reference() {
    (exec ip netns exec "$1" "$ZT_REFERENCE" -U "$DIR/$1" >>"$DIR/$1.log" 2>&1) &
    PIDS[$1]=$!
}
end() {
    kill "${PIDS[$1]}"
    wait "${PIDS[$1]}" 2>/dev/null
}
online() { [ "$(zt "$1" -j info | json 'd["online"]')" = True ]; }
bound() { in_host "$1" ss -Hlun | grep -q " $2 "; } # bound HOST ADDRESS:PORT
direct() { # direct HOST NODE: does it list a live direct path?
    [ "$(zt "$1" -j peers | json "any(not q['expired'] for p in d if p['address']=='$2' for q in p['paths'])")" = True ]
}
relayed() { ! direct "$@"; }
declare -A PIDS

host r 10.9.0.1/24
host a 10.9.0.2/24
host b 10.9.0.3/24
planet r 10.9.0.1/9993
start r
start a
start b
for h in a b; do wait_for 60 online $h || fail "$h is not online"; done
A=$(cut -c1-10 "$DIR/a/identity.public") B=$(cut -c1-10 "$DIR/b/identity.public")
for h in a b; do zt $h join $NWID >/dev/null || fail "join"; done
wait_for 30 address_of b $NWID : || fail "no address"
B6=$(address_of b $NWID :)
ping_b() { zt a ping -c 1 "$B6"; }
wait_for 30 ping_b || fail "no ping"
wait_for 30 direct a "$B" || fail "no direct path"

echo "== two ports"
SECOND=$(zt a -j info | json 'd["secondaryPort"]')
[ "$SECOND" -ge 20000 ] && [ "$SECOND" -le 65499 ] || fail "secondary port $SECOND"
bound a 10.9.0.2:9993 && bound a 10.9.0.2:$SECOND || fail "sockets: $(in_host a ss -Hlun)"

echo "== reload: blacklist, then none"
echo '{"physical": {"10.9.0.3/32": {"blacklist": true}}}' >"$DIR/a/local.conf"
zt a reload >/dev/null || fail "reload"
wait_for 30 relayed a "$B" || fail "a path into a blacklisted network"
wait_for 30 ping_b || fail "no ping through the root"
echo '{"physical": {"10.9.0.3/32": {"blacklist": tru' >"$DIR/a/local.conf"
zt a reload >"$DIR/out" 2>&1 && fail "a broken file was taken"
grep -q 'local.conf:1:.*stay as they were' <(tr '\n' ' ' <"$DIR/out") || fail "message: $(cat "$DIR/out")"
relayed a "$B" || fail "a broken file changed the settings"
[ -e "$DIR/a/local.conf.damaged" ] && fail "the user's file was moved"
echo '{"settings": {"allowSecondaryPort": false}}' >"$DIR/a/local.conf"
kill -HUP "${PIDS[a]}"
no_second() { ! bound a 10.9.0.2:$SECOND; }
wait_for 30 no_second || fail "SIGHUP: the secondary port stays"
again() { ping_b && direct a "$B"; }
wait_for 60 again || fail "no direct path after the blacklist went"

echo "== the address changes"
ip -n a addr add 10.9.0.12/24 dev eth0
wait_for 30 bound a 10.9.0.12:9993 || fail "the new address is not used"
ip -n a addr del 10.9.0.2/24 dev eth0 2>/dev/null
ip -n a addr add 10.9.0.12/24 dev eth0 2>/dev/null # it was a secondary of the other
gone() { ! bound a 10.9.0.2:9993; }
wait_for 30 gone || fail "the old address is still bound"
wait_for 30 again || fail "no direct path from the new address"
sees_new() { zt b -j peers | json "[q['address'] for p in d if p['address']=='$A' for q in p['paths'] if not q['expired']]" | grep -q 10.9.0.12/9993; }
wait_for 30 sees_new || fail "b does not know the new address"

echo "== bind"
ip -n a addr add 10.9.0.22/24 dev eth0
echo '{"settings": {"bind": ["10.9.0.22"], "secondaryPort": 23456}}' >"$DIR/a/local.conf"
zt a reload >/dev/null || fail "reload"
wait_for 30 bound a 10.9.0.22:23456 || fail "bind: not bound"
bound a 10.9.0.12:9993 && fail "bind: another address is bound"
wait_for 30 again || fail "no direct path from the bound address"

echo "== legacy beacon"
# 13 bytes that name a: b, who knows a and lets it live there, answers with a NOP to a.
cat >"$DIR/beacon.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
def answers():
    s.sendto(b"12345678" + bytes.fromhex(sys.argv[1]), ("10.9.0.3", 9993))
    try:
        p = s.recv(2000)
        return len(p) >= 28 and p[8:13].hex() == sys.argv[1]
    except socket.timeout:
        return False
sys.exit(0 if answers() else 1)
PY
wait_for 30 in_host a python3 "$DIR/beacon.py" "$A" || fail "the beacon is not answered"
in_host a python3 "$DIR/beacon.py" 0123456789 && fail "a beacon of a stranger is answered"

if [ -x "${ZT_REFERENCE:-}" ] && [ -c /dev/net/tun ]; then
    echo "== trusted path beside the reference"
    end b
    TRUST='{"physical": {"10.9.0.0/24": {"trustedPathId": 77, "mtu": 1432}}}'
    echo "$TRUST" >"$DIR/b/local.conf"
    echo '{"settings": {"bind": ["10.9.0.22"]}, "physical": {"10.9.0.0/24": {"trustedPathId": 77}}}' >"$DIR/a/local.conf"
    zt a reload >/dev/null || fail "reload"
    start_reference b
    # suites HOST SECONDS: how often suite 2 went which way between a and b
    cat >"$DIR/suites.py" <<'PY'
import socket, struct, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
s.settimeout(0.2)
a, b = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
count = {}
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    try: p = s.recv(4000)
    except socket.timeout: continue
    if len(p) < 14 + 20 + 8 + 28 or p[12:14] != b"\x08\x00" or p[23] != 17: continue
    z = p[42:]
    if z[13] == 0xff or {z[8:13], z[13:18]} != {a, b}: continue
    k = ("ab" if z[13:18] == a else "ba") + str(z[18] >> 3 & 7)
    count[k] = count.get(k, 0) + 1
print(" ".join(f"{k}={v}" for k, v in sorted(count.items())))
PY
    ref_online() { in_host b "$ZT_REFERENCE" -q -D"$DIR/b" info | grep -q ONLINE; }
    wait_for 60 ref_online || fail "the reference is not online"
    wait_for 30 settled b
    wait_for 60 again || fail "no direct path to the reference"
    ref_direct() { in_host b "$ZT_REFERENCE" -q -D"$DIR/b" peers | grep "$A" | grep -q DIRECT; }
    wait_for 60 ref_direct || fail "the reference has no direct path"
    before=$(zt a -j info | json 'd["drops"].get("TRUSTED_PATH", 0)')
    in_host a python3 "$DIR/suites.py" "$A" "$B" 4 >"$DIR/suites" &
    W=$!
    sleep 0.3
    zt a ping -c 3 "$B6" >/dev/null || fail "no ping over the trusted path"
    wait $W
    echo "   same id: $(cat "$DIR/suites")"
    grep -q 'ab2=' "$DIR/suites" || fail "we sent no plaintext to the reference"
    grep -q 'ba2=' "$DIR/suites" || fail "the reference sent no plaintext to us"
    sed -i 's/77/78/' "$DIR/a/local.conf"
    zt a reload >/dev/null
    zt a ping -c 2 "$B6" >/dev/null && fail "ping with different ids"
    in_host b ping -c 2 -W 1 "$(address_of a $NWID :)" >/dev/null && fail "ping with different ids"
    echo '{"settings": {"bind": ["10.9.0.22"]}}' >"$DIR/a/local.conf"
    zt a reload >/dev/null
    after=$(zt a -j info | json 'd["drops"].get("TRUSTED_PATH", 0)')
    [ "$after" -gt "$before" ] || fail "plaintext that is not trusted was not counted"
    echo "   other ids: nothing passes, $((after - before)) refused"

    for suite in ${ZT_TEST_ALL:+salsa aes}; do # each takes 15 s
        echo '{"settings": {"bind": ["10.9.0.22"], "cipherSuites": "'$suite'"}}' >"$DIR/a/local.conf"
        mv "$DIR/b/local.conf" "$DIR/b/local.conf.off" 2>/dev/null
        end a
        end b
        start a
        start_reference b
        wait_for 60 online a || fail "not online with suite $suite alone"
        wait_for 60 ref_online || fail "the reference is not online"
        wait_for 30 settled b
        wait_for 60 again || fail "no direct path with suite $suite alone"
        in_host a python3 "$DIR/suites.py" "$A" "$B" 3 >"$DIR/suites" &
        W=$!
        sleep 0.3
        zt a ping -c 2 "$B6" >/dev/null || fail "no ping with suite $suite alone"
        wait $W
        echo "   $suite alone: $(cat "$DIR/suites")"
        if [ $suite = salsa ]; then grep -qE '(ab|ba)3=' "$DIR/suites" && fail "suite 3 was used"
        else grep -qE '(ab|ba)1=' "$DIR/suites" && fail "suite 1 was used"; fi
    done
else
    echo "   trusted path beside the reference: SKIP, ZT_REFERENCE does not name a zerotier-one binary"
fi
echo "== more networks than interfaces"
host c 10.9.0.4/24
mkdir -p "$DIR/c/networks.d"
for i in $(seq 1 256); do printf '\n' >"$DIR/c/networks.d/$(printf ff%04xffff000000 "$i").conf"; done
start c
states() { # "254 2": networks that are OK, and that have no interface
    zt c -j networks | json "*(sum(n['status'] == s for n in d) for s in ('OK', 'PORT_ERROR'))"
}
are() { [ "$(states)" = "$1" ]; }
wait_for 60 are '254 2' || fail "of 256 networks: $(states)"
zt c leave "$(zt c -j networks | json "next(n['nwid'] for n in d if n['status'] == 'OK')")" >/dev/null
wait_for 30 are '254 1' || fail "after one was left: $(states)"
echo "   254 have one, another one when one is left"

kill $(jobs -p) 2>/dev/null
wait 2>/dev/null
echo PASS
