# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# asyncio and selectors of python, many connections on one epoll

test_echo() {
    serve echo a "$python" "$here/echo.py" serve "$addr" 8010
    check "asyncio server $v listens" up a 8010
    check "python $v asyncio server, 20 connections on one epoll" \
        b "$python" "$here/echo.py" talk "$addr" 8010 20 300000
    check "python $v one connection, 8 MiB" \
        b "$python" "$here/echo.py" talk "$addr" 8010 1 8388608
    stop "$server"
}
