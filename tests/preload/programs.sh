#!/bin/bash
# Unmodified programs between two homes, over the virtual IPv4 and IPv6 address, with what came compared
# to what was sent.
#
#   programs.sh BUILD [4|6 [PROGRAM...]]     PROGRAM: curl wget echo nc iperf3 ssh git
#
# Ports are numbers of the virtual network: no process outside can hold them.
build=$1 families=${2-4 6}
shift $(($# > 2 ? 2 : $#))
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need curl python3
# the interpreter itself: a version manager's shell script in front of it would only cost time
python=$(python3 -c 'import sys; print(sys.executable)')

has() { command -v "$1" > /dev/null || [ -x "/usr/sbin/$1" ]; }

# serve NAME HOME COMMAND...: in the background, ended by stop; its output is NAME.log
serve() {
    local name=$1 home=$2
    shift 2
    (
        export ZT_HOME=$work/$home ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec "$@"
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
    ztctl -H "$work/$1" -j sockets | json "any(s['local'].endswith('/$2') and s['type'] == '${3-tcp}'
        for s in d)"
}
up() { # HOME PORT [udp]: the server just started has its port
    wait_for 15 listens "$@" && kill -0 "$server" && return
    echo "no server on port $2:"
    tail -n 5 ./*.log
    return 1
}
b() { in_home b timeout 60 "$@"; }

curl_() { b curl -q -sS -g --noproxy '*' --max-time 50 "$@"; }

get_one() { curl_ -o got "http://$host:8000/data" && cmp data got; }
get_many() { # parallel connections of one curl
    local i args=()
    for i in {1..20}; do args+=(-o "got.$i" "http://$host:8000/small?$i"); done
    curl_ -Z "${args[@]}" || return
    for i in {1..20}; do cmp small "got.$i" || return; done
}
head_of() { curl_ -I "http://$host:8000/data" | grep -qi "^content-length: $(stat -c %s data)"; }
put() { # PUT|POST
    rm -f stored/up
    curl_ -X "$1" --data-binary @data -H 'Content-Type: application/octet-stream' \
        "http://$host:8001/up" && cmp data stored/up
}
upload() {
    rm -f stored/up
    curl_ -T data "http://$host:8001/up" && cmp data stored/up
}
refused() {
    local t0=$EPOCHREALTIME t1 code=0
    curl_ -o /dev/null "http://$host:9/" 2> refused.log || code=$?
    t1=$EPOCHREALTIME
    cat refused.log
    [ $code = 7 ] && awk "BEGIN { exit !($t1 - $t0 < 2) }"
}
nobody_there() { # an address of the network that no node has
    local code=0
    curl_ --connect-timeout 1 -o /dev/null "http://$nobody:80/" || code=$?
    [ $code = 28 ] || [ $code = 7 ]
}
test_curl() {
    serve http a "$python" -u -m http.server --bind "$addr" --directory "$work" 8000
    local http=$server
    check "http.server $v listens" up a 8000
    check "curl $v GET 16 MiB" get_one
    check "curl $v 20 GETs at once" get_many
    check "curl $v HEAD" head_of
    serve put a "$python" "$here/put.py" "$addr" 8001 "$work/stored"
    local put=$server
    check "the PUT server $v listens" up a 8001
    check "curl $v PUT 16 MiB" put PUT
    check "curl $v POST 16 MiB" put POST
    check "curl $v upload with Expect" upload
    check "curl $v refused port, at once" refused
    check "curl $v address of nobody" nobody_there
    stop "$put"
    stop "$http"
    check "curl $v refused after the server ended" refused_8000
}
refused_8000() {
    local code=0
    curl_ -o /dev/null "http://$host:8000/" || code=$?
    [ $code = 7 ]
}

wget_one() { b wget -q --no-proxy --tries=1 -T 30 -O got "http://$host:8002/data" && cmp data got; }
test_wget() {
    serve wget a "$python" -u -m http.server --bind "$addr" --directory "$work" 8002
    check "the server for wget $v listens" up a 8002
    check "wget $v GET 16 MiB" wget_one
    stop "$server"
}

test_echo() {
    serve echo a "$python" "$here/echo.py" serve "$addr" 8010
    check "asyncio server $v listens" up a 8010
    check "python $v asyncio server, 20 connections on one epoll" \
        b "$python" "$here/echo.py" talk "$addr" 8010 20 300000
    check "python $v one connection, 8 MiB" \
        b "$python" "$here/echo.py" talk "$addr" 8010 1 8388608
    stop "$server"
}

nc_both() { # each side half-closes when its input ends, and gets all of the other's
    (
        export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 60 nc -N -l "$addr" 8020
    ) < data > nc.a 2> nc.log &
    server=$!
    started+=("$server")
    up a 8020 || return
    b nc -N "$addr" 8020 < data2 > nc.b || return
    wait "$server" || return
    cmp data nc.b && cmp data2 nc.a
}
nc_zero() { b nc -z -w 5 "$addr" 9 && return 1 || return 0; }
nc_udp() {
    mkfifo udp.in 2> /dev/null
    (
        export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 60 nc -u -l "$addr" 8021
    ) <> udp.in > udp.a 2> nc.log &
    server=$!
    started+=("$server")
    up a 8021 udp || return
    mkfifo udp.in.b 2> /dev/null
    (
        export ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 60 nc -u "$addr" 8021
    ) <> udp.in.b > udp.b 2> nc.b.log &
    local client=$!
    started+=("$client")
    echo ping > udp.in.b
    wait_for 10 grep -q ping udp.a || return
    echo pong > udp.in
    wait_for 10 grep -q pong udp.b
    local code=$?
    kill "$client" "$server"
    wait "$client" "$server"
    return $code
}
test_nc() {
    check "nc $v 16 MiB in both directions, half close" nc_both
    check "nc $v -z on a closed port" nc_zero
    check "nc $v UDP, there and back" nc_udp
}

iperf() {
    b iperf3 -c "$addr" -p 5201 -J "$@" > iperf.json || {
        json 'd.get("error")' < iperf.json
        tail -n 3 iperf.log
        return 1
    }
    json 'd["end"].get("sum_received", d["end"].get("sum"))["bytes"] > 100000' < iperf.json
}
iperf_udp() {
    iperf -u -b 20M -t 1 "$@" && json 'd["end"]["sum"]["lost_percent"] < 20' < iperf.json
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

prepare_ssh() {
    [ ! -d ssh ] || return 0
    mkdir -m 700 ssh
    ssh-keygen -q -t ed25519 -N '' -f ssh/host && ssh-keygen -q -t ed25519 -N '' -f ssh/user || return
    cp ssh/user.pub ssh/authorized
    cat > ssh/client <<- END
	IdentityFile $work/ssh/user
	IdentitiesOnly yes
	UserKnownHostsFile $work/ssh/known
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking accept-new
	BatchMode yes
	LogLevel ERROR
	ConnectTimeout 20
	END
    cat > ssh/server <<- END
	HostKey $work/ssh/host
	AuthorizedKeysFile $work/ssh/authorized
	StrictModes no
	UsePAM no
	PidFile none
	PermitRootLogin yes
	PasswordAuthentication no
	Subsystem sftp internal-sftp
	END
}
ssh_opts() { b "$1" -F ssh/client "${@:2}"; }
me() { echo "$(id -un)@$1"; }
ssh_run() {
    local out
    out=$(ssh_opts ssh -p 2222 "$(me "$addr")" 'echo "$((6 * 7)) $SSH_CONNECTION"; exit 5')
    local code=$?
    echo "status $code: $out"
    [ $code = 5 ] && [[ $out == "42 "*" $addr 2222" ]]
}
ssh_pipe() { ssh_opts ssh -p 2222 "$(me "$addr")" cat < data8 > got && cmp data8 got; }
scp_there() { ssh_opts scp -P 2222 data8 "$(me "$host")":"$work/stored/scp" && cmp data8 stored/scp; }
sftp_back() {
    rm -f got
    echo "get $work/data8 $work/got" | ssh_opts sftp -P 2222 -b - "$(me "$host")" && cmp data8 got
}
test_ssh() {
    has sshd && has ssh-keygen || { echo "skipped ssh: sshd is not installed"; return; }
    [ "$(id -u)" != 0 ] || [ -d /run/sshd ] || {
        mkdir -m 755 /run/sshd && at_end='rmdir /run/sshd' # sshd insists on it when it is root
    }
    check "keys for sshd" prepare_ssh
    serve sshd a /usr/sbin/sshd -D -e -f "$work/ssh/server" -o "ListenAddress=$addr" -p 2222
    local s=$server
    check "sshd $v listens" up a 2222
    check "ssh $v runs a command, with its status" ssh_run
    check "ssh $v 8 MiB through cat" ssh_pipe
    check "scp $v 8 MiB there" scp_there
    check "sftp $v 8 MiB back" sftp_back
    stop "$s"
}

git_clone() {
    rm -rf clone
    b git -c http.proxy= clone -q "http://$host:8040/repo.git" clone && cmp data8 clone/data8
}
prepare_git() {
    [ ! -d repo ] || return 0
    git init -q repo && cp data8 repo/ && git -C repo add data8 &&
        git -C repo -c user.name=t -c user.email=t@localhost commit -qm one &&
        git clone -q --bare repo repo.git && git -C repo.git update-server-info
}
test_git() {
    has git || { echo "skipped git: not installed"; return; }
    check "a repository" prepare_git
    serve git a "$python" -u -m http.server --bind "$addr" --directory "$work" 8040
    check "the server for git $v listens" up a 8040
    check "git $v clone over http" git_clone
    stop "$server"
}

lab_begin
mkdir stored
head -c 16777216 /dev/urandom > data
head -c 16777216 /dev/urandom > data2
head -c 8388608 /dev/urandom > data8
head -c 20000 /dev/urandom > small
lab_up
for v in $families; do
    if [ "$v" = 4 ]; then
        addr=$a4 host=$a4 nobody=10.1.2.3
    else
        addr=$a6 host="[$a6]" # and nobody: the same network, another node
        nobody="[$(python3 -c 'import ipaddress, sys
print(ipaddress.ip_address(int(ipaddress.ip_address(sys.argv[1])) ^ 0xffff << 80))' "$a6")]"
    fi
    v=IPv$v
    for program in ${*:-curl wget echo nc iperf3 ssh git}; do
        case $program in
        wget | nc | iperf3) has "$program" || { echo "skipped $program: not installed"; continue; } ;;
        esac
        "test_$program"
    done
done
verdict
