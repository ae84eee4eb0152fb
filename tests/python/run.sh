#!/bin/bash
# The Python binding (tools/python) in a private planet on loopback. usage: run.sh BUILD
set -u
build=$(readlink -f "$1")
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../../tools/lib/common.sh
. "$here/../../tools/lib/common.sh"
# shellcheck source=../../tools/lib/lab.sh
. "$here/../../tools/lib/lab.sh"
ztctl() { "$build/tools/ztctl" "$@"; }
peer=
work=$(mktemp -d "${TMPDIR:-/tmp}/zt-python.XXXXXX")
finish() {
    local code=$?
    trap - EXIT INT TERM HUP
    [ -z "$peer" ] || kill "$peer" 2> /dev/null
    end_nodes || code=1
    wait
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
fail() {
    echo "$*"
    exit 1
}

cd "$work" || exit 1
start_root python peer
wait_for 20 is_online root || fail 'the root is not online'
export ZT_LIBRARY=$build/libzt ZT_PLANET=$work/planet PYTHONPATH=$here/../../tools/python PYTHONDONTWRITEBYTECODE=1
python3 "$here/peer.py" "$work/peer" ff0001ffff000000 > peer.out 2>&1 &
peer=$!
wait_for 30 grep -q serving peer.out || fail "the peer does not serve: $(cat peer.out)"
timeout 150 python3 -X dev -W error::ResourceWarning "$here/test_python.py" "$work" ff0001ffff000000 "$(awk '/serving/ { print $2 }' peer.out)"
