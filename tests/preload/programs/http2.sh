# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# HTTP/2 without TLS: one connection, one stream after the other (with -Z curl 7.88 fails on the kernel, too)
needs_http2='nginx curl'

h2() { curl_ -f --http2-prior-knowledge "$@"; }
h2_get() { rm -f got && h2 -o got "http://$host:8060/data" && cmp data got; }
h2_many() {
    local i args=()
    for i in {1..50}; do args+=(-o "got.$i" "http://$host:8060/small?$i"); done
    h2 "${args[@]}" || return
    for i in {1..50}; do cmp small "got.$i" || return; done
}
test_http2() {
    nginx_conf ''
    sed -i "s|listen $host:8050 ;|listen $host:8060 http2;|" ngx/nginx.conf
    serve http2 a nginx -p "$work/ngx" -e "$work/ngx/error.log" -c "$work/ngx/nginx.conf"
    check "nginx $v HTTP/2 listens" up a 8060
    check "curl $v HTTP/2 GET $mib MiB" h2_get
    check "curl $v HTTP/2 50 streams" h2_many
    stop "$server"
}
