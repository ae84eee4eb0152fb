#!/bin/bash
# Unmodified programs between two homes, over the virtual IPv4 and IPv6 address, with what came compared
# to what was sent.
#
#   programs.sh BUILD [4|6 [ROW...]]     ROW: a file of tests/preload/programs; those that take long run
#                                        with ZT_TEST_ALL or when named
#
# A row defines test_ROW, and in needs_ROW the programs without which it is skipped.
# Ports are numbers of the virtual network: no process outside can hold them.
build=$(readlink -f "$1") families=${2-4 6}
shift $(($# > 2 ? 2 : $#))
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need curl python3
# the interpreter itself: a version manager's shell script in front of it would only cost time
python=$(python3 -c 'import sys; print(sys.executable)')

PATH=$PATH:/usr/sbin:/sbin
eval "$("$top/tools/deps.d/programs" --env)"
[ -z "${programs_libs-}" ] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$programs_libs
has() { command -v "$1" > /dev/null; }

# serve NAME HOME COMMAND...: in the background, ended by stop; its output is NAME.log
serve() {
    local name=$1 home=$2
    shift 2
    (
        export ZT_HOME=$work/$home ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec setsid "$@" # some end with a signal to their whole group
    ) > "$name.log" 2>&1 < /dev/null &
    started+=($!)
    server=$!
}
stop() {
    kill "$1" 2> /dev/null
    wait "$1" 2> /dev/null
    return 0
}
listens() { # HOME PORT [udp]
    ztctl -H "$work/$1" -j sockets | json "any(s['local'].endswith('/$2') and s['type'] == '${3-tcp}' and
        (s['type'] != 'tcp' or s['state'] == 'LISTENING') for s in d)"
}
up() { # HOME PORT [udp]: the server just started has its port
    wait_for 30 listens "$@" && kill -0 "$server" && return
    echo "no server on port $2:"
    tail -n 5 ./*.log
    return 1
}
b() { in_home b timeout 150 "$@"; }

curl_() { b curl -q -sS -g --noproxy '*' --max-time 120 "$@"; }

# rows that exist, the quick ones first; the others are for ZT_TEST_ALL
quick='curl wget echo nc iperf3 ssh git nginx redis'
long=''
for row in "$here"/programs/*.sh; do
    # shellcheck source=/dev/null
    . "$row"
    name=$(basename "$row" .sh)
    [[ " $quick " == *" $name "* ]] || long+=" $name"
done
rows=${*:-$quick${ZT_TEST_ALL:+$long}}

lab_begin
mkdir stored
mib=16 # of what is moved
[ -z "${ZT_TEST_ALL-}" ] || mib=64
head -c $((mib << 20)) /dev/urandom > data
head -c 8388608 /dev/urandom > data8
head -c 20000 /dev/urandom > small
lab_up
for v in $families; do
    if [ "$v" = 4 ]; then
        addr=$a4 host=$a4 any=0.0.0.0 nobody=10.1.2.3
    else
        addr=$a6 host="[$a6]" any=::0 # and nobody: the same network, another node
        nobody="[$(python3 -c 'import ipaddress, sys
print(ipaddress.ip_address(int(ipaddress.ip_address(sys.argv[1])) ^ 0xffff << 80))' "$a6")]"
    fi
    v=IPv$v
    for name in $rows; do
        needs=needs_$name missing=
        for p in ${!needs-}; do
            has "$p" || missing+=" $p"
        done
        if [ -n "$missing" ]; then
            echo "skipped $name $v: not installed:$missing"
        else
            "test_$name"
        fi
    done
done
verdict
