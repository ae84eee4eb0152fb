#!/bin/bash
# A preloaded program starts the node that it needs: only then, only one, and it does not stay for ever.
#
#   autostart.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need curl python3
python=$(python3 -c 'import sys; print(sys.executable)')
idle=3

# c COMMAND...: in home C, which may start its node; ends it when idle for a short time
c() {
    ZT_HOME=$work/c ZT_PRELOAD_IDLE=$idle LD_PRELOAD=$preload timeout 150 "$@"
}
with_networks() { ZT_NETWORKS=$network,$network4 "$@"; }
fetch() { c curl -q -sS -g --noproxy '*' --max-time 120 "$@"; }
one_node() { [ "$(lab_nodes "$work/c" | wc -l)" = 1 ]; }
no_node() { [ -z "$(lab_nodes "$work/c")" ]; }
stays() { # SECONDS: the node is there all the time
    local end=$((SECONDS + $1))
    while [ $SECONDS -lt $end ]; do
        one_node || return 1
        sleep 0.2
    done
}
connect_to() { # errno of a connect
    c "$python" -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(60)
print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))' "$@"
}
equals() { # EXPECTED COMMAND...
    local expected=$1 got
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$expected" ] || { echo "got '$got' instead of '$expected'"; return 1; }
}

lab_begin
head -c 4194304 /dev/urandom > data
mkdir c
chmod 700 c
lab_up
cp planet c/planet
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec "$python" -u -m http.server --bind "$a6" --directory "$work" 8000
) > http6.log 2>&1 < /dev/null &
started+=($!)
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec "$python" -u -m http.server --bind "$a4" --directory "$work" 8000
) > http4.log 2>&1 < /dev/null &
started+=($!)
"$python" -u -m http.server --bind 127.0.0.1 --directory "$work" 0 > kernel.log 2>&1 < /dev/null &
started+=($!)
for log in http6 http4 kernel; do
    wait_for 60 grep -q 'Serving HTTP' $log.log || fail "no server: $(cat $log.log)"
done
kernel=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' kernel.log)/data

# ---- nothing virtual is touched: nothing is started

kernel_fetch() { rm -f got; "$@" -o got "$kernel" && cmp data got; }
check 'a server of the kernel is reached' kernel_fetch fetch
check 'also where networks are named' kernel_fetch with_networks fetch
own=$(hostname -I 2> /dev/null | tr ' ' '\n' | grep -m 1 -E '^[0-9.]+$' | grep -v '^10\.')
[ -z "$own" ] || check "an address of the kernel's, networks named: refused by the kernel" \
    equals 111 with_networks connect_to "$own" 9
check 'no node was started' no_node
check 'and the home was left alone' equals planet ls c

# ---- addresses that follow from the ids of the networks never go to the kernel

export ZT_PRELOAD_START=no
check 'may not start, IPv4 of the named network: unreachable' equals 101 with_networks connect_to "$a4" 8000
check 'may not start, IPv6 of the named network: unreachable' equals 101 with_networks connect_to "$a6" 8000
if command -v strace > /dev/null; then
    asks_kernel() {
        with_networks c strace -f -qq -e trace=connect,sendto -o trace "$python" -c '
import socket, sys
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    s = socket.socket(socket.AF_INET, kind)
    s.settimeout(1)
    s.connect_ex((sys.argv[1], 9))' "$a4"
        grep -q AF_UNIX trace || echo 'nor the node'
        grep AF_INET trace
    }
    check 'and the kernel was not asked' equals '' asks_kernel
fi
unset ZT_PRELOAD_START
check 'still no node' no_node

# ---- the first use starts it

idle=100 # looking for nodes takes seconds where much else runs
first6() { with_networks fetch -o got "http://[$a6]:8000/data" && cmp data got; }
first4() { fetch -o got "http://$a4:8000/data" && cmp data got; }
check 'curl starts the node, joins and fetches' first6
check 'there is one node' one_node
node=$(lab_nodes "$work/c")
check 'it is nobody'\''s child here' test "$(ps -o ppid= -p "$node" | tr -d ' ')" != $$
check 'the next program uses the same node' first4
check 'it is the same' equals "$node" lab_nodes "$work/c"
ztctl -H "$work/c" down > down.log 2>&1 || fail "$(cat down.log)"
wait_for 30 no_node || fail 'the node did not end'

# ---- and it ends when nobody uses it

idle=3
check 'remembered networks start it again' first4
check "idle for $idle s: the node ends" wait_for 30 no_node
check 'its door is gone' test ! -e c/control.sock
check 'it said so once' equals 1 grep -c 'not used any more' c/ztd.log
mkfifo hold
c "$python" -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 8000))
print("connected", flush=True)
sys.stdin.readline()' "$a4" < hold > holder.log &
holder=$!
started+=($holder)
exec 9> hold
wait_for 60 grep -q connected holder.log || echo 'no connection'
check 'a connection that does nothing keeps it' stays 6
echo >&9
exec 9>&-
wait $holder
check 'and then it ends' wait_for 30 no_node

idle=8 # time enough for the command to find it
check 'started once more' first4
ztctl -H "$work/c" up > up.log 2>&1 || fail "$(cat up.log)"
check 'ztctl up holds the node' stays 10
# ---- after chroot the way to the door is its abstract twin

chrooted() { # FAMILY ADDRESS: also an address looked at for the first time in there
    mkdir -p empty
    c "${as_root[@]}" "$python" -c '
import encodings.idna, os, socket, sys
os.chroot("empty")
os.chdir("/")
s = socket.create_connection((sys.argv[1], 8000), 60)
s.sendall(b"GET /data HTTP/1.0\r\n\r\n")
n = 0
while d := s.recv(65536):
    n += len(d)
assert n > 4194304, n
l = socket.create_server((sys.argv[2], 0))
print(l.getsockname()[0] == sys.argv[2], os.listdir("/"))' "$1" "$(address_in c "$network4" 4)"
}
as_root=()
[ "$(id -u)" = 0 ] || as_root=(unshare -r)
if c "${as_root[@]}" "$python" -c 'import os; os.chroot("/")' 2> /dev/null; then
    check 'after chroot: connect, IPv4, and bind' equals 'True []' chrooted "$a4"
    check 'after chroot: connect, IPv6' equals 'True []' chrooted "$a6"
else
    echo 'skipped: no right to chroot, nor a user namespace'
fi

check 'ztctl down ends it' ztctl -H "$work/c" down
check 'it is gone' wait_for 30 no_node

# ---- ten at once, six times: they meet a node that is just starting

# It must not leave when the last of them comes seconds after the others.
idle=60
crowd() {
    local pids=() i
    rm -f got.* seen
    for i in {1..10}; do
        fetch -o "got.$i" "http://$a4:8000/data" 2> "err.$i" &
        pids+=($!)
    done
    while kill -0 "${pids[@]}" 2> /dev/null; do
        lab_nodes "$work/c" >> seen
        sleep 0.1
    done
    lab_nodes "$work/c" >> seen # looking takes seconds where much else runs: they may all have ended by then
    wait "${pids[@]}"
    for i in {1..10}; do cmp data "got.$i" || { cat "err.$i"; return 1; }; done
    [ "$(sort -u seen | wc -l)" = 1 ] || { sort seen | uniq -c; cat c/ztd.log; return 1; }
}
for i in {1..6}; do
    check 'ten programs at once: all of them are served, by one node' crowd
    ztctl -H "$work/c" down > down.log 2>&1 || fail "$(cat down.log)"
    wait_for 30 no_node || fail 'the node did not end'
done
idle=100

# ---- the node is killed

fetch --limit-rate 50k -o cut "http://[$a6]:8000/data" 2> cut.log &
victim=$!
wait_for 60 test -s cut || echo 'the transfer did not begin'
node=$(lab_nodes "$work/c")
kill -KILL "$node"
wait $victim
code=$?
check 'kill -9 in a transfer: connection reset, not silence or a short file' \
    equals 56:reset echo "$code:$(grep -o -m 1 reset cut.log)"
check 'the next program has a new node' first4
another=$(lab_nodes "$work/c")
check 'one, and another one' test -n "$another" -a "$another" != "$node" -a "$(wc -w <<< "$another")" = 1
check 'which ends when it is asked to' ztctl -H "$work/c" down
check 'and is gone' wait_for 30 no_node
verdict
