#!/bin/bash
# Every program of docs/examples, in a private planet on loopback. usage: run.sh BUILD
set -u
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lab.sh
. "$here/../lab.sh" "$1" examples

passed=0 failed=0 servers=()
homes_needed=(client server poll_client poll_server epoll udp_a udp_b listen4 listen6 send4 send6 statistics adhoc)
start_root "${homes_needed[@]}"
wait_for 60 is_online root || fail 'the root is not online'
unset ZT_PLANET
nwid=$(new_network examples private=false ipv4=10.77.0.0/16 ipv6=6plane)
[ -n "$nwid" ] || fail 'no network'

# serve OUT PROGRAM ARGS...: in the background; ends when the test does
serve() {
    local out=$1 program=$2
    shift 2
    timeout 500 "$build/docs/$program" "$@" > "$out.out" 2> "$out.err" &
    started+=($!)
    servers+=("$out:$!")
}
# run OUT PROGRAM ARGS...: until it ends
run() {
    local out=$1 program=$2
    shift 2
    timeout 150 "$build/docs/$program" "$@" > "$out.out" 2> "$out.err"
}
says() { grep -qE -- "$2" "$1.out"; }
address4() { grep -oE '10\.77\.[0-9]+\.[0-9]+' "$1.out" | head -n 1; }
address6() { grep -oE '\bfc[0-9a-f:]+' "$1.out" | head -n 1; }
check() { # NAME TEXT: what the program of this name has printed, or soon does
    if wait_for 30 says "$1" "$2"; then
        passed=$((passed + 1))
        echo "passed $1: $(grep -hE -m 1 -- "$2" "$1.out")"
    else
        failed=$((failed + 1))
        echo "failed $1: never said '$2':"
        sed 's/^/    /' "$1.out" "$1.err" | tail -n 20
    fi
}

serve server server server "$nwid" 7000
serve poll_server poll_server poll_server "$nwid" 7001
serve udp_a udp udp_a "$nwid" 7002
serve listen4 multicast listen4 "$nwid" listen 239.1.2.3 7003
serve listen6 multicast listen6 "$nwid" listen ff02::1234 7003
for name in server poll_server udp_a listen4 listen6; do
    wait_for 60 says "$name" listening || { echo "failed $name: does not listen: $(cat "$name.err")"; failed=$((failed + 1)); }
done

run client client client "$nwid" "$(address4 server)" 7000 'hello there'
check client 'echo: hello there'
run client client client "$nwid" "$(address6 server)" 7000 'and by IPv6'
check client 'echo: and by IPv6'
run poll_client poll_client poll_client "$nwid" "$(address6 poll_server)" 7001 3000000
check poll_client '^3000000 bytes came back'
run poll_client poll_client poll_client "$nwid" "$(address4 poll_server)" 7001 1000
check poll_client '^1000 bytes came back'
printf 'one\ntwo\n' | run epoll epoll epoll "$nwid" "$(address4 poll_server)" 7001
check epoll '^two$'
run udp_b udp udp_b "$nwid" "$(address4 udp_a)" 7002 datagram
check udp_b 'answer: datagram'
run udp_b udp udp_b "$nwid" "$(address6 udp_a)" 7002 'another'
check udp_b 'answer: another'
# A sender that has ended before the network told it who listens is heard by nobody.
heard() { # LISTENER SENDER GROUP TEXT
    for _ in 1 2 3 4 5; do
        run "$2" multicast "$2" "$nwid" send "$3" 7003 "$4"
        ! wait_for 3 says "$1" "heard: $4" || break
    done
    check "$1" "heard: $4"
}
heard listen4 send4 239.1.2.3 'to all of IPv4'
heard listen6 send6 ff02::1234 'to all of IPv6'
run statistics statistics statistics "$nwid" 2
check statistics '^link +[1-9][0-9]* '
run adhoc adhoc adhoc 2000 3000 75f3543094
check adhoc 'node 75f3543094 is fc47:7d0:b75:f354:3094::1'
check adhoc '^address fc47:7d0:b'
run custom_planet custom_planet root/identity.public "$root_endpoint" "$nwid"
check custom_planet '^node [0-9a-f]{10} is 10\.77\.'

# They stop when they are asked to, and have nothing to complain of.
for it in "${servers[@]}"; do
    kill -TERM "${it#*:}"
    wait "${it#*:}"
    code=$?
    name=${it%%:*}
    [ "$name" = server ] && continue # runs until it is killed
    [ $code = 0 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "failed $name: status $code at the end: $(cat "$name.err")"; }
done
for program in "$here"/../../docs/examples/*.c; do
    name=$(basename "$program" .c)
    [ -x "$build/docs/$name" ] || { failed=$((failed + 1)); echo "failed $name: not built"; }
    grep -q "\b$name\b" "$here/run.sh" || { failed=$((failed + 1)); echo "failed $name: not run here"; }
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
