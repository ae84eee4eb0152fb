# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# 500 connections on one asyncio server

test_asyncio() {
    serve asyncio a "$python" "$here/echo.py" serve "$addr" 8110
    check "asyncio $v listens" up a 8110
    check "asyncio $v 500 connections" b "$python" "$here/echo.py" talk "$addr" 8110 500 20000
    stop "$server"
}
