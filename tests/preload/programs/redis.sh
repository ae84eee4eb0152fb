# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# redis: an epoll server with pipelines, and BGSAVE, which forks with live sockets
needs_redis='redis-check-rdb redis-cli redis-benchmark'

rcli() { b redis-cli -h "$addr" -p 6379 "$@"; }
redis_up() { [ "$(rcli ping)" = PONG ]; }
redis_big() { # a value there and back
    rcli -x set big < small > /dev/null && rcli --no-raw strlen big | grep -q 20000 &&
        rcli --raw get big | head -c 20000 | cmp - small
}
redis_load() { # CLIENTS REQUESTS PIPELINE
    b redis-benchmark -h "$addr" -p 6379 -c "$1" -n "$2" -P "$3" -t set,get,lpush -q --csv > bench.csv &&
        [ "$(grep -cE '^"(SET|GET|LPUSH)","[1-9]' bench.csv)" = 3 ]
}
redis_save() { # clients go on while a child writes
    local before
    before=$(rcli lastsave)
    sleep 1
    rcli bgsave > /dev/null && redis_load 10 2000 1 || return
    wait_for 30 test_newer "$before"
}
test_newer() { [ "$(rcli lastsave)" -gt "$1" ] && [ -s stored/dump.rdb ]; }
test_redis() {
    mkdir -p bin
    ln -sf "$(command -v redis-check-rdb)" bin/redis-server # one binary, by its name
    serve redis a bin/redis-server --port 6379 --bind "$addr" --protected-mode no --save '' \
        --dir "$work/stored"
    check "redis $v answers" wait_for 30 redis_up
    check "redis $v a value there and back" redis_big
    check "redis $v 50 clients" redis_load 50 5000 1
    check "redis $v 50 clients, pipelines of 16" redis_load 50 20000 16
    check "redis $v BGSAVE under load" redis_save
    stop "$server"
}
