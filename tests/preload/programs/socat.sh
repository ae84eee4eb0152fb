# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_socat=socat

socat_to() { # OPTIONS: what the client says reaches a file
    rm -f got
    serve socat a socat -u "TCP$1-LISTEN:8150,bind=$host$2" CREATE:got
    up a 8150 || return
    b socat -u FILE:data "TCP$1:$host:8150" || return
    wait "$server"
    cmp data got
}
socat_from() {
    rm -f got
    serve socat a socat -u FILE:data "TCP$1-LISTEN:8151,bind=$host"
    up a 8151 || return
    b socat -u "TCP$1:$host:8151" CREATE:got && cmp data got
}
socat_echo() { # fork for each of them, and a process behind
    serve socat a socat "TCP$1-LISTEN:8152,bind=$host,fork,reuseaddr" EXEC:cat
    up a 8152 || return
    local i
    for i in 1 2 3 4 5; do
        b socat -t 20 - "TCP$1:$host:8152" < small | cmp - small || return
    done
    stop "$server"
}
socat_udp() {
    serve socat a socat "UDP$1-LISTEN:8153,bind=$host,fork" EXEC:cat
    up a 8153 udp || return
    [ "$(echo hello | b socat -t 8 - "UDP$1:$host:8153")" = hello ]
    local code=$?
    stop "$server"
    return $code
}
test_socat() {
    local f=${v#IPv}
    check "socat $v $mib MiB there" socat_to "$f" ''
    check "socat $v $mib MiB back" socat_from "$f"
    check "socat $v fork and exec, five times" socat_echo "$f"
    check "socat $v UDP, fork and exec" socat_udp "$f"
}
