#!/bin/bash
# What a bulk transfer and an idle node cost, in counts that don't depend on the clock or on other load: system calls
# per MiB of a node, wake-ups per idle minute. The bounds have room; a change that needs another call per packet, or
# polls, doesn't fit into it.
#
#   counts.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=../preload/lab.sh
. "$(dirname "$(readlink -f "$0")")/../preload/lab.sh"
need strace python3
megabytes_least=64 # moved, in as many rounds as that takes, but no more than ten
calls_most=60      # per MiB: each end needs some 20; with a call per packet or frame it would be 370 or 750
wakeups_most=60    # per minute: 28 were seen

calls() { # all system calls of an `strace -c` summary, without those of waiting in other threads
    awk '$1 ~ /^[0-9.]+$/ && $NF != "futex" && $NF != "restart_syscall" && $NF != "total" { n += $4 } END { print n + 0 }' "$1"
}
woken() { cat /proc/"$1"/task/*/status | awk '/^voluntary_ctxt/ { n += $2 } END { print n }'; }
at_most() { # WHAT VALUE BOUND; the value is told in any case
    echo "        $1: $2 (at most $3)" | tee /dev/fd/3
    awk "BEGIN { exit !($2 <= $3) }"
}

exec 3>&1
lab_begin
lab_up
pid=$(node_pid a)
mkfifo pipe
BIND=$a6 in_home a "$build/tools/netbench" server 17000 < pipe > server.log 2>&1 &
started+=($!)
exec {hold}> pipe
wait_for 60 grep -q ready server.log || fail "$(cat server.log)"
in_home b timeout 100 "$build/tools/netbench" client "$a6" 17000 rtt 10 > first.log 2>&1 || fail "$(cat first.log)"
wait_for 30 direct_path b "$(node_id a)" || fail 'no direct path'

for _ in 1 2 3 4; do # what came before may not be over
    sleep 3
    before=$(woken "$pid")
    sleep 10
    wakeups=$((($(woken "$pid") - before) * 6))
    [ $wakeups -gt $wakeups_most ] || break
done
check 'wake-ups of an idle node' at_most 'per minute' $wakeups $wakeups_most

pids=("$(node_pid a)" "$(node_pid b)")
strace -c -f -o a.calls -p "${pids[0]}" 2>> strace.log &
tracers=($!)
strace -c -f -o b.calls -p "${pids[1]}" 2>> strace.log &
tracers+=($!)
at_it() { [ "$(grep -c attached strace.log)" = 2 ] || ! kill -0 "${tracers[@]}" 2> /dev/null; }
wait_for 60 at_it
[ "$(grep -c attached strace.log)" = 2 ] || { echo "SKIP: system calls: $(head -n 1 strace.log)"; verdict; exit; }
sleep 1
mib=0
for _ in {1..10}; do
    in_home b timeout 100 "$build/tools/netbench" client "$a6" 17000 throughput 3 > moved.log 2>&1 || fail "$(cat moved.log)"
    mib=$(sed -n 's/.*"bytes": \([0-9]*\).*/\1/p' moved.log | awk -v before=$mib '{ print before + $1 / 1048576 }')
    ! awk "BEGIN { exit !($mib >= $megabytes_least) }" || break
done
kill -INT "${tracers[@]}"
wait "${tracers[@]}"
check 'something was moved' awk "BEGIN { exit !($mib >= $megabytes_least) }"
for end in a b; do
    check "system calls of node $end" at_most 'per MiB' "$(awk "BEGIN { print $(calls $end.calls) / $mib }")" $calls_most
done
cat a.calls b.calls > calls.log
verdict
