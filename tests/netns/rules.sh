#!/usr/bin/env bash
# The rules of a network on nodes of both kinds: 500 frames of all sorts (tests/netns/rules_lab.py) under
# the rule sets of tests/netns/rules, from each sender to each receiver. What comes out, at the receiver
# and at observers, must be what the rules engine says of the frames when no node is around it.
#
#   root and controller
#        10.9.0.1
#           |
#   --------+--------+---------+---------+---------+---------+----- switch
#                    |         |         |         |         |
#                 sender    sender   receiver  receiver  observers, two
#                 ours     reference   ours   reference  ours, reference
#
# Our members are tests/netns/l2node.c; the reference's are given frames by AF_PACKET on their TAP devices.
# Without ZT_REFERENCE there is one sender, one receiver, and all of them are ours, root and controller too.
. "$(dirname "$0")/lib.sh"
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
L2NODE=${ZT_L2NODE:-$BUILD/tests/netns/l2node}
JUDGE=${ZT_JUDGE:-$BUILD/tests/netns/judge}
kinds=(ours) controller=ours
if [ -n "${ZT_REFERENCE:-}" ]; then
    need_reference
    kinds+=(reference) controller=${ZT_RULES_CONTROLLER:-reference}
fi

host r 10.9.0.1/24
planet r 10.9.0.1/9993
node "$controller" r

number=1
nodes=
member() { # member ROLE KIND
    number=$((number + 1))
    local name=n$number home=$DIR/n$number
    host $name 10.9.0.$number/24
    mkdir -p "$home"
    "$ZTCTL" identity new -o "$home" >/dev/null || fail "no identity"
    if [ "$2" = ours ]; then cp "$DIR/planet" "$home/planet"; else node reference $name; fi
    nodes+="${nodes:+,}{\"host\":\"$name\",\"kind\":\"$2\",\"role\":\"$1\",\"home\":\"$home\",\"id\":\"$(id_of $name)\"}"
}
for role in sender receiver; do
    for kind in "${kinds[@]}"; do member $role "$kind"; done
done
member observer ours
member observer "${kinds[-1]}"
wait_for 30 node_api r GET /controller || fail "the controller does not answer"

cat >"$DIR/api" <<END
#!/bin/sh
exec ip netns exec r curl -sSf -m 10 -X POST -H "X-ZT1-Auth: $(cat "$DIR/r/authtoken.secret")" \\
    -d "\$2" "http://127.0.0.1:9993\$1"
END
chmod +x "$DIR/api"
cat >"$DIR/nodes.json" <<END
{"tools": {"l2node": "$L2NODE", "judge": "$JUDGE", "tap": "$HERE/tap.py", "ztctl": "$ZTCTL",
           "reference": "${ZT_REFERENCE:-}"},
 "api": ["$DIR/api"], "controller": "$(id_of r)", "nodes": [$nodes]}
END
python3 "$HERE/rules_lab.py" "$DIR/nodes.json" "$HERE/rules" "$DIR" || fail "rules"
echo PASS
