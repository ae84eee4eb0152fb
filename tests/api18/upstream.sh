#!/bin/bash
# Upstream's own C examples and self-test, unmodified, against our 1.8 header and library: built outside the
# repository, run in a private planet on loopback, judged by what they print.
#
#   root (also controller) ---+--- TESTNET-1, private: self-test's server 172.22.22.1, client 172.22.22.2
#   on loopback               `--- open, public: the examples
#
# usage: ZT_UPSTREAM_LIBZT=/folder/of/libzt upstream.sh BUILD [--list]; with $ZT_UPSTREAM_RESULTS the verdicts go to that
# file as well, one "NAME<tab>passed|failed|skipped<tab>WHAT WAS SEEN" a line.
set -u
here=$(dirname "$(readlink -f "$0")")
up=${ZT_UPSTREAM_LIBZT-}
if [ -z "$up" ] || [ ! -d "$up/examples/c" ]; then
    echo 'skipped: ZT_UPSTREAM_LIBZT names no checkout of libzt'
    exit 77
fi
up=$(readlink -f "$up")
# shellcheck source=../lab.sh
. "$here/../lab.sh" "$1" upstream

passed=0 failed=0
# verdict NAME passed|failed|skipped WHAT: also in cmocka's form, which tools/test and tools/api-status read
verdict() {
    local case=upstream_${1//[^a-zA-Z0-9]/_} state
    case $2 in
        passed) passed=$((passed + 1)) state='[       OK ]' ;;
        failed) failed=$((failed + 1)) state='[  FAILED  ]' ;;
        skipped) state='[  SKIPPED ]' ;;
    esac
    printf '[ RUN      ] %s\n%s %s: %s\n%s %s\n' "$case" "$2" "$1" "$3" "$state" "$case"
    [ -z "${ZT_UPSTREAM_RESULTS-}" ] || printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$ZT_UPSTREAM_RESULTS"
}

# ---- build -------------------------------------------------------------------------------------------------

cc=${CC:-cc}
# ...self-test: it passes pointers of other types and uses ntohs undeclared, which newer compilers refuse.
old_ways=(-w -fpermissive -Wno-incompatible-pointer-types -Wno-implicit-function-declaration)
build_one() { # SOURCE NAME
    # shellcheck disable=SC2086
    $cc -std=gnu11 -g "${old_ways[@]}" -I"$here/../../include/zts18" -o "$work/bin/$2" "$1" \
        -L"$build/libzt" -Wl,-rpath,"$build/libzt" -lzt -lm -lpthread ${ZT_UPSTREAM_CFLAGS-} > "$work/bin/$2.log" 2>&1
}
mkdir -p "$work/bin"
names=(adhoc callbackapi client customroots nonblockingclient nonblockingserver nostorage pingable-node server statistics)
for name in "${names[@]}"; do
    build_one "$up/examples/c/$name.c" "$name" || verdict "examples/c/$name.c" failed "does not build: $(head -n 1 "$work/bin/$name.log")"
done
build_one "$up/test/selftest.c" selftest || verdict test/selftest.c failed "does not build: $(head -n 1 "$work/bin/selftest.log")"
verdict examples/c/centralapi.cpp skipped 'calls of a web service, which we do not have'

# ---- symbols: what a binding looks up by name --------------------------------------------------------------

$cc -E -P -I"$up/include" "$up/include/ZeroTierSockets.h" 2> /dev/null | tr '\n' ' ' | tr ';' '\n' | grep -v typedef |
    grep -oE '\bzts_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u > "$work/wanted"
nm -D --defined-only "$build/libzt/libzt18.so" | awk '{ print $3 }' | sed 's/@.*//' | sort -u > "$work/there"
missing=$(comm -23 "$work/wanted" "$work/there" | tr '\n' ' ')
count=$(wc -l < "$work/wanted")
if [ -z "$missing" ] && [ "$count" -gt 100 ] && grep -qx zts_errno "$work/there"; then
    verdict 'symbols of include/ZeroTierSockets.h' passed "$count functions and zts_errno are in libzt18.so"
else
    verdict 'symbols of include/ZeroTierSockets.h' failed "of $count missing: $missing"
fi

# ---- the lab -----------------------------------------------------------------------------------------------

start_root server client ping s1 c1 s2 c2 s3 c3 s4 c4 s5 c5 s6 c6
wait_for 60 is_online root || fail 'the root is not online'
export ZT_PLANET=$work/planet # for the programs without storage
for home in server client; do
    ztctl identity new -o "$work/$home" > "$home.id"
done
id_of() { cut -c1-10 "$work/$1/identity.public"; }
testnet=$(new_network TESTNET-1 ipv4=172.22.22.0/24 route=fcc5:205e::/32)
open=$(new_network open private=false ipv4=172.23.0.0/16 ipv6=6plane)
[ -n "$testnet" ] && [ -n "$open" ] || fail 'no networks'
ztctl -H root controller set "$testnet" "$(id_of server)" authorized=true ip=172.22.22.1,fcc5:205e:4f90:9691:8f72::1 > /dev/null || fail 'member'
ztctl -H root controller set "$testnet" "$(id_of client)" authorized=true ip=172.22.22.2,fcc5:205e:4ff7:46d5:50dd::1 > /dev/null || fail 'member'
start_node ping
wait_for 60 is_online ping || fail 'ping is not online'
ztctl -H ping join "$open" > /dev/null
wait_for 30 sh -c "'$build/tools/ztctl' -H ping -j networks | grep -q 172.23" || fail 'no address for ping'

# run NAME SECONDS ARGS...: in the background, unbuffered, output in NAME.out, its process in $pid
run() {
    local name=$1 limit=$2
    shift 2
    : > "$name.out" # now: the shell in the background may not have done it when somebody looks
    timeout "$limit" stdbuf -oL -eL "bin/$name" "$@" > "$name.out" 2>&1 &
    pid=$!
    started+=("$pid")
}
says() { grep -qE -- "$2" "$1.out"; }
# await NAME SECONDS TEXT: until it has printed that
await() { wait_for "$2" says "$1" "$3"; }
# The last line of what a program said that failed; on stderr all of it.
last() {
    sed "s/^/$1: /" "$1.out" | tr -d '\0' | tail -n 40 >&2
    tail -n 1 "$1.out" | tr -d '\0' | cut -c1-100
}
end_program() {
    kill -TERM "$1" 2> /dev/null
    wait "$1" 2> /dev/null
}
built() { [ -x "bin/$1" ]; }

# judge NAME FILE SECONDS TEXT: one program, that has printed TEXT in time
judge() {
    if await "$1" "$3" "$4"; then
        verdict "$2" passed "$(grep -hE -m 1 -- "$4" "$1.out" | tr -d '\0' | cut -c1-100)"
    else
        verdict "$2" failed "never said '$4'; last: $(last "$1")"
    fi
}
address_in() { grep -oE '172\.23\.[0-9]+\.[0-9]+' "$1.out" | head -n 1; }
pinged() { ztctl -H ping ping -c 1 "$1"; }

# ---- the examples ------------------------------------------------------------------------------------------

if built adhoc; then
    run adhoc 30 2000 3000
    judge adhoc examples/c/adhoc.c 20 'ping6 me at FDFF:7D0:BB8:0:99:93'
    end_program $pid
fi
for name in callbackapi pingable-node; do
    built $name || continue
    run $name 60 "$open"
    if await $name 30 'ping me at 172\.23' && wait_for 30 pinged "$(address_in $name)"; then
        verdict examples/c/$name.c passed "answers ztctl ping at $(address_in $name)"
    else
        verdict examples/c/$name.c failed "$(last $name)"
    fi
    end_program $pid
done
if built callbackapi; then
    for what in NODE_ONLINE NETWORK_READY_IP6 ADDR_NEW_IP6; do
        says callbackapi "ZTS_EVENT_$what" || verdict "examples/c/callbackapi.c $what" failed 'no such event'
    done
fi
if built statistics; then
    run statistics 60 "$open"
    if await statistics 30 'ping me at 172\.23' && wait_for 30 pinged "$(address_in statistics)" &&
        await statistics 10 'icmp4_rx= +[1-9]'; then
        verdict examples/c/statistics.c passed "$(grep -E 'icmp4_rx= +[1-9]' statistics.out | head -n 1 | tr -s ' ')"
    else
        verdict examples/c/statistics.c failed "$(last statistics)"
    fi
    end_program $pid
fi
if built nostorage; then
    run nostorage 30
    if await nostorage 20 'is now online' && says nostorage 'STORE_IDENTITY_PUBLIC \(len=141\)' &&
        says nostorage 'STORE_IDENTITY_SECRET \(len=270\)'; then
        verdict examples/c/nostorage.c passed 'online; identity given to the program'
    else
        verdict examples/c/nostorage.c failed "$(last nostorage)"
    fi
    end_program $pid
fi
if built server && built client; then
    run server 90 "$work/s1" "$open" 0.0.0.0 8000
    server=$pid
    if await server 30 'IP address on network'; then
        run client 60 "$work/c1" "$open" "$(address_in server)" 8000
        await client 40 'Read .* bytes'
        await server 5 'Closing'
    fi
    says server 'Read 22 bytes: Welcome to the machine' &&
        verdict examples/c/server.c passed "$(grep -E 'Read 22' server.out)" || verdict examples/c/server.c failed "$(last server)"
    says client 'Read 22 bytes: Welcome to the machine' &&
        verdict examples/c/client.c passed "$(grep -E 'Read 22' client.out)" || verdict examples/c/client.c failed "$(last client)"
    end_program "$server"
fi
if built nonblockingserver && built nonblockingclient; then
    run nonblockingserver 90 "$work/s2" "$open" 0.0.0.0 8001
    server=$pid
    if await nonblockingserver 30 'Accepting on'; then
        run nonblockingclient 60 "$work/c2" "$open" "$(address_in nonblockingserver)" 8001
        await nonblockingserver 40 'zts_bsd_recv.*=22'
    fi
    for name in nonblockingserver:'zts_bsd_recv\(0, ...\)=22' nonblockingclient:'zts_send\(\)=22'; do
        says "${name%%:*}" "${name#*:}" &&
            verdict "examples/c/${name%%:*}.c" passed "$(grep -m 1 -E "${name#*:}" "${name%%:*}.out")" ||
            verdict "examples/c/${name%%:*}.c" failed "$(last "${name%%:*}")"
    done
    end_program "$pid"
    end_program "$server"
fi
# This one has the address of a public root in its source: only where nothing can leave the machine.
if built customroots; then
    mkdir -p custom
    if unshare -n true 2> /dev/null; then alone=(unshare -n); else alone=(unshare -rn); fi
    if ! "${alone[@]}" true 2> /dev/null; then
        verdict examples/c/customroots.c skipped 'needs a network namespace: its source names a public root'
    else
        (cd custom && timeout 4 "${alone[@]}" stdbuf -oL ../bin/customroots > ../customroots.out 2>&1)
        grep -oE '0x[0-9a-f]{2}' customroots.out | cut -c3- | tr -d '\n' | python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' > custom/roots
        if ztctl planet show custom/roots > custom/show 2>&1 && grep -q '992fcf1db7.*195.181.173.159/9993' custom/show &&
            says customroots 'event_code = 200'; then
            verdict examples/c/customroots.c passed 'its root set reads as a planet; node up with it (without a network)'
        else
            verdict examples/c/customroots.c failed "$(last customroots) $(head -n 1 custom/show)"
        fi
    fi
fi

# ---- the self-test -----------------------------------------------------------------------------------------

if built selftest; then
    mkdir -p alone
    (cd alone && timeout 150 stdbuf -oL -eL ../bin/selftest > ../selftest.out 2>&1)
    code=$?
    if [ $code = 0 ] && says selftest SUCCESS; then
        verdict 'test/selftest.c (one node)' passed 'SUCCESS'
    else
        verdict 'test/selftest.c (one node)' failed "status $code: $(last selftest)"
    fi
    cp bin/selftest bin/selfserver && cp bin/selftest bin/selfclient
    run selfserver 120 "$work/server" "$testnet" 7000 7001
    server=$pid
    await selfserver 40 'accepting'
    run selfclient 120 "$work/client" "$testnet" 7000 172.22.22.1 7001 fcc5:205e:4f90:9691:8f72::1
    wait "$pid" && wait "$server"
    for side in server client; do
        if says self$side SUCCESS && says self$side "${side}4: Test OK" && says self$side "${side}6: Test OK"; then
            verdict "test/selftest.c ($side)" passed 'SUCCESS, IPv4 and IPv6'
        else
            verdict "test/selftest.c ($side)" failed "$(last self$side)"
        fi
    done
fi
# shellcheck source=bindings.sh
. "$here/bindings.sh"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
