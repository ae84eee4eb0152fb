#!/bin/bash
# Much at once, and much one after the other: 5,000 connections open through one nginx, 200 programs on one
# home, 10,000 connections made and closed; afterwards the nodes hold what they held before. Only with
# ZT_TEST_ALL, or `load.sh BUILD now`.
build=$(readlink -f "$1")
[ -n "${2-}${ZT_TEST_ALL-}" ] || { echo 'skipped: only with ZT_TEST_ALL'; exit 77; }
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need nginx curl python3
python=$(python3 -c 'import sys; print(sys.executable)')
ulimit -n "$(ulimit -Hn)"

fds() { find "/proc/$1/fd" -mindepth 1 2> /dev/null | wc -l; }
# KiB. The tables of slots (65,536 at most) are touched one by one: ten bytes a connection until then.
memory() { awk '/^Anonymous:/ { print $2 }' "/proc/$1/smaps_rollup"; }
no_more_than() { [ "$(fds "$1")" -le "$2" ]; }
b() { in_home b timeout 290 "$@"; }

lab_begin
chmod 755 "$work"
head -c 2000 /dev/urandom > page
mkdir ngx
cat > ngx/nginx.conf << END
$([ "$(id -u)" != 0 ] || echo 'user root;')
worker_processes 2;
worker_rlimit_nofile 20000;
pid $work/ngx/pid;
daemon off;
events { worker_connections 10000; }
http {
    access_log off;
    client_body_temp_path $work/ngx/b; proxy_temp_path $work/ngx/p; fastcgi_temp_path $work/ngx/f;
    uwsgi_temp_path $work/ngx/u; scgi_temp_path $work/ngx/s;
    client_header_timeout 300s;
    server { listen 0.0.0.0:8050 backlog=4096; root $work; }
}
END
lab_up
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec setsid nginx -p "$work/ngx" -e "$work/ngx/error.log" -c "$work/ngx/nginx.conf"
) > nginx.log 2>&1 < /dev/null &
started+=($!)
one() { b curl -q -sS -f --noproxy '*' -o got "http://$a4:8050/page" && cmp page got; }
check 'nginx answers' wait_for 30 one
a=$(node_pid a) b_=$(node_pid b)

check '10,000 connections to warm up' b "$python" "$here/crowd.py" churn "$a4" 8050 10000
sleep 12 # TIME_WAIT
fds_a=$(fds "$a") fds_b=$(fds "$b_") mem_a=$(memory "$a") mem_b=$(memory "$b_")
check '10,000 connections made and closed' b "$python" "$here/crowd.py" churn "$a4" 8050 10000
check 'descriptors of the server'"'"'s node as before' wait_for 30 no_more_than "$a" $((fds_a + 2))
check 'descriptors of the client'"'"'s node as before' wait_for 30 no_more_than "$b_" $((fds_b + 2))
sleep 11 # TIME_WAIT
echo "memory: $mem_a KiB and $mem_b KiB, then $(memory "$a") and $(memory "$b_")"
check 'memory as before, within 1 MiB' test "$(memory "$a")" -le $((mem_a + 1024)) -a "$(memory "$b_")" -le $((mem_b + 1024))

many() {
    local i pids=() code=0
    for i in {1..200}; do
        b curl -q -sS -f --noproxy '*' --max-time 100 -o "got.$i" "http://$a4:8050/page" 2> "err.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || code=1; done
    for i in {1..200}; do cmp page "got.$i" || { cat "err.$i"; return 1; }; done
    return $code
}
check '200 programs at once on one home' many

hard=$(ulimit -Hn)
if [ "$hard" != unlimited ] && [ "$hard" -lt 12000 ]; then
    echo "skipped 5,000 connections: at most $hard descriptors here"
else
    check '5,000 connections open at once, then a request on each' b "$python" "$here/crowd.py" hold "$a4" 8050 5000 page
    check 'descriptors of the server'"'"'s node as before' wait_for 60 no_more_than "$a" $((fds_a + 2))
    check 'descriptors of the client'"'"'s node as before' wait_for 60 no_more_than "$b_" $((fds_b + 2))
fi
verdict
