#!/bin/bash
# ztctl with a node: what it shows, in text and JSON, what it says when something is missing, events,
# completion, and that no secret gets into a dump. All on loopback, one root that is the controller, too.
# usage: test_ztctl_node.sh ZTCTL
set -u
ztctl=$(realpath "$1")
. "$(dirname "$0")/../../tools/lib/common.sh"
work=$(mktemp -d)
cd "$work" || exit 1
unset ZT_HOME ZT_NETWORKS LD_PRELOAD ZT_SHELL
export XDG_STATE_HOME=$work/state TMPDIR=$work/tmp NO_COLOR= TERM=xterm LC_ALL=C.UTF-8
mkdir tmp
passed=0 failed=0
zt() { "$ztctl" -H "$work/$1" "${@:2}"; }
cleanup() {
    for home in root a b; do zt $home down > /dev/null 2>&1; done
    rm -rf "$work"
}
trap cleanup EXIT

# expect NAME STATUS TEXT COMMAND...: exit status, and a pattern in the output; the one before is in `last`
expect() {
    local name=$1 status=$2 text=$3 got=0
    shift 3
    mv -f out last 2> /dev/null
    "$@" > out 2>&1 || got=$?
    if [ $got = "$status" ] && { [ -z "$text" ] || grep -qE -e "$text" out; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: exit status $got, wanted $status and '$text':"
        sed 's/^/  /' out
    fi
}
# soon NAME STATUS TEXT COMMAND...: the same of what takes its time, tried until it is so
soon() {
    local end=$((SECONDS + 60)) got
    until got=0; "${@:4}" > out.soon 2>&1 || got=$?; [ $got = "$2" ] && grep -qE -e "$3" out.soon; do
        [ $SECONDS -lt $end ] || break
        sleep 0.2
    done
    expect "$@"
}
skip() { echo "SKIP $1"; }
has_not() { ! grep -qF -e "$1" "$2"; }
is_online() { zt "$1" -j info | json 'd["online"]' > /dev/null; }
status_of() { zt "$1" -j networks | json "next((n['status'] for n in d if n['id'] == '$2'), 'none')"; }
is_status() { [ "$(status_of "$1" "$2")" = "$3" ]; }

# ---- no planet, then no root ----
read -r port port_a port_b < <(free_ports 3 | tr '\n' ' ')
expect 'up without a planet' 0 "no planet: .*planet install FILE; .* down; .* up" sh -c \
    "'$ztctl' -H a up -p $port_a 2>&1 | tr '\n' ' '"
expect 'info without a planet' 0 '^no planet: ' zt a info
zt a join ff0000ffff000000 > out 2>&1
expect 'networks without a planet' 0 '^no planet: ' zt a networks
expect 'no moon' 0 'no moon is orbited' zt a moons
expect 'no socket' 0 'no virtual socket' zt a sockets
expect 'paths without a planet' 0 '^no planet: ' zt a paths
expect 'ping elsewhere' 1 "networks' shows those" zt a ping 10.1.2.3
expect 'get what is not there' 1 "'ztctl get NWID' shows" zt a get ff0000ffff000000 colour
expect 'set of what is not joined' 1 "'ztctl networks' shows" zt a set ff0000ffff000001 allowDNS=1
expect 'leave what is not joined' 1 "'ztctl networks' shows" zt a leave ff0000ffff000001
expect 'resolve nothing' 1 "get NWID dns' shows" zt a resolve a.example
expect 'api: no such path' 1 'nothing at /frob' zt a api /frob
expect 'dump without roots' 0 '"roots": 0' zt a dump
expect 'down' 0 'ended' zt a down
expect 'dump without a node' 0 'none: ' zt a dump

echo junk > a/planet
echo '{ "settings": { "primaryPort": "x" } }' > a/local.conf
expect 'up: what ztd warned of' 0 'up: .*/a/planet: damaged planet; kept as planet.damaged' zt a up -p "$port_a"
expect 'up: local.conf, too' 0 'up: .*/a/local.conf:1:17: settings.primaryPort: not a whole number' cat last
expect 'down again' 0 'ended' zt a down
rm a/local.conf

"$ztctl" identity new -o root > root.id
root=$(cat root.id)
"$ztctl" planet new --root root/identity.public 127.0.0.1/"$port" -o planet > /dev/null
for home in root a b; do
    mkdir -p $home
    expect "planet install in $home" 0 '' zt $home planet install planet
done
# A node without a planet and without an interface but lo would have nothing to bind.
expect 'up: port taken' 1 "UDP port $port_a is taken: .* choose another" sh -c "
    exec 3>&1; python3 -c 'import socket, subprocess, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind((\"::\", int(sys.argv[1])))
sys.exit(subprocess.run(sys.argv[2:]).returncode)' $port_a '$ztctl' -H a up -p $port_a"
expect 'up with a planet' 0 "^node [0-9a-f]{10} started, .* UDP port $port_a$" zt a up -p "$port_a"
expect 'up again' 0 'is running' zt a up
expect 'info: root silent' 0 '^offline: no root server answers' zt a info
expect 'info: which root' 0 "^  $root at 127.0.0.1/$port$" zt a info
expect 'peers: root silent' 0 "^$root +PLANET .* SILENT" zt a peers
expect 'join: root silent' 0 '^offline: no root' zt a join "${root}000002"
zt a leave "${root}000002" > /dev/null

# ---- with a root ----
expect 'root' 0 'started' zt root up -p "$port"
expect 'second node' 0 'started' zt b up -p "$port_b"
wait_for 60 is_online a || echo "FAILED: a is not online"
wait_for 60 is_online b || echo "FAILED: b is not online"
A=$(zt a -j info | json 'd["address"]')
expect 'info' 0 '^state     online$' zt a info
expect 'status is info' 0 '^state     online$' zt a status
expect 'nothing to say when all is well' 1 '' grep -q 'offline\|no planet' last
expect 'is a root' 0 'a root' zt root info
soon 'peers' 0 "^$root +PLANET +[0-9.]+ +[0-9]+ ms +DIRECT +127.0.0.1/$port" zt a peers
expect 'listpeers' 0 "^$root" zt a listpeers
expect 'peer' 0 '^link      direct, to 127' zt a peer "$root"
expect 'peer in capitals' 0 '^link      direct' zt a peer "${root^^}"
expect 'unknown peer' 1 'is not known here' zt a peer 0123456789
expect 'paths' 0 "^$root +USED +127.0.0.1/$port +127.0.0.1/$port_a +.* ago" zt a paths
expect 'controller without networks' 0 'controller new name=' zt root controller networks
wide='日本語ネットワーク'
NET=$(zt root controller new name="$wide" ipv4=10.147.20.0/24)
zt a -j watch > events.json 2>&1 &
watcher=$!
zt a watch > events 2>&1 &
wait_for 60 grep -q watching events
wait_for 60 grep -q watching events.json
soon 'join: not authorised' 0 "this node, $A, is not authorised yet" zt a join "$NET"
expect 'the command that authorises' 0 "^  ztctl controller authorize $NET $A$" zt a networks
command=$(grep '^  ztctl controller' out)
expect 'members: how to let one in' 0 "controller authorize $NET $A" zt root controller members "$NET"
# shellcheck disable=SC2086
expect 'that command works' 0 "$A authorized" zt root ${command#  ztctl }
wait_for 30 is_status a "$NET" OK || echo "FAILED: a is not in"
expect 'members' 0 "^$A +yes +- .*10.147.20" zt root controller members "$NET"
soon 'unknown network' 0 'has no such network' zt a join "${root}000001"
zt a join ff0000ffff000000 > out
expect 'listnetworks' 0 "^$NET" zt a listnetworks
expect 'columns line up' 0 '^1$' python3 - "$ztctl" "$work/a" "$wide" <<'PY'
import subprocess, sys, unicodedata
rows = subprocess.check_output([sys.argv[1], "-H", sys.argv[2], "networks"], text=True).splitlines()
def column(row, of):  # where the third word begins on a terminal
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in row[:row.index(of)])
assert any(sys.argv[3] in r for r in rows), rows
print(len({column(rows[0], "STATUS")} | {column(r, s) for r in rows[1:] for s in ("OK", "NOT_FOUND") if s in r}))
PY
zt root controller set "$NET" name="$(printf 'e\033[31mvil\r\u202e%.0s' {1..8})" > /dev/null
expect 'names steer no terminal' 0 '^e\?\[31mvil\?\?' sh -c \
    "i=0; while [ \$i -lt 200 ]; do i=\$((i + 1)); '$ztctl' -H a get $NET name | grep '^e' && break; sleep 0.3; done"
expect 'names are cut' 0 "^$NET  .{31}…  OK" zt a networks
expect 'and clean' 1 '' grep -q "$(printf '\033\|\r')" last
nobody=10.147.20.250 # unless chance gave it to a
! zt a networks | grep -q "$nobody/" || nobody=10.147.20.251
expect 'ping: nobody' 1 '0 answered' zt a ping -c 1 $nobody
expect 'leave' 0 "left $NET" zt a leave "$NET"
expect 'deauthorize' 0 "$A deauthorized" zt root controller deauthorize "$NET" "$A"
for wrong in private=maybe mtu=7 ipv6=ipv4 dns=office.lan route=10.0.0.0/99 routes=7 remoteTraceTarget=12; do
    expect "set $wrong" 2 "is (not|none)" zt root controller set "$NET" "$wrong"
done
expect 'set authorized=perhaps' 2 'not true or false' zt root controller set "$NET" "$A" authorized=perhaps
expect 'set ip=1.2.3' 2 'not an IP address' zt root controller set "$NET" "$A" ip=1.2.3
expect 'set what is left out' 1 '1 of the 1 routes' zt root controller set "$NET" 'routes=[{"target":"x"}]'
expect 'nothing of that happened' 0 '"private": true' zt root controller show "$NET"
zt root controller set "$NET" private=no ipv4=10.147.20.0/24 dns=office.lan,10.147.20.1 ipv6=6plane > /dev/null
expect 'private=no' 0 '"private": false' zt root controller show "$NET"
expect 'dns=DOMAIN,SERVER' 0 '"domain": "office.lan"' zt root controller show "$NET"
expect 'no such member' 1 '1234567890 has not asked' zt root controller show "$NET" 1234567890
expect 'no such network' 1 "there is no network ${root}abcdef" zt root controller members "${root}abcdef"
expect 'not the controller' 1 "this node, $A, is not the controller of $NET: that is node $root" zt a controller show "$NET"
expect 'delete a member' 0 "$A deleted" zt root controller delete "$NET" "$A"
expect 'delete a network' 0 "$NET deleted" zt root controller delete "$NET"
expect 'orbit' 0 'asked for|held' zt a orbit 1234567890 1234567890
expect 'listmoons' 0 '^0000001234567890 +WAITING' zt a listmoons
expect 'deorbit' 0 'left' zt a deorbit 1234567890

# ---- JSON everywhere, with -j in front and behind ----
: > all.json
as_json() { # HOME COMMAND: both ways, for one look at all of them below
    # shellcheck disable=SC2086
    { echo "== -j $2"; "$ztctl" -j -H "$1" $2; echo "== $2 -j"; "$ztctl" $2 -H "$1" -j; } >> all.json 2> err
}
for c in info status networks listnetworks peers listpeers paths moons sockets "peer $root" \
    "get ff0000ffff000000" "set ff0000ffff000000 allowDNS=1" "api /status" dump reload up \
    "ping -c 1 fc00:0:ff00:0:1::1" "identity show" "planet show $work/planet" "join ff0000ffff000000"; do
    as_json a "$c"
done
as_json root 'controller networks'
as_json root 'controller new'
as_json root "controller members $(zt root controller new)"
expect 'JSON everywhere' 0 '^46 documents$' python3 - <<'PY'
import json, re
parts = re.split(r"(?m)^== (.*)\n", open("all.json").read())[1:]
for name, text in zip(parts[::2], parts[1::2]):
    try: json.loads(text)
    except ValueError as e: print("%s: %s: %r" % (name, e, text[:80]))
print(len(parts) // 2, "documents")
PY
expect 'and nothing else' 1 '' grep -q ': Expecting' last

# ---- events ----
wait_for 60 grep -q "left     $NET" events
wait_for 60 grep -q '"network"' events.json
expect 'watch: online' 0 "^..:..:..  watching $A, online" cat events
expect 'watch: denied' 0 "network  $NET - ACCESS_DENIED" cat events
expect 'watch: let in' 0 "network  $NET $wide OK \+10.147.20" cat events
expect 'watch: left' 0 "left     $NET" cat events
expect 'watch -j' 0 '^network watching$' python3 -c "
import json
e = [json.loads(x) for x in open('events.json')]
print(*sorted({x['event'] for x in e} & {'network', 'watching'}))"
kill $watcher 2> /dev/null
wait $watcher 2> /dev/null
timeout 100 "$ztctl" -H b watch -n 1 > events.n 2>&1 &
wait_for 60 grep -q watching events.n
zt b join ff0000ffff000000 > /dev/null
wait $!
expect 'watch -n: its status' 0 '' test $? = 0
expect 'watch -n ends by itself' 0 'network  ff0000ffff000000' cat events.n
zt b leave ff0000ffff000000 > /dev/null
expect 'watch: nobody reads' 0 '' sh -c "timeout 100 '$ztctl' -H b watch | true & sleep 0.3;
    '$ztctl' -H b join ff0000ffff000000; '$ztctl' -H b leave ff0000ffff000000; '$ztctl' -H b join ff0000ffff000000; wait"
zt b watch > events.b 2>&1 &
wait_for 60 grep -q watching events.b
zt b down > /dev/null
wait $!
expect 'watch: the node ends' 0 'down     the node ends' cat events.b

# ---- no secret in a dump ----
echo '{"settings": {"portMappingEnabled": false}}' > a/local.conf
echo 'secretinafile' > a/networks.d/note
zt a dump > dump
zt a -j dump >> dump
expect 'dump: local.conf' 0 'portMappingEnabled' cat dump
expect 'dump: peers' 0 "$root" cat dump
for secret in "$(cat a/authtoken.secret)" "$(cat a/metricstoken.secret)" "$(cut -d: -f4 a/identity.secret)" secretinafile; do
    expect 'dump: no secret' 0 '' has_not "$secret" dump
done

# ---- colour ----
if command -v script > /dev/null; then
    on_terminal() { script -qec "$1" /dev/null < /dev/null; }
    expect 'colour on a terminal' 0 "$(printf '\033')\[32monline" on_terminal "'$ztctl' -H a info"
    expect 'NO_COLOR' 0 '' sh -c "NO_COLOR=1 script -qec \"'$ztctl' -H a info\" /dev/null < /dev/null | grep -q '^state     online'"
else
    skip 'colour: no script(1)'
fi
expect 'no colour in a file' 0 '^state     online$' zt a info

# ---- completion ----
complete() { zt a __complete "$@"; }
expect 'complete: commands' 0 '^networks	networks joined' complete net
expect 'complete: networks' 0 '^ff0000ffff000000	adhoc' complete leave ''
expect 'complete: a peer' 0 "^$root	PLANET" complete peer "${root:0:4}"
expect 'complete: a setting' 0 '^allowDNS=' complete set ff0000ffff000000 allowD
expect 'complete: a property' 0 '^assignedAddresses' complete get ff0000ffff000000 assig
expect 'complete: verbs' 0 '^add-root' complete planet a
expect 'complete: options' 0 '^--next	$' complete planet sign --n
expect 'complete: a folder' 0 '^:dir' complete identity new -o ''
expect 'complete: a program' 0 '^:program' complete exec -n ff0000ffff000000 cu
expect 'complete: files of a program' 0 '^:file' complete exec curl ''
expect 'complete: an option once' 0 '^1$' sh -c "'$ztctl' __complete planet new - | grep -c -e --root"
expect 'complete: controller' 0 "^$(zt root -j controller networks | json 'd[0]["id"]')" \
    zt root __complete controller show ''
expect 'complete without a node' 0 '^:none$' "$ztctl" -H nobody __complete leave ''
export ZT_HOME=$work/a
dir=$(dirname "$ztctl")
PATH=$dir:$PATH
expect 'bash completion' 0 '^ff0000ffff000000 $|^ff0000ffff000000$' bash --norc -c "source <(ztctl completion bash)
    COMP_WORDS=(ztctl leave ff) COMP_CWORD=2; _ztctl; printf '%s\n' \"\${COMPREPLY[@]}\""
expect 'bash completion of files' 0 '^planet$' bash --norc -c "source <(ztctl completion bash); compopt() { :; }
    COMP_WORDS=(ztctl planet show plan) COMP_CWORD=3; _ztctl; printf '%s\n' \"\${COMPREPLY[@]}\""
if command -v fish > /dev/null; then
    expect 'fish completion' 0 '^ff0000ffff000000' fish --no-config -c \
        "ztctl completion fish | source; complete -C 'ztctl leave f'"
    expect 'fish completion of commands' 0 '^networks	' fish --no-config -c \
        "ztctl completion fish | source; complete -C 'ztctl netw'"
else
    skip 'fish completion: no fish'
fi
if command -v zsh > /dev/null; then
    expect 'zsh completion' 0 'leave ff0000ffff000000' python3 - <<'PY'
# A zsh on a terminal of its own; what Tab makes of the line is what people see.
import os, pty, re, select, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb"
    os.execvp("zsh", ["zsh", "-f", "-i"])
def read_until(what, seconds):
    got, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and not re.search(what, got):
        if select.select([fd], [], [], 0.2)[0]:
            try: got += os.read(fd, 65536)
            except OSError: break
    return got
os.write(fd, b"PS1='REA''DY> '; autoload -Uz compinit; compinit -u -D; source <(ztctl completion zsh)\n")
read_until(b"READY> ", 60)
os.write(fd, b"ztctl leave ff\t")  # no node's id begins so
print(read_until(b"ff0000ffff000000", 60).decode(errors="replace"))
os.write(fd, b"\x15exit\n")
read_until(b"\0", 1)
os.close(fd)
PY
else
    skip 'zsh completion: no zsh'
fi

# ---- shells ----
library=$(dirname "$ztctl")/../preload/libztpreload.so
if [ ! -e "$library" ]; then
    skip 'shell: libztpreload.so is not built'
else
    export HOME=$work/user
    mkdir -p "$HOME"
    echo 'PS1="mine> "; MINE=yes' > "$HOME/.bashrc"
    echo 'PROMPT="mine> "; MINE=yes' > "$HOME/.zshrc"
    for shell in bash zsh; do
        path=$(command -v $shell) || { skip "shell: no $shell"; continue; }
        printf 'echo "[$MINE|$PS1|$ZT_HOME|${LD_PRELOAD##*/}]"\nexit 5\n' |
            SHELL=$path timeout 100 "$ztctl" shell > shell.out 2>&1
        expect "shell: status of $shell" 0 '' test $? = 5 # of the pipe's last
        expect "shell: $shell" 0 "\[yes\|\(zt\) mine> \|$work/a\|libztpreload.so\]" cat shell.out
    done
    expect 'shell: nothing is left' 1 '' sh -c "ls -d tmp/zt-shell.* > /dev/null 2>&1 || exit 1"
    if path=$(command -v fish); then
        printf 'fish_prompt; echo; echo "[$ZT_HOME]"\nexit 5\n' |
            SHELL=$path timeout 100 "$ztctl" shell > shell.out 2>&1
        expect 'shell: fish' 0 "\[$work/a\]" cat shell.out
        expect 'shell: hint in fish' 0 '\(zt\) ' cat shell.out
    else
        skip 'shell: no fish'
    fi
    expect 'shell: sh' 0 '^\(zt\) \$ ' env SHELL=/bin/sh sh -c "echo 'echo \"\$PS1\"' | '$ztctl' shell"
    expect 'shell: no other arguments' 2 'unexpected' "$ztctl" shell ls
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
