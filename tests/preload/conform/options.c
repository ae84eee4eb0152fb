/* Cases: options, numbers, select */
#include "lib.h"

#include <net/if.h>

static void try_int(int fd, const char *text, int level, int name, int v)
{
    int r = setsockopt(fd, level, name, &v, sizeof v);
    printf("set %s %d = %d %s\n", text, v, r, r < 0 ? err_name(errno) : "");
    option(fd, text, level, name);
}
#define TRY(fd, level, name, v) try_int(fd, #name, level, name, v)

/* Pointers that lead nowhere. (Other libraries between the program and us may not bear them.) */
static void c_wild(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM, 0),
              u = socket(family, SOCK_DGRAM, 0);
    char b[64];
    struct msghdr m = {.msg_iovlen = 1};
    SAY(bind(socket(family, SOCK_STREAM, 0), (void *)1, base_len));
    SAY(connect(socket(family, SOCK_STREAM, 0), (void *)1, base_len));
    SAY(connect(c, addr(port), base_len));
    SAY(connect(u, addr(port), base_len));
    SAY(connect(c, (void *)1, base_len));
    SAY(getsockname(c, (struct sockaddr *)b, (void *)1));
    SAY(getpeername(c, NULL, NULL));
    SAY(setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, (void *)8, sizeof(int)));
    SAY(getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, b, (void *)8));
    SAY(send(c, (void *)8, 1, 0));
    SAY(send(u, (void *)8, 1, 0));
    SAY(sendmsg(c, &m, 0));
    SAY(sendmsg(u, &m, 0));
    SAY(recvmsg(u, &m, MSG_DONTWAIT));
    m.msg_iovlen = (size_t)-1;
    SAY(recvmsg(u, &m, MSG_DONTWAIT));
    SAY(recvmsg(c, &m, MSG_DONTWAIT));
    SAY(sendto(u, b, 1, 0, (void *)8, base_len));
    SAY(sendmmsg(u, (void *)8, 3, 0));
    SAY(recvmmsg(u, (void *)8, 3, MSG_DONTWAIT, NULL));
    close(c), close(l), close(u);
}

static void c_options(void)
{
    int c, s, port, l = listener(&port), one = 1;
    c = socket(family, SOCK_STREAM, 0);
    SAY(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    SAY(setsockopt(c, IPPROTO_TCP, TCP_KEEPIDLE, &(int){33}, sizeof one));
    SAY(connect(c, addr(port), base_len));
    s = accept(l, NULL, NULL);
    OPTION(c, IPPROTO_TCP, TCP_NODELAY);
    OPTION(c, IPPROTO_TCP, TCP_KEEPIDLE);
    OPTION(c, SOL_SOCKET, SO_DOMAIN);
    OPTION(c, SOL_SOCKET, SO_TYPE);
    OPTION(c, SOL_SOCKET, SO_PROTOCOL);
    OPTION(l, SOL_SOCKET, SO_REUSEADDR);
    TRY(c, SOL_SOCKET, SO_KEEPALIVE, 1);
    TRY(c, SOL_SOCKET, SO_OOBINLINE, 1);
    TRY(c, IPPROTO_TCP, TCP_NODELAY, 0);
    TRY(c, IPPROTO_TCP, TCP_CORK, 1);
    TRY(c, IPPROTO_TCP, TCP_KEEPINTVL, 11);
    TRY(c, IPPROTO_TCP, TCP_KEEPCNT, 3);
    TRY(c, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    TRY(c, SOL_SOCKET, SO_DONTROUTE, 1);
    TRY(c, IPPROTO_TCP, TCP_SYNCNT, 3);
    TRY(c, IPPROTO_TCP, TCP_LINGER2, 12);
    TRY(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
    TRY(c, IPPROTO_IP, IP_MTU_DISCOVER, 2);
    TRY(c, IPPROTO_IP, IP_FREEBIND, 1);
    if (family == AF_INET6) {
        TRY(c, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 3);
    }
    if (family == AF_INET) {
        TRY(c, IPPROTO_IP, IP_TOS, 0x10);
        TRY(c, IPPROTO_IP, IP_TTL, 33);
    } else {
        TRY(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
        OPTION(c, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    OPTION(s, SOL_SOCKET, 9999);
    OPTION(s, IPPROTO_TCP, 9999);
    SAY(setsockopt(s, IPPROTO_TCP, 9999, &one, sizeof one));
    SAY(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 1));
    OPTION(s, 500, 1);
    OPTION(s, IPPROTO_UDP, 1);
    OPTION(s, IPPROTO_IPV6, 9999);
    SAY(setsockopt(s, 500, 1, &one, sizeof one));
    SAY(setsockopt(s, IPPROTO_UDP, 1, &one, sizeof one));
    struct tcp_info ti = {0};
    socklen_t n = sizeof ti;
    SAY(getsockopt(c, IPPROTO_TCP, TCP_INFO, &ti, &n));
    printf("state %d, mss %s\n", ti.tcpi_state, ti.tcpi_snd_mss > 500 ? "plausible" : "odd");
    char cc[16];
    n = sizeof cc;
    SAY(getsockopt(c, IPPROTO_TCP, TCP_CONGESTION, cc, &n));
    struct linger lg = {1, 5};
    SAY(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
    memset(&lg, 0, sizeof lg);
    n = sizeof lg;
    SAY(getsockopt(c, SOL_SOCKET, SO_LINGER, &lg, &n));
    printf("linger %d %d\n", lg.l_onoff, lg.l_linger);
    struct timeval tv = {2, 0};
    SAY(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    tv.tv_sec = 0;
    n = sizeof tv;
    SAY(getsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &tv, &n));
    printf("sndtimeo %ld\n", (long)tv.tv_sec);
    struct ucred uc;
    n = sizeof uc;
    SAY(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &uc, &n));
    printf("peercred %d %d\n", (int)uc.pid, (int)uc.uid);
    SAY(setsockopt(c, SOL_SOCKET, SO_SNDBUF, &(int){20000}, sizeof one));
    OPTION(c, SOL_SOCKET, SO_SNDBUF);
    close(c), close(s), close(l);
}

static void tell_options(int c)
{
    struct linger lg = {0, 0};
    socklen_t n = sizeof lg;
    OPTION(c, IPPROTO_TCP, TCP_NODELAY);
    OPTION(c, IPPROTO_TCP, TCP_KEEPIDLE);
    OPTION(c, SOL_SOCKET, SO_KEEPALIVE);
    OPTION(c, SOL_SOCKET, SO_REUSEADDR);
    SAY(getsockopt(c, SOL_SOCKET, SO_LINGER, &lg, &n));
    printf("linger %d %d\n", lg.l_onoff, lg.l_linger);
    struct timeval tv = {0, 0};
    n = sizeof tv;
    SAY(getsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, &n));
    printf("timeout %ld\n", (long)tv.tv_sec);
}

/* A connect that fails leaves the socket with what it was told before, blocking or not. */
static void c_options_retry(void)
{
    int s, port, closed = closed_port(), l = listener(&port), one = 1;
    for (int nonblock = 0; nonblock < 2; nonblock++) {
        int c = socket(family, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), 0);
        struct linger lg = {1, 7};
        struct timeval tv = {3, 0};
        SAY(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
        SAY(setsockopt(c, IPPROTO_TCP, TCP_KEEPIDLE, &(int){44}, sizeof one));
        SAY(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
        SAY(setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        SAY(connect(c, addr(closed), base_len));
        if (nonblock) {
            SAY(setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
            wait_for(c, POLLOUT);
            settle();
            tell_options(c);
            SAY(connect(c, addr(closed), base_len));
        }
        tell_options(c);
        SAY(connect(c, addr(port), base_len));
        s = accept(l, NULL, NULL);
        wait_for(c, POLLOUT);
        tell_options(c);
        SAY(send(c, "x", 1, MSG_NOSIGNAL));
        wait_for(s, POLLIN);
        close(s);
        close(c);
    }
    close(l);
}

/* A reset that comes after the peer's end of file: nothing more to read, and EPIPE for a writer. */
static void c_reset_after_end(void)
{
    int c, s;
    char b;
    pair_up(&c, &s);
    SAY(shutdown(s, SHUT_WR));
    wait_for(c, POLLIN);
    SAY(read(c, &b, 1));
    lingering_reset(s);
    settle();
    SAY(read(c, &b, 1));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    so_error(c);
    close(c);
}

static void c_numbers(void)
{
    int port, l = listener(&port);
    char b[8];
    long c = syscall(SYS_socket, family, SOCK_STREAM, 0);
    SAY(syscall(SYS_connect, c, addr(port), base_len));
    int s = accept(l, NULL, NULL);
    names((int)c);
    SAY(syscall(SYS_write, c, "abc", 3));
    SAY(syscall(SYS_recvfrom, s, b, 8, 0, NULL, NULL));
    SAY(syscall(SYS_shutdown, s, SHUT_WR));
    wait_for((int)c, POLLIN);
    SAY(syscall(SYS_read, c, b, 8));
    SAY(syscall(SYS_close, c));
    SAY(syscall(SYS_write, c, "x", 1));
    SAY(syscall(99999, 1, 2, 3));
    OK(syscall(SYS_getpid));
    fflush(stdout);
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(3);
    int st;
    waitpid((pid_t)pid, &st, 0);
    printf("clone by number: %d\n", WEXITSTATUS(st));
    close(s), close(l);
}

static void c_select(void)
{
    int c, s;
    char b;
    pair_up(&c, &s);
    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(s, &r);
    FD_SET(s, &w);
    struct timeval tv = {0, 0};
    SAY(select(s + 1, &r, &w, NULL, &tv));
    printf("r %d w %d\n", FD_ISSET(s, &r), FD_ISSET(s, &w));
    SAY(write(c, "x", 1));
    wait_for(s, POLLIN);
    FD_SET(s, &r);
    SAY(select(s + 1, &r, NULL, NULL, &tv));
    SAY(read(s, &b, 1));
    struct pollfd p = {s, POLLIN, 0};
    struct timespec ts = {0, 10000000};
    SAY(ppoll(&p, 1, &ts, NULL));
    close(c), close(s);
}

static void c_fill(void)
{
    int c, s;
    static char buf[65536];
    pair_up(&c, &s);
    nonblock(c);
    long total = 0;
    ssize_t n;
    for (int quiet = 0; quiet < 5;) { /* nor room for a single byte: the kernel's own buffers grow late */
        n = write(c, buf, quiet ? 1 : sizeof buf);
        if (n > 0) {
            total += n;
            quiet = 0;
        } else {
            quiet++;
            settle();
        }
    }
    SAY(write(c, buf, 1));
    events("full", c);
    long back = 0;
    while (back < total && (n = read(s, buf, sizeof buf)) > 0)
        back += n;
    printf("all came: %d\n", back == total);
    wait_for(c, POLLOUT);
    events("drained", c);
    SAY(write(c, buf, 1));
    close(c), close(s);
}

/* What every inet socket can be asked about the machine. */
static void c_interfaces(void)
{
    static const unsigned long asked[] = {SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR, SIOCGIFFLAGS, SIOCGIFMTU,
                                          SIOCGIFINDEX, SIOCGIFHWADDR, SIOCGIFMETRIC};
    int u = socket(family, SOCK_DGRAM, 0), l = socket(family, SOCK_STREAM, 0), fds[] = {u, l};
    OK(bind(u, addr(0), base_len));
    OK(bind(l, addr(0), base_len));
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            struct ifreq q = {.ifr_name = "lo"}, none = {.ifr_name = "none"};
            SAY(ioctl(fds[k], asked[i], &q));
            printf("%lx: %08x %08x\n", asked[i], (unsigned)q.ifr_flags,
                   ((struct sockaddr_in *)&q.ifr_addr)->sin_addr.s_addr);
            SAY(ioctl(fds[k], asked[i], &none));
        }
    close(u), close(l);
}

const struct conform_case cases_options[] = {
    {"options", c_options},
    {"wild", c_wild},
    {"options_retry", c_options_retry},
    {"reset_after_end", c_reset_after_end},
    {"numbers", c_numbers},
    {"select", c_select},
    {"fill", c_fill},
    {"interfaces", c_interfaces},
    {NULL, NULL},
};
