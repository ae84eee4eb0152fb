#!/usr/bin/env bash
# Worlds: a moon made by ztctl, taken from its seed, revised, kept over a restart, carrying traffic
# when the planet's root is gone, given up; and a planet that moves to a second root.
#
#   r (planet)    q (second root)   m (moon)
#   10.10.0.1     10.10.0.2         10.10.0.3
#      |             |                 |
#   ---+------+------+------ switch ---+---+---
#             |                            |
#          10.10.0.4                   10.10.0.5     a and b are kept from
#             a                            b         reaching each other directly
#
# First with nodes of ours alone. Then, when ZT_REFERENCE names a zerotier-one binary, with b and m
# of the reference by turns: it orbits our moon and follows its revisions, follows our planet's, and
# serves a moon of its own making to a.
. "$(dirname "$0")/lib.sh"
set -u
NWID=ff0000ffff000000
declare -A RUNS

start() { # start KIND HOST
    node "$1" "$2"
    RUNS[$2]=1
    wait_for 60 test -s "$DIR/$2/identity.public" || fail "$2: no identity"
    wait_for 60 is_up "$2" || fail "$2: does not answer"
}
is_up() { if [ "${KIND[$1]}" = ours ]; then zt "$1" info; else refcli "$1" info; fi; }
pid_of() { # both write it into their home
    if [ "${KIND[$1]}" = ours ]; then cat "$DIR/$1/identity.lock"; else cat "$DIR/$1/zerotier-one.pid"; fi
}
stop() { # stop HOST
    local pid
    pid=$(pid_of "$1") || fail "$1: no process"
    kill "$pid"
    wait_for 30 sh -c "! kill -0 $pid" || fail "$1 does not end"
    unset "RUNS[$1]"
}
again() { # again HOST: start it with the home that it has (node() gives it the planet first)
    local run=("$ZTD" -p 9993 -H)
    [ "${KIND[$1]}" = ours ] || run=("$ZT_REFERENCE" -U)
    RUNS[$1]=1
    in_host "$1" "${run[@]}" "$DIR/$1" >>"$DIR/$1.log" 2>&1 &
    wait_for 60 is_up "$1" || fail "$1: does not answer"
}
restart() { # restart HOST
    stop "$1"
    again "$1"
}
online() { wait_for 60 node_online "$1" || fail "$1 (${KIND[$1]}) is not online"; }

# world_revision FILE
world_revision() { "$ZTCTL" -j planet show "$1" | pick 'd["timestamp"]'; }
moons_of() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" -j moons; else refcli "$1" listmoons; fi
}
# holds HOST MOON REVISION: does it hold that revision (written to its folder, too)?
holds() {
    moons_of "$1" | pick "any(m['id'] == '$2' and m['timestamp'] == $3 for m in d)" &&
        [ "$(world_revision "$DIR/$1/moons.d/$2.moon")" = "$3" ]
}
# plays HOST PEER ROLE
plays() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" -j peers; else refcli "$1" -j listpeers; fi |
        pick "any(p['address'] == '$2' and p['role'] == '$3' for p in d)" >/dev/null
}
# in_planet HOST REVISION
in_planet() {
    if [ "${KIND[$1]}" = ours ]; then
        zt "$1" -j info | pick "d['planetWorldTimestamp'] == $2"
    else
        refcli "$1" -j info | pick "d['planetWorldTimestamp'] == $2"
    fi
}
holds_planet() { [ "$(world_revision "$DIR/$1/planet")" = "$2" ]; }
# orbit HOST MOON SEED; the reference wants 10 digits
orbit() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" orbit "$2" "$3"; else refcli "$1" orbit "${2#000000}" "$3"; fi
}
deorbit() {
    if [ "${KIND[$1]}" = ours ]; then zt "$1" deorbit "$2"; else refcli "$1" deorbit "${2#000000}"; fi
}

topology() {
    host r 10.10.0.1/24
    host q 10.10.0.2/24
    host m 10.10.0.3/24
    host a 10.10.0.4/24
    host b 10.10.0.5/24
    ip -n a route add blackhole 10.10.0.5/32
    ip -n b route add blackhole 10.10.0.4/32
}
clear_all() {
    local h
    for h in "${!RUNS[@]}"; do stop "$h"; done
    wait 2>/dev/null
    for h in r q m a b; do
        ip link del dev $h
        ip netns del $h
    done
    rm -rf "${DIR:?}"/[rqmab] "$DIR"/planet* "$DIR"/*.moon*
}

# A moon of ours whose only root is m, installed there; sets MOON, M and the file $DIR/moon.
make_moon() {
    "$ZTCTL" moon new --root "$DIR/m/identity.public" 10.10.0.3/9993 -o "$DIR/our.moon" >/dev/null ||
        fail "moon new"
    M=$(id_of m)
    MOON=000000$M
    "$ZTCTL" -H "$DIR/m" moon install "$DIR/our.moon" >/dev/null || fail "moon install"
}
revise_moon() {
    "$ZTCTL" moon sign "$DIR/our.moon" >/dev/null || fail "moon sign"
    "$ZTCTL" -H "$DIR/m" moon install "$DIR/our.moon" >/dev/null || fail "moon install, revised"
}

talk() { # talk: does b answer a over the network?
    local there
    there=$(node_address b $NWID fc) && [ "$(node_ping a "$there" 3)" -ge 1 ]
}

with_ours() {
    echo "== own nodes"
    topology
    planet r 10.10.0.1/9993
    start ours r
    start ours m
    make_moon
    restart m
    start ours a
    start ours b
    for h in m a b; do online $h; done

    orbit a "$MOON" "$M" >/dev/null || fail "orbit"
    local rev
    rev=$(world_revision "$DIR/our.moon")
    wait_for 30 holds a "$MOON" "$rev" || fail "the moon did not come from its seed"
    wait_for 30 plays a "$M" MOON || fail "its root is no upstream"
    plays a "$(id_of r)" PLANET || fail "the planet's root lost its role"
    orbit b "${MOON#000000}" "$M" >/dev/null || fail "orbit by the short id"
    wait_for 30 holds b "$MOON" "$rev" || fail "b: the moon did not come"

    revise_moon
    restart m
    rev=$(world_revision "$DIR/our.moon")
    restart a # its HELLO asks at once; others would within a minute
    wait_for 60 holds a "$MOON" "$rev" || fail "the revision did not come"
    plays a "$M" MOON || fail "the moon was forgotten by a restart"

    node_join a $NWID && node_join b $NWID || fail "join"
    wait_for 30 node_address a $NWID fc || fail "no address"
    wait_for 60 talk || fail "a and b do not talk"
    stop r
    wait_for 60 talk || fail "a and b do not talk through the moon"
    loses_few() { [ "$(node_ping a "$(node_address b $NWID fc)" 20)" -ge 18 ]; }
    loses_few || loses_few || fail "the moon loses packets"
    zt a -j info | pick 'd["online"]' >/dev/null || fail "offline with a moon there"
    start ours r
    echo "   a moon: taken, revised, kept, relays without the planet's root"

    deorbit a "$MOON" >/dev/null || fail "deorbit"
    plays a "$M" LEAF || fail "still an upstream after deorbit"
    wait_for 30 test ! -e "$DIR/a/moons.d/$MOON.moon" || fail "its file is still there"

    # A second root joins the planet, then the first leaves it. (A restart of a makes it ask at once.)
    "$ZTCTL" identity new -o "$DIR/q" >/dev/null || fail "identity"
    "$ZTCTL" planet add-root "$DIR/planet" "$DIR/q/identity.public" 10.10.0.2/9993 >/dev/null ||
        fail "add-root"
    start ours q
    stop r
    zt r planet install "$DIR/planet" >/dev/null || fail "planet install"
    again r
    restart a
    rev=$(world_revision "$DIR/planet")
    wait_for 90 in_planet a "$rev" || fail "a does not follow the planet"
    wait_for 30 plays a "$(id_of q)" PLANET || fail "the second root is no upstream"
    "$ZTCTL" planet remove-root "$DIR/planet" "$(id_of r)" >/dev/null || fail "remove-root"
    zt q planet install "$DIR/planet" >/dev/null || fail "planet install"
    stop r
    restart q
    restart a
    rev=$(world_revision "$DIR/planet")
    wait_for 90 in_planet a "$rev" || fail "a does not follow the planet to its new root"
    wait_for 30 holds_planet a "$rev" || fail "the planet was not written"
    online a
    echo "   a planet: a second root, then no first"
    clear_all
}

# The reference as b: orbits ours, follows moon and planet.
reference_follows() {
    echo "== the reference follows our worlds"
    topology
    planet r 10.10.0.1/9993
    start ours r
    start ours m
    make_moon
    restart m
    start reference b
    for h in m b; do online $h; done
    orbit b "$MOON" "$M" >/dev/null || fail "orbit"
    wait_for 60 holds b "$MOON" "$(world_revision "$DIR/our.moon")" || fail "the reference does not take our moon"
    wait_for 60 plays b "$M" MOON || fail "the reference: its root is no upstream"

    revise_moon
    restart m
    "$ZTCTL" planet sign "$DIR/planet" >/dev/null || fail "planet sign"
    stop r
    zt r planet install "$DIR/planet" >/dev/null || fail "planet install"
    again r
    restart b
    wait_for 60 holds b "$MOON" "$(world_revision "$DIR/our.moon")" || fail "the reference does not take the revised moon"
    echo "   our moon, its revision"
    wait_for 60 in_planet b "$(world_revision "$DIR/planet")" || fail "the reference does not follow our planet"
    echo "   our planet's revision"
    clear_all
}

# The reference as m: a moon made by its own tool, served by it.
reference_serves() {
    echo "== our node follows a moon of the reference"
    topology
    planet r 10.10.0.1/9993
    start ours r
    start reference m
    start ours a
    for h in m a; do online $h; done
    M=$(id_of m)
    MOON=000000$M
    "$ZT_REFERENCE" -i initmoon "$DIR/m/identity.public" >"$DIR/moon.json" || fail "initmoon"
    python3 - "$DIR/moon.json" <<'PY' || fail "moon.json"
import json, sys
d = json.load(open(sys.argv[1]))
d["roots"][0]["stableEndpoints"] = ["10.10.0.3/9993"]
json.dump(d, open(sys.argv[1], "w"))
PY
    (cd "$DIR" && "$ZT_REFERENCE" -i genmoon moon.json >/dev/null) || fail "genmoon"
    "$ZTCTL" -j moon show "$DIR/$MOON.moon" | pick "d['selfSigned'] and d['id'] == '$MOON'" >/dev/null ||
        fail "ztctl does not read its moon"
    mkdir -p "$DIR/m/moons.d" && cp "$DIR/$MOON.moon" "$DIR/m/moons.d/"
    restart m
    online m
    orbit a "$MOON" "$M" >/dev/null || fail "orbit"
    wait_for 60 holds a "$MOON" "$(world_revision "$DIR/$MOON.moon")" || fail "we do not take the moon of the reference"
    wait_for 60 plays a "$M" MOON || fail "its root is no upstream"
    wait_for 60 node_direct a "$M" || fail "no direct path to its root"
    stop r
    sleep 1
    restart a # with the moon alone
    online a
    echo "   its moon, and online by it alone"
    clear_all
}

with_ours
if [ -x "${ZT_REFERENCE:-}" ]; then
    reference_follows
    reference_serves
else
    echo "   not run: ZT_REFERENCE names no zerotier-one binary"
fi
echo PASS
