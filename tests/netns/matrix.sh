#!/usr/bin/env bash
# Every kind of node with every other: a cell is LEAF/PEER/ROOT/CONTROLLER/UNDERLAY.
#
#     root              controller         (each ours or the reference's; controller "none": an ad-hoc
#      .1                   .2              network, which has IPv6 addresses only, tried over v4)
#      |                    |
#  ----+---------+----------+---------+----  switch, 10.9.0.0/24 (v4) or fd09::/64 (v6)
#                |                    |
#           leaf .3, .4          peer .5, .6    (one of ours and one of the reference's each)
#
# In each cell, over each virtual IP version: 200 pings each way, none lost; 200 MiB by TCP each way,
# equal SHA-256; 10,000 datagrams of 1 to 2,700 bytes each way, all of them whole; both ends on a
# direct path. Cells that differ in the leaves only share their nodes. A table of results ends it.
#
#   ZT_REFERENCE=/path/to/zerotier-one   cells with the reference, too
#   ZT_TEST_ALL=1                        the amounts above; without, the same with few bytes
#   ZT_MATRIX='reference/*/ours/*/v4'    only the cells that match
set -u
here=$(dirname "$(readlink -f "$0")")

cells() { # the names of the cells to run
    local kinds=(ours) leaf peer root controller underlay
    [ -z "${ZT_REFERENCE:-}" ] || kinds+=(reference)
    for root in "${kinds[@]}"; do
        for controller in none "${kinds[@]}"; do
            for underlay in v4 v6; do
                [ $controller/$underlay != none/v6 ] || continue # adds nothing to the others
                for leaf in "${kinds[@]}"; do
                    for peer in "${kinds[@]}"; do
                        # shellcheck disable=SC2053
                        [[ $leaf/$peer/$root/$controller/$underlay != ${ZT_MATRIX:-*} ]] ||
                            echo "$leaf/$peer/$root/$controller/$underlay"
                    done
                done
            done
        done
    done
}

table() { # table RESULTS CELL...: what the topologies recorded; fails when a cell failed or is missing
    python3 - "$@" <<'PY'
import collections, json, sys
checks = collections.defaultdict(list)
for line in open(sys.argv[1]):
    check = json.loads(line)
    checks[check["cell"]].append(check)
bad = 0
print(f"{'leaf':9} {'peer':9} {'root':9} {'control':9} {'under':5} {'ping lost':9} {'MB/s':>11} {'UDP lost':9} verdict")
for cell in sys.argv[2:]:
    mine = checks[cell]
    faults = [c for c in mine if not c["ok"]]
    whole = any(c["what"] == "end" for c in mine)
    rates = [c["MB/s"] for c in mine if "MB/s" in c]
    pings = sum(c.get("unanswered", 0) for c in mine)
    lost = sum(c.get("lost", 0) for c in mine)
    verdict = "ok" if whole and not faults else "FAILED: " + "; ".join(
        c["what"] + ": " + str(c.get("error", {k: v for k, v in c.items() if k not in ("cell", "what", "ok")})) for c in faults
    ) + ("" if whole else " (not finished)")
    bad += verdict != "ok"
    span = f"{min(rates):.0f}-{max(rates):.0f}" if rates else "-"
    print(*(f"{x:9}" for x in cell.split("/")[:4]), f"{cell.split('/')[4]:5} {pings:<9} {span:>11} {lost:<9} {verdict}")
good = len(sys.argv) - 2 - bad
print(f"matrix: {good} passed, {bad} failed")
sys.exit(bad > 0)
PY
}

if [ -z "${ZT_MATRIX_TOPOLOGY:-}" ]; then
    mapfile -t cells < <(cells)
    [ -n "${ZT_REFERENCE:-}" ] ||
        echo 'skipped cells with the reference: ZT_REFERENCE does not name a zerotier-one binary'
    [ ${#cells[@]} -gt 0 ] || { echo "SKIP: no cell matches ${ZT_MATRIX:-}"; exit 77; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    printf '%s\n' "${cells[@]#*/*/}" | sort -u >"$work/topologies"
    export ZT_MATRIX_RESULTS=$work/results
    : >"$ZT_MATRIX_RESULTS"
    # Two at a time: on two cores nodes that wait for each other leave a core idle.
    xargs -P 2 -I{} env ZT_MATRIX_TOPOLOGY={} bash -c '
        mapfile -t < <(printf "%s\n" "$@" | grep "/$ZT_MATRIX_TOPOLOGY\$")
        exec "$0" "${MAPFILE[@]}"' "$0" "${cells[@]}" <"$work/topologies"
    code=$?
    [ -s "$ZT_MATRIX_RESULTS" ] || [ $code != 123 ] || { echo 'FAILED: no cell started'; exit 1; }
    table "$ZT_MATRIX_RESULTS" "${cells[@]}"
    exit
fi

# ---- One topology: "$@" are its cells ------------------------------------------------------------
. "$here/lib.sh"
IFS=/ read -r root controller underlay <<<"$ZT_MATRIX_TOPOLOGY"
case " $* $controller $root" in *reference*) need_reference ;; esac
if [ -n "${ZT_TEST_ALL:-}" ]; then
    pings=200 bytes=$((200 << 20)) datagrams=10000
else
    pings=20 bytes=$((2 << 20)) datagrams=600
fi

record() { # record WHAT yes|no [JSON-OBJECT]: one line of the results
    local more=${3:-} ok=true
    [ "$2" = yes ] || ok=false
    case $more in '{'*[!{\ ]*'}') more="${more%\}}, " ;; *) more='{' ;; esac
    printf '%s"cell": "%s", "what": "%s", "ok": %s}\n' "$more" "$cell" "$1" $ok >>"$ZT_MATRIX_RESULTS"
}
give_up() { # every cell of this topology fails for the same reason
    for cell; do record start no "{\"error\": \"$reason\"}"; done
    fail "$ZT_MATRIX_TOPOLOGY: $reason"
}
must() { # must REASON COMMAND...
    reason=$1
    shift
    "$@" >/dev/null || give_up "${cells[@]}"
}

cells=("$@")
case $underlay in v4) ip=10.9.0. bits=24 ;; v6) ip=fd09::0 bits=64 ;; esac
declare -A leaves=()
for cell; do
    IFS=/ read -r a b _ <<<"$cell"
    leaves[a_$a]=$a
    leaves[b_$b]=$b
done
n=1
hosts=(r)
[ "$controller" = none ] || hosts+=(c)
hosts+=("${!leaves[@]}")
for h in "${hosts[@]}"; do
    host "$h" "$ip$n/$bits"
    n=$((n + 1))
done
for h in "${hosts[@]}"; do must "addresses of $h" wait_for 30 settled "$h"; done
planet r "${ip}1/9993"
node "$root" r
[ "$controller" = none ] || node "$controller" c
for h in "${!leaves[@]}"; do node "${leaves[$h]}" "$h"; done
for h in "${hosts[@]}"; do
    must "$h does not start" wait_for 60 test -s "$DIR/$h/identity.public"
    [ "$h" = r ] || must "$h is not online" wait_for 60 node_online "$h"
done

if [ "$controller" = none ]; then
    nwid=ff0000ffff000000
    prefixes=(fc)
else
    nwid=$(id_of c)00ab01
    prefixes=(10.144. fd)
    must 'the controller does not answer' wait_for 30 node_api c GET /status
    must 'no network' node_api c POST "/controller/network/$nwid" '{"private":true,
        "v4AssignMode":{"zt":true},"v6AssignMode":{"rfc4193":true},
        "ipAssignmentPools":[{"ipRangeStart":"10.144.0.10","ipRangeEnd":"10.144.0.99"}],
        "routes":[{"target":"10.144.0.0/24"}]}'
    for h in "${!leaves[@]}"; do
        must "$h is not authorised" node_api c POST "/controller/network/$nwid/member/$(id_of "$h")" \
            '{"authorized":true}'
    done
fi
for h in "${!leaves[@]}"; do must "$h cannot join" node_join "$h" $nwid; done
declare -A address
for h in "${!leaves[@]}"; do
    for prefix in "${prefixes[@]}"; do
        must "$h has no address $prefix" wait_for 60 node_address "$h" "$nwid" $prefix
        address[$h$prefix]=$(node_address "$h" "$nwid" $prefix)
    done
    [ "${leaves[$h]}" = ours ] || must "$h: an address stays tentative" wait_for 30 settled "$h"
    for prefix in "${prefixes[@]}"; do
        port=7$((${#prefix} % 10))00
        node_run "$h" "$PYTHON" "$here/traffic.py" serve "${address[$h$prefix]}" "$port" \
            >"$DIR/$h.$port.serve" 2>"$DIR/$h.$port.log" &
        must "$h: no server" wait_for 60 grep -q ready "$DIR/$h.$port.serve"
    done
done

ping_check() { # ping_check FROM TO PREFIX
    local got
    for _ in 1 2; do # each has a second for its answer: a machine that stands still for that long is asked again
        got=$(node_ping "$1" "${address[$2$3]}" $pings)
        got=${got:-0}
        [ "$got" != $pings ] || break
    done
    record "ping ${1%_*} to ${2%_*} $3" "$([ "$got" = $pings ] && echo yes || echo no)" \
        "{\"unanswered\": $((pings - got))}"
}
traffic_check() { # traffic_check tcp|udp FROM TO PREFIX AMOUNT
    local ok=yes out
    out=$(node_run "$2" timeout 240 "$PYTHON" "$here/traffic.py" "$1" "${address[$3$4]}" \
        "7$((${#4} % 10))00" "$5" 2>>"$DIR/$2.traffic.log") || ok=no
    [ -n "$out" ] || out=$(tail -n 1 "$DIR/$2.traffic.log" | "$PYTHON" -c '
import json, sys
print(json.dumps({"error": sys.stdin.read().strip()}))')
    record "$1 ${2%_*} to ${3%_*} $4" $ok "$out"
}
met() { [ "$(node_ping "$1" "${address[$2$3]}" 1)" = 1 ]; }

for cell; do
    began=$SECONDS
    IFS=/ read -r a b _ <<<"$cell"
    a=a_$a b=b_$b
    for prefix in "${prefixes[@]}"; do
        # The first packet to a stranger waits for WHOIS, credentials and neighbour discovery.
        wait_for 30 met $a $b "$prefix" && wait_for 30 met $b $a "$prefix"
        ping_check $a $b "$prefix" &
        one=$!
        ping_check $b $a "$prefix"
        wait $one
        for kind in tcp udp; do
            amount=$bytes
            [ $kind = tcp ] || amount=$datagrams
            traffic_check $kind $a $b "$prefix" "$amount"
            traffic_check $kind $b $a "$prefix" "$amount"
        done
    done
    for way in "$a $b" "$b $a"; do
        ok=yes
        # shellcheck disable=SC2086
        wait_for 30 node_direct ${way% *} "$(id_of ${way#* })" || ok=no
        record "direct ${way%%_*} to peer" $ok
    done
    record end yes
    echo "$cell: $((SECONDS - began)) s"
done
