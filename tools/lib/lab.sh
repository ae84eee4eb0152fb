# shellcheck shell=bash disable=SC2034,SC2154
# A private planet on loopback, for scripts (sourced after common.sh): one root, any number of nodes, all in
# $work. fail() is the caller's.

network=ff0000ffff000000 # ad-hoc, no controller: all ports open, addresses derived from the node's
homes=()                 # homes of the nodes that run

ztctl() { "$top/build/tools/ztctl" "$@"; }

# Nothing of the machine's settings should decide how programs behave.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY ZT_HOME ZT_NETWORKS \
    LD_PRELOAD ZT_PRELOAD_OFF ZT_PRELOAD_START ZT_PRELOAD_ANY ZT_PRELOAD_DEBUG

# start_node NAME [PORT]: the node whose home is $work/NAME
start_node() {
    homes+=("$work/$1")
    ztctl -H "$work/$1" up ${2:+-p "$2"} > "$work/$1.up.log" 2>&1
}

# start_root HOME...: makes planet and root, and gives the planet to these homes as well. Its endpoint
# is $root_endpoint.
start_root() {
    local attempt port home
    ztctl identity new -o "$work/root" > "$work/root.id" || fail 'no identity for the root'
    for attempt in 1 2 3; do # a port found free may be taken by a stranger before it is used
        port=$(free_ports 1)
        root_endpoint=127.0.0.1/$port
        rm -f "$work/planet" "$work/planet.secret"
        ztctl planet new --root "$work/root/identity.public" "$root_endpoint" -o "$work/planet" \
            > "$work/planet.log" 2>&1 || fail "$(cat "$work/planet.log")"
        for home in root "$@"; do
            mkdir -p "$work/$home"
            chmod 700 "$work/$home"
            cp "$work/planet" "$work/$home/planet"
        done
        start_node root "$port" && return
    done
    fail "the root does not start: $(cat "$work/root.up.log")"
}

# Ends every node; one that doesn't end is killed, and the status is 1. (ztctl waits 15 s; a machine
# that does much else gets as much again.)
end_nodes() {
    local home pid code=0
    for home in "${homes[@]}"; do
        pid=$(ztctl -H "$home" -j info 2> /dev/null | json 'd["pid"]' 2> /dev/null) || pid=''
        ztctl -H "$home" down > /dev/null 2>> "$work/down.log" && continue
        [ $? != 3 ] || continue # no node runs there (any more)
        [ -z "$pid" ] || ! wait_for 15 process_ended "$pid" || continue
        code=1
        echo "${0##*/}: the node in $home did not end when asked" >&2
        [ -z "$pid" ] || kill -KILL "$pid" 2> /dev/null
    done
    homes=()
    return $code
}

# process_ended PID: it is gone, or but for its parent's taking note of it
process_ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.[ZX]' "/proc/$1/status"; }

node_id() { ztctl -H "$work/$1" -j info | json 'd["address"]'; }
node_pid() { ztctl -H "$work/$1" -j info | json 'd["pid"]'; }
is_online() { ztctl -H "$work/$1" -j info | json 'd["online"]'; }
# virtual_address HOME [NWID]: its first address there, in the ad-hoc network if none is named
virtual_address() {
    ztctl -H "$work/$1" -j networks |
        json "[a.split('/')[0] for n in d if n['id'] == '${2:-$network}' for a in n['assignedAddresses']][0]"
}
# direct_path FROM PEER: "DIRECT ip/port", or failure when the peer is reached through a relay
direct_path() {
    ztctl -H "$work/$1" -j peers | json "next(
        ('DIRECT ' + p['address'] for x in d if x['address'] == '$2' for p in x['paths']
         if p['preferred'] and not p.get('expired')), None)"
}
