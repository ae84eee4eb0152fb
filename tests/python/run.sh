#!/bin/bash
# The Python binding (tools/python) in a private planet on loopback. usage: run.sh BUILD
set -u
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lab.sh
. "$here/../lab.sh" "$1" python

start_root python peer
wait_for 60 is_online root || fail 'the root is not online'
export ZT_LIBRARY=$build/libzt ZT_PLANET=$work/planet PYTHONPATH=$here/../../tools/python PYTHONDONTWRITEBYTECODE=1
python3 "$here/peer.py" "$work/peer" ff0001ffff000000 > peer.out 2>&1 &
started+=($!)
wait_for 60 grep -q serving peer.out || fail "the peer does not serve: $(cat peer.out)"
timeout 500 python3 -X dev -W error::ResourceWarning "$here/test_python.py" "$work" ff0001ffff000000 "$(awk '/serving/ { print $2 }' peer.out)"
