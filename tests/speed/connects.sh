#!/bin/bash
# What a connection costs in system calls: connect and close, one after the other, by the client program, its node, the
# node of the server, and the server. The calls that wait, and those that move datagrams, depend on how the turns of
# the loops fall and are left out; the others don't, but for what a connect takes in addition that is not answered
# within 2 ms, as on a machine that does other things. The bounds have room for a third of those,
# and three rounds are made if need be: a call that was added is there in each.
#
#   connects.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=../preload/lab.sh
. "$(dirname "$(readlink -f "$0")")/../preload/lab.sh"
need strace python3
count=500
declare -A most=([client]=26 [b]=22 [a]=18 [server]=8) # seen: 20, 16, 14, 6
direct_client=26                                       # seen: 20
direct_server=20                                       # seen: 15

calls() { # per connection, without what depends on chance
    awk -v n=$count '$1 ~ /^[0-9.]+$/ && $NF !~ /^(futex|restart_syscall|total|epoll_wait|ppoll|sendmmsg|recvmmsg|mprotect|mmap|munmap|brk)$/ { s += $4 }
        END { printf "%.1f\n", s / n }' "$1"
}
at_most() { # WHAT VALUE BOUND; the value is told in any case
    echo "        $1: $2 (at most $3)" | tee /dev/fd/3
    awk "BEGIN { exit !($2 > 0 && $2 <= $3) }"
}
tracers=() traced=()
trace() { # NAME PID: count its calls from now on
    strace -c -f -o "$1.calls" -p "$2" 2> "$1.strace" &
    tracers+=($!)
    traced+=("$1")
}
at_it() { grep -q attached "$1.strace" || ! kill -0 "${tracers[@]}" 2> /dev/null; }
traced() { # all of them are at it
    local name
    for name in "${traced[@]}"; do
        wait_for 60 at_it "$name"
        grep -q attached "$name.strace" || { echo "SKIP: system calls: $(head -n 1 "$name.strace")"; verdict; exit; }
    done
    sleep 1
}
traced_no_more() {
    kill -INT "${tracers[@]}"
    wait "${tracers[@]}"
    tracers=() traced=()
}
within() { awk "BEGIN { exit !($(calls "$1.calls") <= $2) }"; }

exec 3>&1
lab_begin
lab_up
mkfifo pipe
ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload BIND=$a6 "$build/tools/netbench" server 17000 < pipe > server.log 2>&1 &
server=$!
started+=($server)
exec {hold}> pipe
wait_for 60 grep -q ready server.log || fail "$(cat server.log)"
in_home b timeout 100 "$build/tools/netbench" client "$a6" 17000 rtt 10 > first.log 2>&1 || fail "$(cat first.log)"
wait_for 30 direct_path b "$(node_id a)" || fail 'no direct path'

for _ in 1 2 3; do
    trace a "$(node_pid a)"
    trace b "$(node_pid b)"
    trace server "$server"
    traced
    ZT_HOME=$work/b ZT_PRELOAD_START=no strace -E LD_PRELOAD="$preload" -c -f -o client.calls \
        timeout 100 "$build/tools/netbench" client "$a6" 17000 series $count > made.log 2>&1 || fail "$(cat made.log)"
    traced_no_more
    within client "${most[client]}" && within b "${most[b]}" && within a "${most[a]}" && within server "${most[server]}" && break
done
for who in client b a server; do
    check "a connection under the preload: $who" at_most 'system calls' "$(calls $who.calls)" "${most[$who]}"
done

mkdir zs zc
cp planet zs/
cp planet zc/
mkfifo pipe2
"$build/tools/netbench-zts" -z "$work/zs" "$network" server 17000 < pipe2 > direct.log 2>&1 &
server=$!
started+=($server)
exec {hold2}> pipe2
wait_for 60 grep -q ready direct.log || fail "$(cat direct.log)"
for _ in 1 2 3; do
    trace direct-server "$server"
    traced
    strace -c -f -o direct-client.calls timeout 100 "$build/tools/netbench-zts" -z "$work/zc" "$network" client \
        "$(sed -n 's/ready //p' direct.log)" 17000 series $count > made.log 2>&1 || fail "$(cat made.log)"
    traced_no_more
    within direct-client $direct_client && within direct-server $direct_server && break
done
check 'a connection of the direct API: client' at_most 'system calls' "$(calls direct-client.calls)" $direct_client
check 'a connection of the direct API: server' at_most 'system calls' "$(calls direct-server.calls)" $direct_server
verdict
