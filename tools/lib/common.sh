# shellcheck shell=bash disable=SC2034
# Shared by the scripts in tools/ (sourced, never run): where things are, building, free ports.
top=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)

zt_targets=()

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# zt_build FOLDER LOG [meson options]: configure when it isn't, build what changed (all of it, or what
# the array zt_targets names). Quiet unless it fails; the whole output is in LOG.
zt_build() {
    local dir=$1 log=$2 jobs
    shift 2
    jobs=$(nproc)
    mkdir -p "$(dirname "$log")"
    if [ ! -f "$dir/build.ninja" ]; then
        meson setup "$dir" "$top" "$@" > "$log" 2>&1 || {
            tail -n 30 "$log" >&2
            die "configuring $dir failed (whole log: $log)"
        }
    fi
    ninja -C "$dir" -j"$jobs" "${zt_targets[@]}" >> "$log" 2>&1 || {
        tail -n 60 "$log" >&2
        die "building in $dir failed (whole log: $log)"
    }
}

# free_ports N: N different ports that nobody uses now, for UDP and TCP, one a line.
free_ports() { python3 "$top/tools/lib/ports.py" "$1"; }

# wait_for SECONDS COMMAND...: until the command succeeds (tried ten times a second); its last
# output is in $waited.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until waited=$("$@" 2>&1); do
        [ $SECONDS -lt "$end" ] || return 1
        sleep 0.1
    done
}

# json EXPRESSION: evaluates a Python expression over the document d on stdin and prints it; a false
# result is a failure.
json() {
    python3 -c '
import json, sys
d = json.load(sys.stdin)
r = eval(sys.argv[1])
if isinstance(r, (list, tuple)):
    print("\n".join(map(str, r)))
elif r is not None and r is not False:
    print(r)
sys.exit(0 if r or r == 0 and r is not False else 1)' "$1"
}
