# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_iperf3_long=iperf3

test_iperf3_long() {
    serve iperf a iperf3 -s -B "$addr" -p 5202 --forceflush
    local s=$server mode
    check "iperf3 $v server listens" up a 5202
    for mode in '-n 64M' '-n 64M -R' '-n 64M -P 8' '-t 2 --bidir' '-n 64M -Z' '-n 16M -l 1000 -N' '-n 16M -w 64K' \
        '-u -b 50M -t 2' '-u -b 50M -t 2 -R' '-u -b 20M -t 2 --bidir'; do
        # shellcheck disable=SC2086
        check "iperf3 $v $mode" iperf_at $mode
    done
    stop "$s"
}
iperf_at() { iperf_port=5202 iperf "$@"; }
