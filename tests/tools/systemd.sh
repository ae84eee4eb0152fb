#!/usr/bin/env bash
# The units under a real systemd: it is process 1 of namespaces of its own (network, mounts, processes,
# cgroups), where there are no units but ours and empty targets; a second one runs as a user's manager.
# What the hardening would break shows here, and that ztd says when it is ready.
# usage: systemd.sh ZTD ZTCTL UNIT USER_UNIT
set -u
ztd=$(realpath "$1") ztctl=$(realpath "$2")
systemd=/lib/systemd/systemd
skip() {
    echo "SKIP: $*"
    exit 77
}
if [ -z "${ZT_SYSTEMD_INSIDE:-}" ]; then
    [ -n "${ZT_TEST_ALL:-}" ] || skip "only with ZT_TEST_ALL"
    [ "$(id -u)" = 0 ] || skip "only root can run a systemd of its own"
    [ -x $systemd ] && command -v systemctl > /dev/null || skip "no systemd"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    mkdir "$work/units" "$work/user-units" "$work/bin"
    cp "$ztd" "$ztctl" "$(dirname "$ztd")/../libzt/libzt.so.0" "$work/bin/"
    chmod 755 "$work"/bin/*
    fit() { sed "s|^ExecStart=[^ ]*/ztd|ExecStart=/run/bin/ztd -p 0|; s|^\[Service\]|&\nEnvironment=LD_LIBRARY_PATH=/run/bin|" "$1"; }
    fit "$3" > "$work/units/ztd.service"
    fit "$4" > "$work/user-units/ztd.service"
    for d in units user-units; do
        for t in sysinit basic shutdown network-online multi-user umount final local-fs default; do
            printf '[Unit]\nDefaultDependencies=no\n' > "$work/$d/$t.target"
        done
        printf '[Unit]\nDefaultDependencies=no\nWants=ztd.service%s\n' \
            "$([ $d = units ] && echo ' manager.service')" > "$work/$d/start.target"
    done
    cat > "$work/units/manager.service" << EOF
[Service]
User=65534
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user HOME=/run/user SYSTEMD_UNIT_PATH=$work/user-units
ExecStart=$systemd --user --unit=start.target
EOF
    ZT_SYSTEMD_INSIDE=$work unshare -nmpiuC --fork --kill-child "$0" "$@" > "$work/log" 2>&1 &
    for _ in $(seq 3000); do
        [ ! -e "$work/result" ] && kill -0 $! 2> /dev/null || break
        sleep 0.1
    done
    kill -KILL $! 2> /dev/null # and with it all that is inside
    wait $! 2> /dev/null
    # What it made below the cgroup that we are in: empty by now.
    own=$(findmnt -nfo TARGET -t cgroup2)$(sed -n 's/^0:://p' /proc/self/cgroup)
    for _ in $(seq 20); do # the last of them are still dying
        find "$own"/system.slice "$own"/init.scope -depth -type d -exec rmdir {} + 2> /dev/null && break
        [ -d "$own/system.slice" ] || [ -d "$own/init.scope" ] || break
        sleep 0.1
    done
    [ -e "$work/result" ] && cat "$work/result" && ! grep -q FAILED "$work/result" && exit 0
    if grep -q 'cannot begin' "$work/log"; then skip "$(grep 'cannot begin' "$work/log")"; fi
    tail -n 40 "$work/log"
    exit 1
fi

work=$ZT_SYSTEMD_INSIDE
export LD_LIBRARY_PATH=/run/bin
check() { # NAME COMMAND...
    local name=$1
    shift
    if out=$("$@" 2>&1); then echo "ok $name"; else echo "FAILED $name: $out"; fi
}
wait_until() { # COMMAND...: for a minute and more
    for _ in $(seq 700); do "$@" && return; sleep 0.1; done
    "$@"
}
is_state() { [ "$(systemctl show -P ActiveState "$1")" = "$2" ]; }
zt() { /run/bin/ztctl -H /var/lib/zt "$@"; }
user_zt() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/run/user /run/bin/ztctl "$@"; }
has_curl() { curl -sf -H "X-ZT1-Auth: $(cat /var/lib/zt/authtoken.secret)" "http://127.0.0.1:$(cat /var/lib/zt/zerotier-one.port)/status"; }
status_has() { grep -qE "$1" "/proc/$(systemctl show -P MainPID ztd)/status"; }
checks() {
    check 'ready' wait_until is_state ztd.service active
    check 'its state' zt info
    check 'not root' status_has '^Uid:.[1-9]'
    check 'no capability' status_has '^CapEff:.0*$'
    check 'system calls are filtered' status_has '^Seccomp:.2'
    check 'join' zt join ff0000ffff000000
    check 'HTTP' has_curl
    check 'reload' systemctl reload ztd
    check 'the home stays its own' test "$(stat -Lc %a /var/lib/zt/)" = 700
    check 'restart' systemctl restart ztd
    check 'the network is there again' sh -c "/run/bin/ztctl -H /var/lib/zt networks | grep ^ff0000ffff000000"
    check 'stop' systemctl stop ztd
    check 'a clean end' test "$(systemctl show -P Result ztd)" = success
    check 'of a user: ready' wait_until user_zt -j info
    check 'of a user: join' user_zt join ff0000ffff000000
    check 'of a user: filtered' grep -qE '^Seccomp:.2' "/proc/$(user_zt -j info | sed -n 's/^ "pid": \([0-9]*\),/\1/p')/status"
}
if ! { mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib &&
    mount -t cgroup2 none /sys/fs/cgroup && ip link set lo up; }; then
    echo "systemd: cannot begin: no permission to mount"
    exit 1
fi
mkdir -p /run/systemd/system /run/user
cp -r "$work/bin" /run/ # seen in spite of PrivateTmp
chown 65534:65534 /run/user
(
    checks > "$work/checks" 2>&1
    mv "$work/checks" "$work/result"
) &
exec env -i container=test SYSTEMD_UNIT_PATH="$work/units" PATH="$PATH" $systemd --system --unit=start.target \
    --log-target=console --show-status=no --default-standard-output=inherit \
    --default-standard-error=inherit < /dev/null
