#!/bin/bash
# kill -9, of the node and of programs: an error and never a hang, the same node afterwards, nothing left.
#
#   crash.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need python3
python=$(python3 -c 'import sys; print(sys.executable)')
crash=$here/crash.py
lab_begin
lab_up

prog() { local h=$1; shift; in_home "$h" timeout 500 "$python" -u "$crash" "$@"; }
kill_node() { # HOME: hard; and gone from the list of those that must end by themselves
    local pid
    pid=$(node_pid "$1")
    kill -KILL "$pid"
    wait_for 30 test ! -e "/proc/$pid"
}
again() { start_node "$1" "$(free_ports 1)" && wait_for 60 is_online "$1"; }
same() { # HOME ADDRESS4 ADDRESS6 NODE-ID
    wait_for 30 address_in "$1" "$network4" 4 && [ "$waited" = "$2" ] &&
        wait_for 30 address_in "$1" "$network" 6 && [ "$waited" = "$3" ] && [ "$(node_id "$1")" = "$4" ]
}
asks() { wait_for "${1-60}" prog b ask "$a4" 7000 && echo "$waited"; }

prog a serve "$a4" 7000 > serve.log 2>&1 &
started+=($!)
wait_for 60 grep -q ready serve.log || fail "no server: $(cat serve.log)"
check 'a connection' asks

# ---- the node is killed under a program that waits

id=$(node_id b)
prog b wait "$a4" 7000 "$b4" > wait.log 2>&1 &
waiter=$!
started+=($waiter)
wait_for 30 grep -q blocked wait.log || fail "$(cat wait.log)"
kill_node b || miss 'the node is not gone'
check 'blocked programs get on' wait_for 30 grep -q 'tcp:' wait.log
check 'TCP: a clean error' grep -E 'tcp:(ECONNRESET|ENETDOWN) ' wait.log
check 'UDP: a clean error' grep -E 'udp:(ECONNRESET|ENETDOWN)$' wait.log
wait $waiter
check 'a new connection without a node: an error' sh -c 'cat wait.log; tail -n 1 wait.log | grep -xE "E[A-Z]+|timed out"'

again b || fail "b does not come back: $(cat b.up.log)"
check 'the same identity, networks and addresses' same b "$b4" "$b6" "$id"
check 'new connections work' asks

# ---- the node is killed under a listener, again and again

for i in 1 2 3; do
    id=$(node_id a)
    kill_node a || miss 'the node is not gone'
    again a || fail "a does not come back: $(cat a.up.log)"
    check "round $i: the same node" same a "$a4" "$a6" "$id"
    check "round $i: the running server is reached again" asks
done
check 'accept failed rather than span' test "$(grep -c accept: serve.log)" -lt 600 # it rests for a fifth of a second after each

# ---- a program is killed: nothing of it stays in the node

fds() { find "/proc/$(node_pid b)/fd" -mindepth 1 | wc -l; }
sockets() { ztctl -H b -j sockets | json 'len(d) + 0 or "none"'; }
none_left() { [ "$(sockets)" = none ]; }
wait_for 30 none_left || miss 'sockets are left of what was before'
before=$(fds)
prog b hold "$a4" 7000 60 > hold.log 2>&1 &
holder=$!
wait_for 60 grep -q held hold.log || miss "hold: $(cat hold.log)"
check 'descriptors are in use' test "$(fds)" -ge $((before + 60))
kill -KILL "$(sed -n 's/^held //p' hold.log)"
wait $holder 2> /dev/null
back() { [ "$(fds)" -le $((before + 2)) ]; }
check 'kill -9 of a program: its descriptors go' wait_for 30 back
check 'and its sockets' wait_for 30 none_left
check 'the node works on' asks
verdict
