#!/usr/bin/env bash
# One controller.d, served by two services in turn: the reference's and ours. Whoever takes it over shows
# the same documents to the bit as the one before, and gives members what that one gave them.
#
#    c: root and controller, reference or ours       a, b: members (ours)
#       10.9.0.1                                     10.9.0.2, 10.9.0.3
#          |                                            |     |
#    ------+------------------------- switch -----------+-----+----
#
#    reference fills it -> ours: the same; changes and adds -> reference: the same; changes and adds -> ours:
#    the same
#
# Needs ZT_REFERENCE=/path/to/zerotier-one; skips without (tests/controller/folder.py does what can be done
# with a recorded folder).
. "$(dirname "$0")/lib.sh"
set -u
need_reference
HERE=$(cd "$(dirname "$0")" && pwd)

host c 10.9.0.1/24
host a 10.9.0.2/24
host b 10.9.0.3/24
planet c 10.9.0.1/9993
pid=
serve() { # serve KIND: from now on it is the controller
    if [ -n "$pid" ]; then
        kill "$pid"
        wait "$pid"
    fi
    rm -f "$DIR/c/zerotier-one.port"
    node "$1" c
    pid=$!
    wait_for 60 test -s "$DIR/c/zerotier-one.port" || fail "$1 does not start"
    wait_for 60 node_api c GET /controller || fail "$1 does not answer"
}
api() {
    local what=$1
    shift
    in_host c "$PYTHON" "$HERE/takeover.py" "$what" "$DIR/c" "$@" || fail "takeover.py $what"
}
same() { # same A B WHAT
    cmp -s "$DIR/$1" "$DIR/$2" || {
        diff "$DIR/$1" "$DIR/$2" | head -20 >&2
        fail "$3"
    }
}
status_of() { zt "$1" -j networks | pick "next(n['status'] for n in d if n['nwid'] == '$nwid')"; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }
config_of() { # config_of HOST: what its configuration says
    zt "$1" -j networks | pick "next(json.dumps({k: n[k] for k in ('name', 'mtu', 'type', 'routes', 'dns',
        'assignedAddresses', 'broadcastEnabled')}) for n in d if n['nwid'] == '$nwid')"
}
has_name() { config_of "$1" | grep -q "\"name\": \"$2\""; }

serve reference
nwid=$(id_of c)7e570a
api fill 0001
node_api c POST "/controller/network/$nwid" '{"name":"lab","private":true,"v4AssignMode":{"zt":true},
    "v6AssignMode":{"6plane":true},"routes":[{"target":"10.144.0.0/16"}],
    "ipAssignmentPools":[{"ipRangeStart":"10.144.0.1","ipRangeEnd":"10.144.255.254"}],
    "dns":{"domain":"lab.test","servers":["10.144.0.53"]}}' >/dev/null || fail 'no network'
node ours a
node ours b
for h in a b; do wait_for 60 node_online $h || fail "$h is not online"; done
node_join a "$nwid" || fail 'a cannot join'
wait_for 60 has_status a ACCESS_DENIED || fail "a is not refused: $(status_of a)"
node_api c POST "/controller/network/$nwid/member/$(id_of a)" '{"authorized":true}' >/dev/null
wait_for 60 has_status a OK || fail "the reference does not let a in: $(status_of a)"
first=$(config_of a)
sleep 1 # the reference answers before it has written
api dump >"$DIR/by-reference"
(cd "$DIR/c" && find controller.d -type f -exec sha256sum {} + | sort -k2) >"$DIR/files-before"

serve ours
api dump >"$DIR/seen-by-ours"
same by-reference seen-by-ours 'ours shows other documents than the reference wrote'
(cd "$DIR/c" && find controller.d -type f -exec sha256sum {} + | sort -k2) >"$DIR/files-after"
same files-before files-after 'ours has written files that nobody changed'
echo "   ours shows the $(grep -c '"objtype"' "$DIR/by-reference") documents of the reference"
zt a leave "$nwid" >/dev/null
node_join a "$nwid" || fail 'a cannot join again'
wait_for 60 has_status a OK || fail "ours does not let a in: $(status_of a)"
[ "$(config_of a)" = "$first" ] || fail "ours gives a another configuration: $(config_of a), not $first"
node_join b "$nwid" || fail 'b cannot join'
wait_for 60 has_status b ACCESS_DENIED || fail "b is not refused: $(status_of b)"
node_api c POST "/controller/network/$nwid/member/$(id_of b)" '{"authorized":true}' >/dev/null
wait_for 60 has_status b OK || fail "ours does not let b in: $(status_of b)"
api change
api fill 0002
wait_for 60 has_name b 'lab changed' || fail "b: $(config_of b)"
second=$(config_of b)
api dump >"$DIR/by-ours"

serve reference
api dump >"$DIR/seen-by-reference"
same by-ours seen-by-reference 'the reference shows other documents than ours wrote'
echo "   the reference shows the $(grep -c '"objtype"' "$DIR/by-ours") documents of ours"
node_api c POST "/controller/network/$nwid/member/$(id_of b)" '{"authorized":true}' >/dev/null
zt b leave "$nwid" >/dev/null
node_join b "$nwid" || fail 'b cannot join again'
wait_for 60 has_status b OK || fail "the reference does not let b in: $(status_of b)"
[ "$(config_of b)" = "$second" ] ||
    fail "the reference gives b another configuration: $(config_of b), not $second"
api change
api fill 0003
sleep 1
api dump >"$DIR/by-reference-2"

serve ours
api dump >"$DIR/seen-by-ours-2"
same by-reference-2 seen-by-ours-2 'the second time ours shows other documents'
echo '   and back again'
echo PASS
