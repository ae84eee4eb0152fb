#!/bin/bash
# Servers that bind to 0.0.0.0 or :: are reached by the kernel's networks and by the virtual ones, through
# one descriptor; and go on when the node goes.
#
#   wildcard.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need python3
python=$(python3 -c 'import sys; print(sys.executable)')

free_port() { free_ports 1; } # of the kernel's
# run TEXT HOME WHAT...: a server of wild.py in the background; ready when it has told its address
run() {
    local text=$1 home=$2
    shift 2
    rm -f server.out
    (
        export ZT_HOME=$work/$home ZT_PRELOAD_START=${ZT_START-no} LD_PRELOAD=$preload
        exec "$python" "$here/wild.py" "$@"
    ) > server.out 2> server.log < /dev/null &
    server=$!
    started+=("$server")
    check "$text" wait_for 60 test -s server.out
    [ -s server.out ] || tail -n 3 server.log
}
end() {
    kill "$server" $(cat "/proc/$server/task/$server/children" 2> /dev/null) 2> /dev/null
    wait "$server" 2> /dev/null
    return 0
}
host() { timeout 100 "$python" "$here/wild.py" "$@"; }
far() { in_home b timeout 100 "$python" "$here/wild.py" "$@"; }
# says PATTERN COMMAND...
says() {
    local pattern=$1 out
    shift
    out=$("$@" 2>&1) || { echo "$out"; return 1; }
    [[ $out =~ ^$pattern$ ]] || { echo "got '$out' for '$pattern'"; return 1; }
}
workers() { # N COMMAND...: at least N different processes answer
    local n=$1
    shift
    "$@" > workers.out || return
    [ "$(cut -d' ' -f1 workers.out | sort -u | wc -l)" -ge "$n" ] || { sort workers.out | uniq -c; return 1; }
}
no() { ! "$@" > /dev/null 2>&1; }
both() { # SERVER: the four ways in; 4 = a server on 0.0.0.0
    check "$1: from the host" says '[0-9]+ 127.0.0.1 127.0.0.1' host ask 127.0.0.1 "$port"
    check "$1: from the network" says "[0-9]+ $a4 $b4" far ask "$a4" "$port"
    check "$1: 20 more from each side" both_many
}
both_many() {
    host ask 127.0.0.1 "$port" 20 > many.out &
    local other=$!
    [ "$(far ask "$a4" "$port" 20 | wc -l)" = 20 ] && wait $other && [ "$(wc -l < many.out)" = 20 ]
}

lab_begin
lab_up
for mode in block epoll edge; do
    port=$(free_port)
    run "$mode: a server on 0.0.0.0" a serve $mode 0.0.0.0 "$port"
    check "$mode: getsockname" grep -qF "('0.0.0.0', $port)" server.out
    both "$mode"
    end
    check "$mode: closed, refused from the host" no host ask 127.0.0.1 "$port"
done

port=$(free_port)
run 'prefork: four processes' a serve prefork 0.0.0.0 "$port"
check 'prefork: several of them serve the host' workers 2 host ask 127.0.0.1 "$port" 40
check 'prefork: several of them serve the network' workers 2 far ask "$a4" "$port" 40
end

port=$(free_port)
run '::, both families' a serve epoll :: "$port"
check '::, IPv4 of the host' says '[0-9]+ ::ffff:127.0.0.1 ::ffff:127.0.0.1' host ask 127.0.0.1 "$port"
check '::, IPv6 of the host' says '[0-9]+ ::1 ::1' host ask ::1 "$port"
check '::, IPv4 of the network' says "[0-9]+ ::ffff:$a4 ::ffff:$b4" far ask "$a4" "$port"
check '::, IPv6 of the network' says "[0-9]+ $a6 $b6" far ask "$a6" "$port"
end

port=$(free_port)
run 'UDP on 0.0.0.0' a serve udp 0.0.0.0 "$port"
check 'UDP from the host' says '[0-9]+ 127.0.0.1 127.0.0.1' host askudp 127.0.0.1 "$port"
check 'UDP from the network' says "[0-9]+ $a4 $b4" far askudp "$a4" "$port"
end
port=$(free_port)
run 'UDP on ::' a serve udp :: "$port"
check 'UDP on ::, IPv4 of the host' says '[0-9]+ ::ffff:127.0.0.1 ::ffff:127.0.0.1' host askudp 127.0.0.1 "$port"
check 'UDP on ::, IPv6 of the host' says '[0-9]+ ::1 ::1' host askudp ::1 "$port"
check 'UDP on ::, IPv6 of the network' says "[0-9]+ $a6 $b6" far askudp "$a6" "$port"
check 'UDP on ::, IPv4 of the network' says "[0-9]+ ::ffff:$a4 ::ffff:$b4" far askudp "$a4" "$port"
end

errors() { # and the node, told of it by its copy of the socket, rests afterwards
    local before after
    before=$(cut -d' ' -f14,15 "/proc/$1/stat" | tr ' ' +)
    says $'ECONNREFUSED\nECONNREFUSED' in_home a timeout 100 "$python" "$here/wild.py" errors "$port" < <(sleep 2) || return
    after=$(cut -d' ' -f14,15 "/proc/$1/stat" | tr ' ' +)
    [ $((after - (before))) -lt $(($(getconf CLK_TCK) / 2)) ] || { echo "$((after - (before))) ticks of processor time"; return 1; }
}
port=$(free_port)
check 'UDP with IP_RECVERR: errors of the host'"'"'s side' errors "$(node_pid a)"
port=$(free_port)
check 'closed and bound again at once, 50 times' says 'sockets left: 0' in_home a timeout 100 "$python" "$here/wild.py" rebind "$port"
run 'inherited by another program' a inherit "$port"
both 'inherited'
end

# ---- the choice

port=$(free_port)
ZT_PRELOAD_ANY=kernel run 'ANY=kernel' a serve block 0.0.0.0 "$port"
check 'ANY=kernel: from the host' says '.*' host ask 127.0.0.1 "$port"
check 'ANY=kernel: not from the network' no far ask "$a4" "$port"
end
port=$(free_port)
ZT_PRELOAD_ANY=virtual run 'ANY=virtual' a serve block 0.0.0.0 "$port"
check 'ANY=virtual: not from the host' no host ask 127.0.0.1 "$port"
check 'ANY=virtual: from the network' says ".* $a4 $b4" far ask "$a4" "$port"
end

check 'UDP_CORK makes one datagram on either side' in_home a "$python" "$here/wild.py" cork "$(free_port)" "$a4"

# ---- interfaces

check 'virtual interfaces are listed, groups joined by their numbers' \
    in_home a "$python" "$here/interfaces.py" "$a4" "$a6"

# ---- a home without a network

mkdir -m 700 c
cp planet c/planet
port=$(free_port)
ZT_START=yes run 'no network: a server' c serve block 0.0.0.0 "$port"
check 'no network: from the host' says '.*' host ask 127.0.0.1 "$port"
check 'no network: no node was started' test -z "$(lab_nodes "$work/c")"
end

# ---- the node goes

port=$(free_port)
run 'four workers, and UDP' a serve prefork 0.0.0.0 "$port"
prefork=$server
uport=$(free_port)
run 'a UDP server beside them' a serve udp 0.0.0.0 "$uport"
both 'before'
kill -KILL "$(node_pid a)"
check 'the node killed: the workers go on with the host' says '[0-9]+ 127.0.0.1 127.0.0.1' host ask 127.0.0.1 "$port"
check 'the node killed: so does UDP' says '[0-9]+ 127.0.0.1 127.0.0.1' host askudp 127.0.0.1 "$uport"
check 'and again, 20 times' host ask 127.0.0.1 "$port" 20
check 'a new node' start_node a
wait_for 60 is_online a || fail "a is not online: $waited"
network_again() { # each worker notices at its next connection
    host ask 127.0.0.1 "$port" 4 > /dev/null && far ask "$a4" "$port" > again.out && cat again.out
}
check 'the network reaches them again' wait_for 30 network_again
check 'and the host does' host ask 127.0.0.1 "$port" 20
server=$prefork
end
verdict
