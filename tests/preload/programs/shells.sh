# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# bash's /dev/tcp, busybox
needs_shells='bash curl'

dev_tcp() {
    b bash -c 'exec 3<> "/dev/tcp/$1/8160" && printf "GET /small HTTP/1.0\r\n\r\n" >&3 && cat <&3' - "$addr" > got || return
    tail -c 20000 got | cmp - small
}
busybox_wget() { rm -f got && b busybox wget -q -O got "http://$host:8160/data" && cmp data got; }
busybox_httpd() {
    serve busybox a busybox httpd -f -p "$host:8161" -h "$work"
    up a 8161 || return
    rm -f got
    curl_ -f -o got "http://$host:8161/data" && cmp data got
    local code=$?
    stop "$server"
    return $code
}
test_shells() {
    serve web a "$python" -u -m http.server --bind "$addr" --directory "$work" 8160
    local web=$server
    check "the server for shells $v listens" up a 8160
    check "bash $v /dev/tcp" dev_tcp
    if has busybox && ! ldd "$(command -v busybox)" 2>&1 | grep -q 'not a dynamic'; then
        check "busybox $v wget" busybox_wget
        check "busybox $v httpd" busybox_httpd
    else
        echo "skipped busybox $v: not installed, or static"
    fi
    stop "$web"
}
