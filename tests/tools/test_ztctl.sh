#!/bin/bash
# What ztctl does without a node: identities, planets, exec's refusals, exit codes and messages.
# usage: test_ztctl.sh ZTCTL VECTORS CC
set -u
ztctl=$(realpath "$1") vectors=$(realpath "$2") cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset ZT_HOME ZT_NETWORKS LD_PRELOAD
export XDG_STATE_HOME=$work/state
passed=0 failed=0

# expect NAME STATUS TEXT COMMAND...: exit status, and a pattern in the output
expect() {
    local name=$1 status=$2 text=$3 got=0
    shift 3
    "$@" > out 2>&1 || got=$?
    if [ $got = "$status" ] && { [ -z "$text" ] || grep -qE -e "$text" out; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: exit status $got, wanted $status and '$text':"
        sed 's/^/  /' out
    fi
}
same() { cmp -s "$1" "$2"; }
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
py() { python3 -c "$@"; }

expect 'no command' 2 '^usage' "$ztctl"
expect 'unknown command' 2 "unknown command 'frob'" "$ztctl" frob
expect 'help' 0 'exit codes' "$ztctl" --help
for c in up down reload info status watch dump join leave networks listnetworks set get peers listpeers peer paths sockets ping resolve api \
    exec shell identity planet moon moons listmoons orbit deorbit rules controller help completion; do
    name=$c
    case $c in status) name=info ;; list*) name=${c#list} ;; esac
    expect "help of $c" 0 "^usage: ztctl .* $name" "$ztctl" $c --help
    expect "example in help of $c" 0 "^  (ztctl|source).* $name" "$ztctl" $c --help
    cp out by_option
    expect "help $c" 0 '' sh -c "'$ztctl' help $c | cmp - by_option"
done
expect 'help of nothing' 2 "no command 'frob'" "$ztctl" help frob
expect 'a misspelt command' 2 "do you mean 'networks'" "$ztctl" netwroks
expect 'completion for what shell' 2 'bash, zsh and fish' "$ztctl" completion tcsh
for c in bash zsh fish; do expect "completion $c" 0 '__complete' "$ztctl" completion $c; done

for c in info networks peers paths 'peer 1234567890' watch sockets moons down reload 'orbit 1234567890 1234567890' 'deorbit 1' 'join ff0000ffff000000' 'ping 10.1.2.3' \
    'controller networks' 'controller new name=x' 'controller members 1122334455000001' \
    'controller authorize 1122334455000001 89e92ceee5'; do
    # shellcheck disable=SC2086
    expect "$c without a node" 3 'start it with: ztctl -H .*/nohome up' "$ztctl" -H nohome $c
done
c='controller'
expect 'controller alone' 2 'what is to be done' "$ztctl" $c
expect 'controller verb' 2 "'frob' is none of" "$ztctl" $c frob
expect 'controller network id' 2 '16 hex digits' "$ztctl" $c members 123
expect 'controller without addresses' 2 'addresses of nodes' "$ztctl" $c authorize 1122334455000001
expect 'controller address' 2 'not a node.s address' "$ztctl" $c authorize 1122334455000001 12
expect 'controller surplus' 2 "unexpected argument 'x'" "$ztctl" $c networks x
expect 'controller setting' 2 "'colour' is nothing" "$ztctl" $c new colour=red
expect 'controller no setting' 2 'not KEY=VALUE' "$ztctl" $c new name
expect 'controller switch' 2 'not true or false' "$ztctl" $c new private=maybe
expect 'controller number' 2 'not a number from 1280' "$ztctl" $c new mtu=big
expect 'api body' 2 'not JSON: line 1' "$ztctl" -H nohome api POST /network/ff0000ffff000000 '{bad'
expect 'controller ipv4' 2 'not an IPv4 network' "$ztctl" $c new ipv4=10.1.2.3
expect 'controller route' 2 'not a route' "$ztctl" $c new route=10.0.0.0/8,fd00::1
expect 'controller rules' 1 'see .ztctl rules compile' "$ztctl" $c new rules=nofile
expect '-H after the command' 3 "no node is running in $work/other" "$ztctl" info -H other
expect 'home from the environment' 3 "in $work/envhome" env ZT_HOME=envhome "$ztctl" info
expect 'default home' 3 "in $work/state/zt" "$ztctl" info
for id in 123 ff0000ffff00000 ff0000ffff0000000 gg0000ffff000000 ''; do
    expect "network id '$id'" 2 '16 hex digits' "$ztctl" join "$id"
done
expect 'port' 2 'not a UDP port' "$ztctl" up -p 65536
expect 'ping needs an address' 2 'not an IP address' "$ztctl" ping example
expect 'home that cannot be made' 1 'ztctl up: ' "$ztctl" -H /proc/nothing/here up
expect 'no home was made' 1 '' test -e nohome
long=$work/$(printf 'x%.0s' {1..100})/$(printf 'y%.0s' {1..100})
mkdir -p "$long"
expect 'long home' 3 'no node is running' "$ztctl" -H "$long" info

expect 'identity new' 0 '^[0-9a-f]{10}$' "$ztctl" identity new -o one
expect 'mode of the secret' 0 '' mode one/identity.secret 600
cp one/identity.secret kept
expect 'identity is never replaced' 1 'exists and is kept' "$ztctl" identity new -o one
expect 'identity is unchanged' 0 '' same kept one/identity.secret
expect 'new identity is valid' 0 'valid' "$ztctl" identity validate one
expect 'identity show' 0 'secret key   yes' "$ztctl" identity show one
expect 'identity show -j' 0 '"hasSecret": false' "$ztctl" -j identity show one/identity.public
sed 's/.$/0/;t' one/identity.public | tr 1 2 > broken.public
expect 'damaged identity' 1 'NOT valid|not an identity' "$ztctl" identity validate broken.public
echo garbage > garbage
expect 'no identity' 1 'not an identity' "$ztctl" identity show garbage
while IFS=' ' read -r valid text; do
    expect "vector ${text:0:24}" "$valid" '' "$ztctl" identity validate "$text"
done < <(py '
import json, sys
d = json.load(open(sys.argv[1] + "/identity.json"))
for x in d["identities"]: print(0, x["public_string"])
for x in d["invalid"]:
    if x.get("string") and " " not in x["string"]: print(0 if x["valid"] else 1, x["string"])
' "$vectors")

root=one/identity.public
expect 'planet new' 0 'by its own update key' "$ztctl" planet new --root $root 10.0.0.1/9993 fd00::1/9993 -o planet
expect 'mode of the key' 0 '' mode planet.secret 600
expect 'planet is never replaced' 1 'exists and is kept' "$ztctl" planet new --root $root 10.0.0.1/9993 -o planet
expect 'key is never replaced' 1 'exists and is kept' sh -c "cp planet.secret other.secret; '$ztctl' planet new --root $root 10.0.0.1/1 -o other"
expect 'nothing half done' 1 '' test -e other
expect 'planet show' 0 'fd00::1/9993' "$ztctl" planet show planet
expect 'planet show -j' 0 '"selfSigned": true' "$ztctl" planet show planet -j
cp planet first
expect 'planet update' 0 '10.0.0.2/9993' "$ztctl" planet update --root $root 10.0.0.2/9993 -o planet
revision() { "$ztctl" -j planet show "$1" | py 'import json, sys; d = json.load(sys.stdin); print(d["id"], d["timestamp"])'; }
newer() {
    read -r id1 t1 <<< "$(revision first)"
    read -r id2 t2 <<< "$(revision planet)"
    [ "$id1" = "$id2" ] && [ "$t2" -gt "$t1" ]
}
expect 'update keeps the id, is newer' 0 '' newer
"$ztctl" planet new --root $root 10.0.0.9/1 -o other.planet > out
expect 'update with another key' 1 'not the key' sh -c \
    "'$ztctl' planet new --root $root 10.0.0.1/1 -o third && '$ztctl' planet update --key planet.secret --root $root 10.0.0.1/1 -o third"
expect 'endpoint without port' 2 'not an endpoint' "$ztctl" planet new --root $root 10.0.0.1 -o p
expect 'endpoint before root' 2 'before a --root' "$ztctl" planet new 10.0.0.1/1 -o p
expect 'root without endpoint' 2 'no endpoint' "$ztctl" planet new --root $root -o p
expect 'root twice' 2 'twice' "$ztctl" planet new --root $root 10.0.0.1/1 --root $root 10.0.0.2/1 -o p
expect 'no file' 2 'with -o' "$ztctl" planet new --root $root 10.0.0.1/1
expect 'no --next for new' 2 'for revisions' "$ztctl" planet new --root $root 10.0.0.1/1 -o p --next k

"$ztctl" identity new -o two > address && two=$(cat address)
expect 'add-root' 0 "^root +$two 10.0.0.3/9993 fd00::3/9993" "$ztctl" planet add-root planet two/identity.public 10.0.0.3/9993 fd00::3/9993
expect 'add-root keeps the others' 0 '10.0.0.2/9993' "$ztctl" planet show planet
expect 'add-root keeps the id, is newer' 0 '' newer
expect 'add-root twice' 2 'twice' "$ztctl" planet add-root planet two/identity.public 10.0.0.3/9993
expect 'add-root without endpoint' 2 'its endpoints' "$ztctl" planet add-root planet two/identity.public
expect 'sign' 0 'by its own update key' "$ztctl" planet sign planet
expect 'sign hands over' 0 'next key +second.key' "$ztctl" planet sign planet --next second.key
expect 'mode of the next key' 0 '' mode second.key 600
expect 'signed by the key before' 0 'by another key' "$ztctl" planet show planet
expect 'the old key signs no more' 1 'not the key' "$ztctl" planet sign planet
cp planet before
expect 'the new key does' 0 'by its own update key' "$ztctl" planet sign planet --key second.key
expect 'remove-root' 0 '' "$ztctl" planet remove-root planet "$two" --key second.key
expect 'remove-root removes it' 1 '' grep -q "$two" out
expect 'remove-root: not there' 1 'no root' "$ztctl" planet remove-root planet "$two" --key second.key
expect 'remove-root: the last one' 1 'the only root' "$ztctl" planet remove-root planet "$(cut -c1-10 one/identity.public)" --key second.key
chmod 640 planet.secret
expect 'key that others may read' 1 'others may read planet.secret: .chmod 600' "$ztctl" planet sign planet
chmod 600 planet.secret
expect 'key that is none' 1 'not the key of a world' "$ztctl" planet sign planet --key garbage

expect 'install' 0 "wrote +$work/three/planet" "$ztctl" -H three planet install before
expect 'install a newer revision' 0 '' "$ztctl" -H three planet install planet
expect 'installed' 0 '' same planet three/planet
expect 'install again' 0 '' "$ztctl" -H three planet install planet
expect 'install an older revision' 1 'no older revision' "$ztctl" -H three planet install before
expect 'install another planet' 1 'is another planet' "$ztctl" -H three planet install other.planet
expect 'nothing was replaced' 0 '' same planet three/planet
expect 'install --force' 0 '' "$ztctl" -H three planet install --force before
expect 'forced' 0 '' same before three/planet

moon=$(cut -c1-10 one/identity.public)
expect 'moon new' 0 "^moon +000000$moon" "$ztctl" moon new --root $root 10.0.0.1/9993
expect 'moon file' 0 'moon' "$ztctl" moon show "000000$moon.moon"
expect 'mode of the key of a moon' 0 '' mode "000000$moon.moon.secret" 600
expect 'moon is never replaced' 1 'exists and is kept' "$ztctl" moon new --root $root 10.0.0.1/9993
expect 'moon sign' 0 'by its own update key' "$ztctl" moon sign "000000$moon.moon"
expect 'moon add-root' 0 "$two" "$ztctl" moon add-root "000000$moon.moon" two/identity.public 10.0.0.3/9993
expect 'moon install' 0 "moons.d/000000$moon.moon" "$ztctl" -H three moon install "000000$moon.moon"
expect 'moon is no planet' 1 'is a moon' "$ztctl" -H three planet install "000000$moon.moon"
expect 'planet is no moon' 1 'is a planet' "$ztctl" moon sign planet
expect 'moon: wrong verb' 2 'not one of' "$ztctl" moon frob
for id in '' 0 12345678901234567 xyz; do
    expect "moon id '$id'" 2 'not the id of a moon' "$ztctl" orbit "$id" 1234567890
    expect "deorbit '$id'" 2 'not the id of a moon' "$ztctl" deorbit "$id"
done
expect 'orbit without a seed' 2 'address of a node' "$ztctl" orbit 1234567890
expect 'orbit: wrong seed' 2 '10 hex digits' "$ztctl" orbit 1234567890 12345
for n in 0 1 80 180 "$(($(stat -c %s planet) - 1))"; do
    head -c "$n" planet > cut
    expect "planet cut to $n bytes" 1 'not a planet' "$ztctl" planet show cut
done
{ cat planet; echo; } > longer
expect 'bytes behind a planet' 1 'not a planet' "$ztctl" planet show longer
py 'import sys; b = bytearray(open("planet", "rb").read()); b[-1] ^= 1; open("flipped", "wb").write(b)'
expect 'flipped bit' 0 'by another key' "$ztctl" planet show flipped

printf 'drop not ethertype ipv4;\n\taccept dport http;\n' > bad.rules
printf 'drop not ethertype ipv4;\naccept or dport 80;\n' > good.rules
expect 'rules: no verb' 2 'compile or decompile' "$ztctl" rules
expect 'rules: no file' 2 'give one file' "$ztctl" rules compile
expect 'rules: file that is not there' 1 'nosuch.rules: No such file' "$ztctl" rules compile nosuch.rules
expect 'rules: error with its place' 1 "^bad.rules:2:15: expected a port .*found 'http'" "$ztctl" rules compile bad.rules
expect 'rules: the line, and a mark below' 0 '' sh -c \
    "'$ztctl' rules compile bad.rules 2>&1 | tail -n 2 | tr -d ' \t' | tr '\n' . | grep -qxF 'acceptdporthttp;.^.'"
expect 'rules: warning with its place' 0 '^good.rules:2:8: warning: ' "$ztctl" rules compile good.rules
"$ztctl" rules compile good.rules > good.json 2> /dev/null
expect 'rules: JSON for a controller' 0 '^2 MATCH_ETHERTYPE$' py \
    'import json; d = json.load(open("good.json")); r = d["config"]["rules"]; print(sum(x["type"].startswith("ACTION") for x in r), r[0]["type"])'
expect 'rules: and back' 0 '' sh -c "'$ztctl' rules decompile good.json | '$ztctl' rules compile - 2> /dev/null | cmp - good.json"
expect 'rules: not JSON' 1 '^ztctl rules: good.rules:1:' "$ztctl" rules decompile good.rules
expect 'rules: no rules in it' 1 'no rules in this document' sh -c "echo '{}' | '$ztctl' rules decompile -"

expect 'exec without a program' 2 'give a program' "$ztctl" exec
expect 'exec: not found' 127 'nosuch' "$ztctl" exec nosuch
expect 'exec: bad network' 2 '16 hex digits' "$ztctl" exec -n ff0000ffff000000,12 true
echo 'int main(void) { return 7; }' > t.c
if "$cc" -static -o static t.c 2> /dev/null; then
    expect 'exec: static program' 126 'linked statically' "$ztctl" exec ./static
    printf '#!%s/static\n' "$work" > script && chmod +x script
    expect 'exec: script for a static program' 126 'linked statically' "$ztctl" exec ./script
else
    echo 'SKIP exec of a static program: no static C library'
fi
if [ -e "${ztctl%/*}/../preload/libztpreload.so" ]; then
    "$cc" -o dynamic t.c
    expect 'exec: exit status of the program' 7 '' "$ztctl" exec ./dynamic
    expect 'exec: its arguments are its own' 0 '^-H x -j --help$' "$ztctl" exec -H h printf '%s %s %s %s\n' -H x -j --help
    expect 'exec: absolute home, library first' 0 "^$work/h /.*libztpreload.so:libm.so.6$" \
        env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=libm.so.6 "$ztctl" exec -H h sh -c 'echo "$ZT_HOME $LD_PRELOAD"'
else
    echo 'SKIP exec of a dynamic program: libztpreload.so is not built'
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
