#!/bin/bash
# The Linux Test Project's tests of the network system calls on virtual addresses, beside the same on the kernel's
# loopback: every assertion must have the same outcome, except those that ltp.known lists with their reason. The
# source is a checkout of LTP; it is copied and built in the build folder.
#
#   ZT_LTP=SOURCE ltp.sh BUILD [PROGRAM...]
build=$(readlink -f "$1")
shift
[ -n "${ZT_LTP-}" ] || { echo 'skipped: ZT_LTP names no source of the Linux Test Project'; exit 77; }
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
# shellcheck disable=SC2154 source=foreign.sh
. "$here/foreign.sh"
need make autoconf automake

calls='accept accept4 bind close connect dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_wait
    getpeername getsockname getsockopt listen poll ppoll pselect readv recv recvfrom recvmmsg recvmsg select send
    sendfile sendmmsg sendmsg sendto setsockopt shutdown sockioctl socket socketcall socketpair splice tee writev'

# In the copy "any" and loopback are the addresses of the environment, wherever they are no constant of the
# compiler's; wildcards are wildcard.sh's business.
prepare() {
    local call
    cat > "$tree/include/host.h" << 'END'
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#define HOST4 getenv("ZT_HOST4")
#define HOST4_NET inet_addr(HOST4)
#define HOST4_BIN ntohl(HOST4_NET)
static inline __attribute__((unused)) const struct in6_addr *host6(void)
{
    static struct in6_addr a;
    inet_pton(AF_INET6, getenv("ZT_HOST6"), &a);
    return &a;
}
END
    # A pointer into memory that is not mapped crashes the program where the kernel says EFAULT, as it does in
    # functions of libc; one into the zero page must not.
    cat > "$tree/lib/tst_get_bad_addr.c" << 'END'
#include "tst_get_bad_addr.h"
void *tst_get_bad_addr(void (*cleanup_fn)(void))
{
    (void)cleanup_fn;
    return (void *)8;
}
END
    (cd "$tree" && make autotools && CFLAGS='-O1 -w' ./configure &&
        echo "CFLAGS += -include $tree/include/host.h" >> include/mk/config.mk && make -C lib -j"$(nproc)") > "$tree/build.log" 2>&1 || return
    for call in $calls; do
        sed -i -E 's/(s_addr = )(hton[ls]\()?INADDR_(ANY|LOOPBACK)\)?;/\1HOST4_NET;/
            s/, INADDR_(ANY|LOOPBACK),/, HOST4_BIN,/
            s/&in6addr_(any|loopback)/host6()/; s/sizeof\(in6addr_loopback\)/sizeof(struct in6_addr)/
            s/= IN6ADDR_LOOPBACK_INIT/= *host6()/
            s/"127\.0\.0\.1"/HOST4/' "$tree/testcases/kernel/syscalls/$call"/*.[ch]
        make -C "$tree/testcases/kernel/syscalls/$call" >> "$tree/build.log" 2>&1 || return
    done
}
if suite_tree ltp "$ZT_LTP" lib include testcases/kernel/syscalls; then
    prepare || fail "LTP can't be built: $(tail -n 20 "$tree/build.log")"
    suite_built
fi

# all assertions of a program: `ok`, `failed` or `skipped`, its name and their number
one() {
    (mkdir -p "$1.d" && cd "$1.d" && exec timeout 120 "$tree/testcases/kernel/syscalls/$2") \
        > "$1.${2##*/}.log" 2>&1 < /dev/null
    sed -nE 's/.*T(PASS|FAIL|BROK|CONF) *:.*/\1/p' "$1.${2##*/}.log" | awk -v name="${2##*/}" '
        BEGIN { word["PASS"] = "ok"; word["CONF"] = "skipped"; word["FAIL"] = word["BROK"] = "failed" }
        { print word[$1], name "." ++n }
        END { if (!n) print "failed", name ".0" }'
}
kernel() { ZT_HOST4=127.0.0.1 ZT_HOST6=::1 one kernel "$1"; }
virtual() { (
    # some try every kind of descriptor, io_uring's among them, which is not to be had otherwise
    export ZT_PRELOAD_IO_URING=1 ZT_HOST4=$a4 ZT_HOST6=$a6 ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    one virtual "$1"
); }

lab_begin
lab_up
export LTP_COLORIZE_OUTPUT=n LTP_TIMEOUT_MUL=3 TMPDIR=$work
cd "$tree/testcases/kernel/syscalls" || exit
programs=()
for call in $calls; do
    for p in "$call"/*; do
        [ -f "$p" ] && [ -x "$p" ] || continue
        [ $# = 0 ] || [[ " $* " == *" ${p##*/} "* ]] || continue
        # how exactly the kernel's timers run, and races that it once lost, are not about sockets
        ! grep -qE 'tst_(timer_test|fuzzy_sync)\.h' "${p%_64}.c" 2> /dev/null || continue
        programs+=("$p")
    done
done
cd "$work" || exit
for p in "${programs[@]}"; do
    kernel "$p" >> kernel.tests &
    virtual "$p" >> virtual.tests
    wait $!
done
echo "LTP, ${#programs[@]} programs: kernel $(counts kernel.tests); virtual $(counts virtual.tests)"
check "LTP" suite_agrees "$here/ltp.known"
verdict
