# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_wget=wget

wget_one() { b wget -q --no-proxy --tries=1 -T 120 -O got "http://$host:8002/data" && cmp data got; }
test_wget() {
    serve wget a "$python" -u -m http.server --bind "$addr" --directory "$work" 8002
    check "the server for wget $v listens" up a 8002
    check "wget $v GET $mib MiB" wget_one
    stop "$server"
}
