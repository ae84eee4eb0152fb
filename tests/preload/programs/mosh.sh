# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# mosh: UDP that goes on for as long as the session
needs_mosh='mosh-server mosh-client script'

mosh_session() {
    local line key
    line=$(in_home a env LC_ALL=C.UTF-8 mosh-server new -i "$addr" -p 60001 -- sh -c 'echo over mosh; sleep 1; echo > '"$work/moshed" 2> mosh.log |
        grep '^MOSH CONNECT')
    key=${line##* }
    [ -n "$key" ] || { cat mosh.log; return 1; }
    rm -f moshed
    LC_ALL=C.UTF-8 TERM=xterm MOSH_KEY=$key b script -qec "stty rows 24 cols 80; mosh-client $addr 60001" mosh.out > /dev/null < /dev/null
    local pid
    pid=$(sed -n 's/.*detached, pid = \([0-9]*\).*/\1/p' mosh.log)
    [ -z "$pid" ] || kill -KILL "$pid" 2> /dev/null # a session that failed waits for its client, whatever it is told
    grep -qa 'over mosh' mosh.out && [ -f moshed ]
}
test_mosh() { check "mosh $v a session" mosh_session; }
