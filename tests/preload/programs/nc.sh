# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_nc=nc

# A listening nc ends with its peer's end of file, whatever it had to say itself; so it only receives.
nc_to() {
    (
        export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 150 nc -l "$addr" 8020
    ) < /dev/null > nc.a 2> nc.log &
    server=$!
    started+=("$server")
    up a 8020 || return
    b nc -N "$addr" 8020 < data || return
    wait "$server" || return
    cmp data nc.a
}
nc_from() { # the client says nothing
    (
        export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 150 nc -N -l "$addr" 8022
    ) < data > nc.a 2> nc.log &
    server=$!
    started+=("$server")
    up a 8022 || return
    b nc -d "$addr" 8022 > nc.b || return
    wait "$server"
    cmp data nc.b
}
nc_half() { # everything is sent and ended before the last of it has come back
    serve echo a "$python" "$here/echo.py" serve "$addr" 8023
    up a 8023 || return
    b nc -N "$addr" 8023 < data > nc.b || return
    stop "$server"
    cmp data nc.b
}
nc_zero() { b nc -z -w 60 "$addr" 9 && return 1 || return 0; }
nc_udp() {
    mkfifo udp.in 2> /dev/null
    (
        export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 150 nc -u -l "$addr" 8021
    ) <> udp.in > udp.a 2> nc.log &
    server=$!
    started+=("$server")
    up a 8021 udp || return
    mkfifo udp.in.b 2> /dev/null
    (
        export ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload
        exec timeout 150 nc -u "$addr" 8021
    ) <> udp.in.b > udp.b 2> nc.b.log &
    local client=$!
    started+=("$client")
    echo ping > udp.in.b
    wait_for 30 grep -q ping udp.a || return
    echo pong > udp.in
    wait_for 30 grep -q pong udp.b
    local code=$?
    kill "$client" "$server"
    wait "$client" "$server"
    return $code
}
test_nc() {
    check "nc $v $mib MiB there" nc_to
    check "nc $v $mib MiB back" nc_from
    check "nc $v $mib MiB there and back over a half-closed connection" nc_half
    check "nc $v -z on a closed port" nc_zero
    check "nc $v UDP, there and back" nc_udp
}
