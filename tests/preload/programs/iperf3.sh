# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_iperf3=iperf3

iperf() {
    local try
    for try in {1..50}; do # it is busy until it has put the last one away
        b iperf3 -c "$addr" -p "${iperf_port-5201}" -J "$@" > iperf.json && break
        grep -q busy iperf.json && [ "$try" -lt 50 ] || {
            json 'd.get("error")' < iperf.json
            tail -n 3 iperf.log
            return 1
        }
        sleep 0.2
    done
    json 'd["end"].get("sum_received", d["end"].get("sum"))["bytes"] > 100000' < iperf.json
}
iperf_udp() { # where much else runs some are lost, and nobody sends them again
    for _ in 1 2 3 4 5; do
        iperf -u -b 20M -t 1 "$@" || return
        json 'd["end"]["sum"]["lost_percent"] < 20' < iperf.json && return
    done
    return 1
}
test_iperf3() {
    serve iperf a iperf3 -s -B "$addr" -p 5201 --forceflush
    local s=$server
    check "iperf3 $v server listens" up a 5201
    check "iperf3 $v TCP" iperf -n 16M
    check "iperf3 $v TCP again on the same server" iperf -n 16M
    check "iperf3 $v -R" iperf -n 16M -R
    check "iperf3 $v -P 4" iperf -n 16M -P 4
    check "iperf3 $v -u" iperf_udp
    check "iperf3 $v -u -R" iperf_udp -R
    check "iperf3 $v TCP after UDP" iperf -n 4M
    stop "$s"
}
