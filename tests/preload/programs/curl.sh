# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# curl against the web server of python, and against nobody

get_one() { curl_ -o got "http://$host:8000/data" && cmp data got; }
get_many() { # parallel connections of one curl
    local i args=()
    for i in {1..20}; do args+=(-o "got.$i" "http://$host:8000/small?$i"); done
    curl_ -Z "${args[@]}" || return
    for i in {1..20}; do cmp small "got.$i" || return; done
}
head_of() { curl_ -I "http://$host:8000/data" | grep -qi "^content-length: $(stat -c %s data)"; }
put() { # PUT|POST
    rm -f stored/up
    curl_ -X "$1" --data-binary @data -H 'Content-Type: application/octet-stream' \
        "http://$host:8001/up" && cmp data stored/up
}
upload() {
    rm -f stored/up
    curl_ -T data "http://$host:8001/up" && cmp data stored/up
}
refused() { # and no time-out of a connect: those of lwIP take longer
    local t0=$EPOCHREALTIME t1 code=0
    curl_ -o /dev/null "http://$host:9/" 2> refused.log || code=$?
    t1=$EPOCHREALTIME
    cat refused.log
    [ $code = 7 ] && awk "BEGIN { exit !($t1 - $t0 < 15) }"
}
nobody_there() { # an address of the network that no node has
    local code=0
    curl_ --connect-timeout 1 -o /dev/null "http://$nobody:80/" || code=$?
    [ $code = 28 ] || [ $code = 7 ]
}
test_curl() {
    serve http a "$python" -u -m http.server --bind "$addr" --directory "$work" 8000
    local http=$server
    check "http.server $v listens" up a 8000
    check "curl $v GET $mib MiB" get_one
    check "curl $v 20 GETs at once" get_many
    check "curl $v HEAD" head_of
    serve put a "$python" "$here/put.py" "$addr" 8001 "$work/stored"
    local put=$server
    check "the PUT server $v listens" up a 8001
    check "curl $v PUT $mib MiB" put PUT
    check "curl $v POST $mib MiB" put POST
    check "curl $v upload with Expect" upload
    check "curl $v refused port, at once" refused
    check "curl $v address of nobody" nobody_there
    stop "$put"
    stop "$http"
    check "curl $v refused after the server ended" refused_8000
}
refused_8000() {
    local code=0
    curl_ -o /dev/null "http://$host:8000/" || code=$?
    [ $code = 7 ]
}
