# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# nginx: four workers on one listener, sendfile, epoll; with reuseport; as a proxy whose upstream is virtual;
# a reload and a new binary while it serves
needs_nginx='nginx curl'

# nginx_conf LISTEN-OPTIONS [PORT of a wildcard listener, which is the host's as well]
nginx_conf() {
    mkdir -p ngx
    cat > ngx/nginx.conf <<- END
	$([ "$(id -u)" != 0 ] || echo "user root;")
	worker_processes 4;
	pid $work/ngx/pid;
	error_log $work/ngx/error.log;
	daemon off;
	events { worker_connections 512; }
	http {
	    access_log off;
	    sendfile on;
	    tcp_nopush on;
	    client_body_temp_path $work/ngx/body;
	    proxy_temp_path $work/ngx/proxy;
	    fastcgi_temp_path $work/ngx/fastcgi;
	    uwsgi_temp_path $work/ngx/uwsgi;
	    scgi_temp_path $work/ngx/scgi;
	    server {
	        listen $host:8050 $1;
	        root $work;
	        location /pid { add_header X-Pid \$pid; return 204; }
	        location /proxy/ { proxy_pass http://$host:8051/; proxy_buffering off; }
	    }
	    server { listen $host:8051; root $work; }
	    ${2:+server { listen $2; listen [::]:$2 ipv6only=on; root $work; \}}
	}
	END
}
ngx_get() { rm -f got && curl_ -f -o got "http://$host:$1" && cmp data got; }
ngx_pids() { # 30 connections: which workers answer?
    local i args=()
    for i in {1..30}; do args+=("http://$host:8050/pid?$i"); done
    curl_ -H 'Connection: close' -D - "${args[@]}" | tr -d '\r' | sed -n 's/^X-Pid: //p' | sort -u
}
ngx_workers() { [ "$(ngx_pids | wc -l)" -ge 2 ]; }
ngx_reload() { # new workers take over while a download runs
    local before
    before=$(ngx_pids)
    rm -f got
    curl_ --limit-rate "$((mib / 2))M" -o got "http://$host:8050/data" &
    local client=$!
    sleep 0.3
    kill -HUP "$server" || return
    sleep 0.5
    wait $client && cmp data got || return
    wait_for 60 ngx_others "$before"
}
ngx_others() { [ -z "$(comm -12 <(echo "$1") <(ngx_pids))" ]; } # none of those answers any more
ngx_host() { # the wildcard listener, from outside the virtual network
    rm -f got
    curl -q -f -sS --noproxy '*' --max-time 120 -o got "http://$1:$wild/data" && cmp data got
}
test_nginx() {
    local options wild
    wild=$(free_ports 1)
    for options in '' reuseport; do
        nginx_conf "$options" "$wild"
        serve nginx a nginx -p "$work/ngx" -e "$work/ngx/error.log" -c "$work/ngx/nginx.conf"
        check "nginx $v ${options:-shared listener} listens" up a 8050
        check "nginx $v ${options:-shared listener}, GET $mib MiB with sendfile" ngx_get 8050/data
        check "nginx $v ${options:-shared listener}, several workers answer" ngx_workers
        check "nginx $v ${options:-shared listener}, proxy to a virtual upstream" ngx_get 8050/proxy/data
        if [ -z "$options" ]; then
            check "nginx $v on a wildcard, from the network" ngx_get "$wild/data"
            check "nginx $v on a wildcard, from the host" ngx_host 127.0.0.1
            check "nginx $v reload in the middle of a download" ngx_reload
        fi
        stop "$server"
    done
}
