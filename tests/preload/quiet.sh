#!/bin/bash
# What the library costs and leaves where nothing is virtual: the same system calls on the program's own
# descriptors as without it. And that it bears other libraries that stand in for libc: AddressSanitizer,
# valgrind.
#
#   quiet.sh BUILD CONFORM FAKEHOST CC
build=$(readlink -f "$1") conform=$(readlink -f "$2") host=$(readlink -f "$3") cc=$4
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
export -n ZT_HOME
lab_begin
mkdir home

# Reads and writes on two kernel sockets, a pipe and a file, by poll, select and epoll; tells its numbers.
cat > own.c << 'END'
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char buf[64] = "";
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), p[2], one = 1;
    if (bind(l, (struct sockaddr *)&a, n) || listen(l, 5) ||
        getsockname(l, (struct sockaddr *)&a, &n) || connect(c, (struct sockaddr *)&a, n))
        return 1;
    int s = accept4(l, NULL, NULL, SOCK_CLOEXEC), e = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(e, EPOLL_CTL_ADD, s, &ev);
    if (pipe(p))
        return 1;
    for (int i = 0; i < 50; i++) {
        struct iovec v = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        struct pollfd pf = {s, POLLIN, 0};
        ssize_t sum = 0;
        sum += write(c, buf, sizeof buf);
        epoll_wait(e, &ev, 1, 1000);
        sum += read(s, buf, sizeof buf);
        sum += send(c, buf, sizeof buf, MSG_NOSIGNAL);
        poll(&pf, 1, 1000);
        sum += recv(s, buf, sizeof buf, 0);
        sum += sendmsg(c, &m, 0);
        sum += recvmsg(s, &m, 0);
        sum += writev(c, &v, 1);
        sum += readv(s, &v, 1);
        sum += write(p[1], buf, sizeof buf);
        sum += read(p[0], buf, sizeof buf);
        if (sum != 10 * (ssize_t)sizeof buf)
            return 2;
    }
    shutdown(c, SHUT_WR);
    int d = dup(s);
    fcntl(d, F_SETFL, O_NONBLOCK);
    close(d);
    close(c);
    close(s);
    return 0;
}
END
cat > asan.c << 'END'
#include <stdlib.h>
int main(int argc, char **argv)
{
    (void)argv;
    char *p = malloc((size_t)argc);
    p[0] = 1;
    free(p);
    return 0;
}
END

calls() { # the system calls of ./own from its first socket on, without numbers that differ by right
    "$@" 2> strace.log || return
    sed -n '/^socket(AF_INET/,$p' trace | sed -E 's/(sin_port=htons\()[0-9]+/\1P/'
}
no_more_calls() {
    calls strace -o trace ./own > plain || { cat strace.log; return 1; }
    ZT_HOME=$work/home calls strace -E LD_PRELOAD="$preload" -o trace ./own > shimmed || return
    [ "$(grep -c '^read(' plain)" -ge 100 ] || { echo 'strace shows nothing'; return 1; }
    # a number with a duplicate or in an epoll set costs one look at whose memory this is, and listen one
    # at the address
    [ "$(grep -c '^getpid' shimmed)" -le 5 ] && [ "$(grep -c '^getsockname' shimmed)" = 2 ] &&
        diff <(grep -v '^getsockname' plain) <(grep -vE '^(getpid|getsockname)' shimmed)
}
load_calls() { # what loading itself does: the loader's work, one look at descriptors and home
    ZT_HOME=$work/home strace -E LD_PRELOAD="$preload" -o trace /bin/true || return
    sed -n '/libztpreload/,$p' trace | grep -E '^(socket|connect|clone|vfork|fork|futex|mkdir)' && return 1
    return 0
}

if command -v strace > /dev/null && strace -o trace /bin/true 2> /dev/null; then
    if "$cc" -O1 -o own own.c > cc.log 2>&1; then
        check "own descriptors: call for call as without the library" no_more_calls
    else
        echo "skipped: $cc makes no programs here"
    fi
    check "loading opens no socket and starts nothing" load_calls
else
    echo 'skipped: strace is missing or may not trace'
fi

# ---- what it exports, needs and costs

exports() { # what the map lists, which is what it stands in for
    diff <(nm -D --defined-only "$preload" | awk '{ print $3 }' | sed 's/@.*//' | sort -u) \
        <(sed -n '/global:/,/local:/p' "$top/preload/export.map" | tr ';' '\n' | tr -d ' ' |
            grep -vE ':|^$' | sort -u)
}
libc_only() { [ "$(ldd "$preload" | grep -cvE 'linux-vdso|libc\.so|/ld-linux')" = 0 ]; }
startup() { # the fastest tenth of many starts: less than a millisecond of processor time more than without
    python3 - "$preload" << 'END'
import os, sys
def start(env):
    used = os.wait4(os.posix_spawn('/bin/true', ['true'], env), 0)[2]
    return used.ru_utime + used.ru_stime
env = {'PATH': '/bin', 'HOME': '/nonexistent'}
times = [(start(env), start(dict(env, LD_PRELOAD=sys.argv[1]))) for _ in range(100)] # by turns: the machine's other work changes
plain, ours = (sorted(t)[10] * 1000 for t in zip(*times))
print(f'{plain:.2f} ms without, {ours:.2f} ms with it')
sys.exit(ours - plain > 1)
END
}
check 'exports exactly what it interposes' exports
check 'needs libc alone' libc_only
check 'a start costs less than 1 ms more' startup

# ---- beside others; the node is the stand-in of the tests

"$host" -H "$work/home" > host.log 2>&1 &
started+=($!)
wait_for 30 test -S home/control.sock || fail "$(cat host.log)"

batches() { # 100 datagrams, and 105 in return: a handful of calls; the others are for the node
    ZT_HOME=$work/home ZT_PRELOAD_START=no timeout 150 strace -E LD_PRELOAD="$preload" -o trace \
        "$conform" 10.147.17.1 udp_batches > batches.out 2>&1 || { cat batches.out; return 1; }
    grep -q 'sendmmsg(c, m, N, 0) = 100' batches.out || { cat batches.out; return 1; }
    [ "$(grep -cE '^send(m?msg|to)?\(' trace)" -le 20 ] && [ "$(grep -cE '^recv(m?msg|from)?\(' trace)" -le 20 ] ||
        { cut -d'(' -f1 trace | sort | uniq -c; return 1; }
}
if command -v strace > /dev/null && strace -o trace /bin/true 2> /dev/null; then
    check 'sendmmsg, recvmmsg: many datagrams in one call' batches
fi

same() { # CASE COMMAND...: conform prints the same with the command around it as on the kernel
    local case=$1
    shift
    "$conform" 127.0.0.1 "$case" > kernel.out 2>&1
    ZT_HOME=$work/home ZT_PRELOAD_START=no timeout 100 "$@" "$conform" 10.147.17.1 "$case" > virtual.out 2> err.log ||
        { cat err.log; return 1; }
    diff kernel.out virtual.out
}
cases=(connect refused nonblocking epoll_level half_close flags accept dup fork options udp)

asan=$("$cc" -print-file-name=libasan.so 2> /dev/null)
if [[ $asan == /* ]] && LD_PRELOAD=$asan /bin/true 2> /dev/null; then
    export ASAN_OPTIONS=detect_leaks=0
    for case in "${cases[@]}"; do
        check "AddressSanitizer before us: $case" same "$case" env LD_PRELOAD="$asan:$preload"
    done
    if "$cc" -fsanitize=address -o asan asan.c > cc.log 2>&1; then
        sanitized() { LD_PRELOAD=$asan:$preload ./asan; }
        check 'a program built with it' sanitized
    fi
else
    echo 'skipped: libasan is not there'
fi

if command -v valgrind > /dev/null; then
    for case in connect nonblocking epoll_level accept options udp; do
        check "valgrind: $case" same "$case" \
            env LD_PRELOAD="$preload" valgrind -q --error-exitcode=99
    done
else
    echo 'skipped: valgrind is not installed'
fi
verdict
