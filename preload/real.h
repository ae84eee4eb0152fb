/* The functions behind ours: what the next library in line (libc, as a rule) calls by the same
 * name. Filled by the constructor; a call that comes earlier, from another library's constructor or
 * from inside dlsym, fills them on the way. */
#ifndef ZT_PRELOAD_REAL_H
#define ZT_PRELOAD_REAL_H

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* `closefrom` came with glibc 2.34, `close_range` too: may be NULL on older ones. */
#define ZT_REALS(X)                                                                               \
    X(socket)                                                                                     \
    X(socketpair)                                                                                 \
    X(connect)                                                                                    \
    X(bind)                                                                                       \
    X(listen)                                                                                     \
    X(accept)                                                                                     \
    X(accept4)                                                                                    \
    X(shutdown)                                                                                   \
    X(getsockname)                                                                                \
    X(getpeername)                                                                                \
    X(getsockopt) X(setsockopt) X(sockatmark) X(close) X(dup) X(dup2) X(dup3) X(fcntl)            \
        X(close_range) X(closefrom) X(fclose) X(read) X(readv) X(preadv2) X(recv) X(recvfrom)     \
            X(recvmsg) X(recvmmsg) X(write) X(writev) X(pwritev2) X(send) X(sendto) X(sendmsg)    \
                X(sendmmsg) X(sendfile) X(splice) X(ioctl) X(epoll_ctl) X(poll) X(syscall)        \
                    X(gethostbyaddr) X(gethostbyaddr_r) X(getnameinfo) X(getaddrinfo)             \
                        X(gethostbyname) X(gethostbyname2) X(gethostbyname_r) X(gethostbyname2_r) \
                            X(execve) X(execveat) X(fexecve) X(execvpe)                            \
                                X(posix_spawn) X(posix_spawnp) X(getifaddrs) X(if_nametoindex)    \
                                    X(if_indextoname) X(if_nameindex) X(chroot) X(setuid)         \
                                        X(seteuid) X(setreuid) X(setresuid)

struct zt_real {
#define X(f) __typeof__(f) *f;
    ZT_REALS(X)
#undef X
};

extern struct zt_real zt_real;
void zt_real_load(void);

#define REAL(f) (__builtin_expect(zt_real.f != NULL, 1) ? zt_real.f : (zt_real_load(), zt_real.f))

#endif
