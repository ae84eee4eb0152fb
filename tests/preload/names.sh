#!/bin/bash
# Names in a network's DNS domain: the controller (home root) names a server inside the network (a preloaded
# program in home A), programs in home B look names up.
#
#   names.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need curl python3
domain=office.example

lookup() { # NAME [FAMILY [FLAGS]]: sorted addresses, or the name of the error
    in_home b timeout 100 python3 -c '
import socket, sys
family = {"4": socket.AF_INET, "6": socket.AF_INET6}.get(sys.argv[2], 0)
try:
    r = socket.getaddrinfo(sys.argv[1], 80, family, socket.SOCK_STREAM, 0, int(sys.argv[3]))
    print(*sorted({x[4][0] for x in r}), *{x[3] for x in r if x[3]})
except socket.gaierror as e:
    print([n for n in dir(socket) if n.startswith("EAI") and getattr(socket, n) == e.errno][0])
' "$1" "${2-0}" "${3-0}"
}
equals() { # EXPECTED COMMAND...
    local expected=$1 got
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$expected" ] || { echo "got '$got' instead of '$expected'"; return 1; }
}
api() { # HOME METHOD PATH BODY
    local home=$1
    shift
    ztctl -H "$work/$home" api "$@"
}
sorted() { printf '%s\n' "$@" | LC_ALL=C sort | paste -sd' '; }
in_network() { # HOME 4|6
    address_in "$1" "$nwid" "$2"
}
knows_domain() { ztctl -H "$work/b" -j networks | json "next(n for n in d if n['id'] == '$nwid')['dns']['domain'] == '$1'"; }
set_dns() { # DOMAIN SERVER...
    local body
    body=$(python3 -c 'import json, sys; print(json.dumps({"dns": {"domain": sys.argv[1], "servers": sys.argv[2:]}}))' "$@")
    api root POST "/controller/network/$nwid" "$body" > set.log 2>&1 || fail "$(cat set.log)"
    wait_for 30 knows_domain "$1" || fail "the members do not learn of $1"
}

lab_begin
start_root a b
nwid=$(api root POST "/controller/network/$(node_id root)______" '{"private": false, "v4AssignMode": {"zt": true},
    "v6AssignMode": {"rfc4193": true}, "routes": [{"target": "10.44.0.0/24"}],
    "ipAssignmentPools": [{"ipRangeStart": "10.44.0.10", "ipRangeEnd": "10.44.0.99"}]}' | json 'd["id"]') ||
    fail 'no network'
for home in a b; do
    start_node $home "$(free_ports 1)" || fail "$home: $(cat "$work/$home.up.log")"
    ztctl -H "$work/$home" join "$nwid" > join.log 2>&1 || fail "$(cat join.log)"
done
for home in a b; do
    wait_for 30 in_network $home 4 || fail "$home has no IPv4 address: $waited"
    declare "${home}4=$waited"
    wait_for 30 in_network $home 6 || fail "$home has no IPv6 address: $waited"
    declare "${home}6=$waited"
done
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec python3 "$here/dns.py" "$a4" 53 "a.$domain=$a4,$a6" "four.$domain=$a4" "long.$domain=$a4" \
        "stray.$domain=192.0.2.7" "mixed.$domain=192.0.2.7,$a4" "$domain=$b4" "host.lan=$a4"
) >> dns.log 2>&1 < /dev/null & # it is emptied below: what is written next goes to the end
started+=($!)
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec python3 -u -m http.server --bind "$a4" --directory "$here" 8000
) > http.log 2>&1 < /dev/null &
started+=($!)
wait_for 60 grep -q ready dns.log || fail "no name server: $(cat dns.log)"
wait_for 60 grep -q 'Serving HTTP' http.log || fail "no server: $(cat http.log)"
set_dns $domain "$a4"

check 'ztctl resolve' equals "$a4" ztctl -H "$work/b" resolve -4 "a.$domain"
check 'getaddrinfo: both families' equals "$(sorted "$a4" "$a6")" lookup "a.$domain"
check 'IPv4 only' equals "$a4" lookup "a.$domain" 4
check 'IPv6 only' equals "$a6" lookup "a.$domain" 6
check 'upper case and a last dot' equals "$a4" lookup "A.Office.EXAMPLE." 4
check 'the domain itself' equals "$b4" lookup "$domain"
check 'AI_CANONNAME' equals "$a4 four.$domain" lookup "four.$domain" 4 2
check 'AI_V4MAPPED' equals "::ffff:$a4" lookup "four.$domain" 6 8
check 'no address of the family' equals EAI_NODATA lookup "four.$domain" 6
check 'no such name' equals EAI_NONAME lookup "nobody.$domain"
check 'an answer by TCP after a truncated one' equals "$a4" lookup "long.$domain" 4
check 'it came by TCP' grep -q "^tcp long.$domain A" dns.log
check 'an address outside the network is left out' equals "$a4" lookup "mixed.$domain" 4
check 'alone, it is no answer' equals EAI_NODATA lookup "stray.$domain" 4
check 'gethostbyname' equals "('four.$domain', [], ['$a4'])" \
    in_home b python3 -c 'import socket, sys; print(socket.gethostbyname_ex(sys.argv[1]))' "four.$domain"
check 'curl by name' in_home b curl -q -sS --noproxy '*' --max-time 60 -o got "http://a.$domain:8000/dns.py"
check 'what came is right' cmp got "$here/dns.py"
check 'names of the machine stay with libc' equals 127.0.0.1 lookup localhost 4
: > dns.log
lookup elsewhere.invalid > /dev/null 2>&1
lookup "back$domain" > /dev/null 2>&1
lookup "asked.$domain" > /dev/null 2>&1
check 'a name of the domain is asked here' grep -q " asked.$domain " dns.log
check 'names outside of it are not' equals '' grep -E " (elsewhere\.invalid|back$domain) " dns.log

set_dns lan "$a4"
check 'a domain of one label is not taken unasked' bash -c "[ '$(lookup host.lan 4)' != '$a4' ]"
check 'allowDNS' ztctl -H "$work/b" set "$nwid" allowDNS=1
check 'then it is' equals "$a4" lookup host.lan 4

kill "${started[0]}"
wait "${started[0]}" 2> /dev/null
check 'no server: try again, not no such name' equals EAI_AGAIN lookup other.lan 4
verdict
