# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# HTTP/2 without TLS. (One request a connection: curl 7.88 fails on the kernel, too, when it uses such a
# connection again.)
needs_http2='nginx curl'

h2() { curl_ -f --http2-prior-knowledge "$@"; }
h2_get() { rm -f got && h2 -o got "http://$host:8050/data" && cmp data got; }
h2_many() {
    local i pids=()
    for i in {1..20}; do
        h2 -o "got.$i" "http://$host:8050/small" &
        pids+=($!)
    done
    wait "${pids[@]}"
    for i in {1..20}; do cmp small "got.$i" || return; done
}
test_http2() {
    nginx_conf http2
    serve http2 a nginx -p "$work/ngx" -e "$work/ngx/error.log" -c "$work/ngx/nginx.conf"
    check "nginx $v HTTP/2 listens" up a 8050
    check "curl $v HTTP/2 GET $mib MiB" h2_get
    check "curl $v HTTP/2 20 at once" h2_many
    stop "$server"
}
