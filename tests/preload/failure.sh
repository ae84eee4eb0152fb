#!/bin/bash
# The node can't be started, is killed, comes back, leaves a network, refuses a user: the right errno, and
# nothing that hangs.
#
#   failure.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need python3
python=$(python3 -c 'import sys; print(sys.executable)')
nobody=10.1.2.3

says() {
    local want=$1 got
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$want" ] || { echo "got '$got'"; echo "for '$want'"; return 1; }
}
has_line() { grep -q "$1" "$2"; }
# in the background, with a line to be written to it later; its output is out.log
begin() {
    rm -f hold
    mkfifo hold
    in_home a timeout 200 "$python" "$here/failure.py" "$@" < hold > out.log 2>&1 &
    program=$!
    started+=($program)
    exec 9> hold
    wait_for 30 has_line ready out.log || fail "$(cat out.log)"
}
go_on() { echo >&9; }
# Not within $(...): its shell has no children to wait for.
ended() { wait $program; exec 9>&-; }

lab_begin
lab_up

# ---- no node can be had

away=$'ENETUNREACH\nEADDRNOTAVAIL\nENETUNREACH\nENETUNREACH\nquick'
mkdir -m 700 c lonely
cp a/ranges c/
check 'may not start' says "$away" env ZT_PRELOAD_START=no ZT_HOME="$work/c" LD_PRELOAD="$preload" \
    "$python" "$here/failure.py" away "$nobody" "$a4"
cp "$preload" lonely/
check 'ztd is not found' says "$away" env PATH=/nowhere ZT_HOME="$work/c" LD_PRELOAD="$work/lonely/libztpreload.so" \
    "$python" "$here/failure.py" away "$nobody" "$a4"
head -c 100 /dev/urandom > c/identity.secret
check 'ztd ends at once: a damaged identity' says "$away" env ZT_HOME="$work/c" LD_PRELOAD="$preload" \
    "$python" "$here/failure.py" away "$nobody" "$a4"
rm -f c/identity.secret
printf '#!/bin/sh\nsleep 30\n' > lonely/ztd
chmod +x lonely/ztd
check 'ztd never opens its door' says "${away/quick/slow}" env ZT_PRELOAD_WAIT=1 ZT_HOME="$work/c" \
    LD_PRELOAD="$work/lonely/libztpreload.so" "$python" "$here/failure.py" away "$nobody" "$a4" 3
for pid in $(pgrep -f "$work/lonely/ztd"); do kill "$pid"; done
mkdir d
ln -s /dev/null d/control.sock
cp a/ranges d/
check 'a door that is none' says "$away" env ZT_PRELOAD_START=no ZT_HOME="$work/d" LD_PRELOAD="$preload" \
    "$python" "$here/failure.py" away "$nobody" "$a4"

# ---- killed under waiting calls, and back

begin blocked "$nobody" "$a4"
kill -KILL "$(node_pid a)"
answers() { grep '^recv:' out.log; }
check 'the node is killed: nothing hangs' wait_for 30 answers
check 'the node is killed: errno of each call' \
    says 'recv:ECONNRESET send:EPIPE accept:ENETDOWN recvfrom:ENETDOWN connect:ENETUNREACH' answers
check 'a new node' start_node a
wait_for 60 is_online a || fail "a is not online: $waited"
wait_for 30 address_in a "$network4" 4 || fail 'no address'
go_on
check 'listener and datagram socket work again' wait_for 30 has_line "back (b'back'" out.log
has_line "back (b'back'" out.log || cat out.log
wait $program
exec 9>&-

ZT_START=yes begin shared "$a4" # the first of its threads starts the next node, the others wait
kill -KILL "$(node_pid a)"
served() { ztctl -H "$work/a" -j sockets | json "sum(x['local'].endswith('/$1') for x in d)"; }
both() { [ "$(served 7300)" -ge 1 ] && [ "$(served 7301)" -ge 1 ]; } 2> /dev/null
check 'sockets that threads share come back' wait_for 30 both
sleep 1
check 'and each of them once' says $'1\n1' eval 'served 7300; served 7301'
go_on
ended
check 'and work' says $'ready\naccept recvfrom' cat out.log
ztctl -H "$work/a" down > down.log 2>&1 || fail "$(cat down.log)"
start_node a || fail "$(cat a.up.log)"
wait_for 60 is_online a || fail "a is not online: $waited"
wait_for 30 address_in a "$network4" 4 || fail 'no address'

# ---- a network is left

begin left "$a4"
ztctl -H "$work/a" leave "$network4" > leave.log 2>&1 || fail "$(cat leave.log)"
go_on
ended
check 'the network is left: a connection ends, no address to bind' \
    says $'ready\nECONNRESET\nTrue\nTrue' cat out.log
ztctl -H "$work/a" join "$network4" > join.log 2>&1 || fail "$(cat join.log)"
wait_for 30 address_in a "$network4" 4 || fail 'no address again'

# ---- another user

if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work"
    (
        export ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec "$python" -u -m http.server --bind "$b4" --directory "$work/lonely" 8000
    ) > http.log 2>&1 < /dev/null &
    started+=($!)
    wait_for 30 has_line 'Serving HTTP' http.log || fail "$(cat http.log)"
    check 'rights given up: open connections go on, new ones are refused' \
        says $'HTTP\nENETUNREACH\nstr' in_home a "$python" "$here/failure.py" user 65534 "$b4" 8000
    echo '{"settings": {"allowUsers": [65534]}}' > a/local.conf
    kill -HUP "$(node_pid a)"
    allowed() {
        says $'HTTP\nNone\nsocket' in_home a "$python" "$here/failure.py" user 65534 "$b4" 8000
    }
    check 'rights given up, and the user allowed' wait_for 30 allowed
else
    echo 'skipped: giving up rights needs root'
fi
verdict
