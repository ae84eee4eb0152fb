# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# 256 MiB, forwarded ports both ways, a terminal, tmux
needs_ssh_long='sshd ssh ssh-keygen scp curl'

scp_big() { ssh_opts scp -P 2223 big "$(me "$host")":"$work/stored/big" && cmp big stored/big; }
forward() { # -L PORT... -R PORT...: a web server behind the connection
    ssh_opts ssh -p 2223 -N "$@" "$(me "$addr")" > forward.log 2>&1 &
    local client=$!
    started+=($client)
    rm -f got
    wait_for 30 curl -q -sS -f --noproxy '*' --max-time 60 -o got "http://127.0.0.1:$local_port/data"
    kill $client
    wait $client
    cmp data got
}
terminal() {
    local out
    out=$(ssh_opts ssh -tt -p 2223 "$(me "$addr")" 'stty size; tty' < /dev/null) || return
    [[ $out == *'/dev/pts/'* ]]
}
in_tmux() {
    command -v tmux > /dev/null || return 0
    ssh_opts ssh -tt -p 2223 "$(me "$addr")" "TERM=xterm tmux -S $work/tmux new-session 'echo inside; sleep 1'" < /dev/null | grep -q inside
}
test_ssh_long() {
    sshd_folder
    check "keys for sshd" prepare_ssh
    [ -f big ] || head -c 268435456 /dev/urandom > big
    serve sshd a "$(command -v sshd)" -D -e -f "$work/ssh/server" -o "ListenAddress=$addr" -p 2223
    local s=$server
    check "sshd $v listens" up a 2223
    check "scp $v 256 MiB there" scp_big
    "$python" -m http.server --bind 127.0.0.1 --directory "$work" 0 > web.log 2>&1 &
    started+=($!)
    local web=$!
    wait_for 30 grep -q 'port [0-9]' web.log
    local port
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' web.log)
    local_port=$(free_ports 1)
    check "ssh -L $v $mib MiB through a forwarded port" forward -L "127.0.0.1:$local_port:127.0.0.1:$port"
    local_port=$(free_ports 1)
    check "ssh -R $v $mib MiB through a forwarded port" forward -R "127.0.0.1:$local_port:127.0.0.1:$port"
    check "ssh -tt $v a terminal" terminal
    check "tmux over ssh $v" in_tmux
    stop "$web"
    stop "$s"
}
