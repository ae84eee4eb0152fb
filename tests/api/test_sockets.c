/* Sockets between two nodes, each in a process of its own, by the public header alone. */
#include "../unit/ztest.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "env.h"

static struct env e;

#define assert_zts(err, call)                   \
    do {                                        \
        zts_errno = 0;                          \
        assert_int_equal(call, ZTS_ERR_SOCKET); \
        assert_int_equal(zts_errno, err);       \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct zts_sockaddr_in6 peer(int port)
{
    struct zts_sockaddr_in6 a = e.peer_addr;
    a.sin6_port = zts_htons((uint16_t)port);
    return a;
}

static int stream(void)
{
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_true(fd >= 0);
    return fd;
}

static int connected(int port)
{
    struct zts_sockaddr_in6 a = peer(port);
    int fd = stream();
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    return fd;
}

static void read_all(int fd, char *buf, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = zts_read(fd, buf + got, n - got);
        assert_true(k > 0);
        got += (size_t)k;
    }
}

static void test_echo(void **state)
{
    char buf[64];
    int fd = connected(ENV_TCP_ECHO);
    assert_int_equal(zts_write(fd, "hello", 5), 5);
    read_all(fd, buf, 5);
    assert_memory_equal(buf, "hello", 5);

    struct zts_iovec v[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
    assert_int_equal(zts_writev(fd, v, 3), 6);
    char x[2], y[4];
    struct zts_iovec r[2] = {{x, 2}, {y, 4}};
    int waiting = 0;
    for (int64_t end = now_ms() + 30000; waiting < 6 && now_ms() < end; zts_delay_ms(10))
        assert_int_equal(zts_ioctl(fd, ZTS_FIONREAD, &waiting), 0);
    assert_int_equal(zts_readv(fd, r, 2), 6);
    assert_memory_equal(x, "ab", 2);
    assert_memory_equal(y, "cdef", 4);

    assert_int_equal(zts_send(fd, "peek", 4, 0), 4);
    assert_int_equal(zts_recv(fd, buf, 4, ZTS_MSG_PEEK | ZTS_MSG_WAITALL), 4);
    waiting = 0;
    assert_int_equal(zts_ioctl(fd, ZTS_FIONREAD, &waiting), 0);
    assert_int_equal(waiting, 4);
    assert_int_equal(zts_recv(fd, buf, 4, 0), 4);
    assert_int_equal(zts_close(fd), 0);
    assert_zts(ZTS_EBADF, zts_close(fd));
}

static void *send_many(void *arg)
{
    int fd = *(int *)arg;
    unsigned char block[10000];
    for (int i = 0; i < 400; i++) {
        memset(block, i & 255, sizeof block);
        for (size_t at = 0; at < sizeof block;) {
            ssize_t k = zts_send(fd, block + at, sizeof block - at, 0);
            if (k <= 0)
                return (void *)1;
            at += (size_t)k;
        }
    }
    return (void *)(intptr_t)(zts_shutdown(fd, ZTS_SHUT_WR) != 0);
}

/* One thread sends and half-closes, another receives the same bytes and then the end. */
static void test_bulk_and_half_close(void **state)
{
    static unsigned char buf[65536];
    int fd = connected(ENV_TCP_ECHO);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, send_many, &fd), 0);
    size_t total = 0;
    ssize_t n;
    while ((n = zts_read(fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++, total++)
            if (buf[i] != (total / 10000 & 255))
                fail_msg("byte %zu differs", total);
    assert_int_equal(n, 0);
    assert_int_equal(total, 4000000);
    void *failed;
    pthread_join(t, &failed);
    assert_null(failed);
    assert_zts(ZTS_EPIPE, zts_send(fd, "x", 1, 0));
    zts_close(fd);
}

static void test_names(void **state)
{
    struct zts_sockaddr_in6 a, b = peer(ENV_TCP_ECHO);
    zts_socklen_t len = sizeof a;
    int fd = stream();
    assert_zts(ZTS_ENOTCONN, zts_getpeername(fd, &a, &len));
    len = sizeof a;
    assert_int_equal(zts_getsockname(fd, &a, &len), 0);
    assert_int_equal(a.sin6_family, ZTS_AF_INET6);
    assert_int_equal(a.sin6_port, 0);
    assert_int_equal(zts_connect(fd, &b, sizeof b), 0);
    len = sizeof a;
    assert_int_equal(zts_getpeername(fd, &a, &len), 0);
    assert_int_equal(len, sizeof a);
    assert_memory_equal(&a.sin6_addr, &b.sin6_addr, 16);
    assert_int_equal(a.sin6_port, b.sin6_port);
    assert_int_equal(zts_getsockname(fd, &a, &len), 0);
    assert_int_not_equal(a.sin6_port, 0);
    assert_int_equal(a.sin6_addr.un.u8_addr[0], 0xfc);
    zts_close(fd);
}

static void test_refused_then_again_on_the_same_descriptor(void **state)
{
    struct zts_sockaddr_in6 bad = peer(ENV_NOTHING), good = peer(ENV_TCP_ECHO);
    char c;
    int fd = stream();
    for (int i = 0; i < 3; i++)
        assert_zts(ZTS_ECONNREFUSED, zts_connect(fd, &bad, sizeof bad));
    int host = zts_get_host_fd(fd);
    assert_int_equal(zts_connect(fd, &good, sizeof good), 0);
    assert_int_equal(zts_get_host_fd(fd), host);
    assert_int_equal(zts_write(fd, "x", 1), 1);
    assert_int_equal(zts_read(fd, &c, 1), 1);
    assert_zts(ZTS_EISCONN, zts_connect(fd, &good, sizeof good));
    zts_close(fd);
}

static void test_unreachable(void **state)
{
    struct zts_sockaddr_in6 nowhere = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(80)};
    zts_inet_pton(ZTS_AF_INET6, "2001:db8::1", &nowhere.sin6_addr);
    int fd = stream();
    zts_errno = 0;
    assert_int_equal(zts_connect(fd, &nowhere, sizeof nowhere), ZTS_ERR_SOCKET);
    if (zts_errno != ZTS_ENETUNREACH && zts_errno != ZTS_EHOSTUNREACH)
        fail_msg("%s", zts_strerror(zts_errno));
    zts_close(fd);
}

/* A member that is not there: the connect ends when the caller says so, not before. */
static void test_connect_timeout(void **state)
{
    struct zts_sockaddr_in6 a = peer(80);
    struct zts_timeval limit = {.tv_usec = 300000};
    a.sin6_addr.un.u8_addr[8] ^= 0x5a; /* another node's address */
    int fd = stream();
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit), 0);
    int64_t t = now_ms();
    assert_zts(ZTS_ETIMEDOUT, zts_connect(fd, &a, sizeof a));
    assert_in_range(now_ms() - t, 290, 20000);
    struct zts_sockaddr_in6 good = peer(ENV_TCP_ECHO);
    /* A limit of less than a millisecond is one. */
    limit = (struct zts_timeval){.tv_usec = 1};
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit), 0);
    assert_zts(ZTS_ETIMEDOUT, zts_connect(fd, &a, sizeof a));
    assert_true(now_ms() - t < 40000);
    limit.tv_sec = 60;
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(zts_connect(fd, &good, sizeof good), 0);
    zts_close(fd);
}

static void test_nonblocking_connect(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    int fd = stream(), err = -1;
    zts_socklen_t len = sizeof err;
    assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK), 0);
    assert_int_equal(zts_fcntl(fd, ZTS_F_GETFL, 0), ZTS_O_RDWR | ZTS_O_NONBLOCK);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &a, sizeof a));
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLOUT};
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    assert_int_equal(p.revents, ZTS_POLLOUT);
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR, &err, &len), 0);
    assert_int_equal(err, 0);
    char c;
    assert_zts(ZTS_EAGAIN, zts_read(fd, &c, 1));
    assert_int_equal(zts_write(fd, "q", 1), 1);
    p.events = ZTS_POLLIN;
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    assert_int_equal(zts_read(fd, &c, 1), 1);
    zts_close(fd);
}

static void test_nonblocking_refused(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_NOTHING), good = peer(ENV_TCP_ECHO);
    int fd = stream(), err = 0, on = 1;
    zts_socklen_t len = sizeof err;
    assert_int_equal(zts_ioctl(fd, ZTS_FIONBIO, &on), 0);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &a, sizeof a));
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLOUT};
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    assert_true(p.revents & ZTS_POLLERR);
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR, &err, &len), 0);
    assert_int_equal(err, ZTS_ECONNREFUSED);
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR, &err, &len), 0);
    assert_int_equal(err, 0);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &good, sizeof good));
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    assert_int_equal(p.revents, ZTS_POLLOUT);
    zts_close(fd);
}

static void test_end_and_reset(void **state)
{
    char buf[16];
    int fd = connected(ENV_TCP_CLOSE);
    read_all(fd, buf, 3);
    assert_memory_equal(buf, "bye", 3);
    assert_int_equal(zts_read(fd, buf, sizeof buf), 0);
    assert_int_equal(zts_read(fd, buf, sizeof buf), 0);
    zts_close(fd);

    fd = connected(ENV_TCP_RESET);
    assert_int_equal(zts_write(fd, "x", 1), 1);
    assert_zts(ZTS_ECONNRESET, zts_read(fd, buf, sizeof buf));
    assert_int_equal(zts_read(fd, buf, sizeof buf), 0);
    zts_close(fd);

    /* Whoever asks first hears of it, also a sender; the others find a closed connection. */
    fd = connected(ENV_TCP_RESET);
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLIN};
    assert_int_equal(zts_write(fd, "xyz", 3), 3);
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    assert_zts(ZTS_ECONNRESET, zts_write(fd, "x", 1));
    assert_zts(ZTS_EPIPE, zts_write(fd, "x", 1));
    assert_int_equal(zts_read(fd, buf, sizeof buf), 0);
    int err = -1;
    zts_socklen_t len = sizeof err;
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR, &err, &len), 0);
    assert_int_equal(err, 0);
    zts_close(fd);
}

/* A call that may wait does, also for the handshake of a connect that did not. */
static void test_send_while_connecting(void **state)
{
    struct zts_sockaddr_in6 good = peer(ENV_TCP_ECHO), bad = peer(ENV_NOTHING), nowhere = peer(80);
    nowhere.sin6_addr.un.u8_addr[8] ^= 0x5a; /* a member that is not there */
    char c = 0;
    for (int i = 0; i < 20; i++) {
        int fd = stream();
        assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK), 0);
        assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &good, sizeof good));
        assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, 0), 0);
        assert_int_equal(zts_send(fd, "w", 1, 0), 1);
        assert_int_equal(zts_recv(fd, &c, 1, 0), 1);
        assert_int_equal(c, 'w');
        zts_close(fd);
    }
    static char big[300000];
    int fd = stream();
    assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK), 0);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &bad, sizeof bad));
    assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, 0), 0);
    ssize_t n = zts_send(fd, big, sizeof big, 0); /* the pair may have taken some before it ended */
    while (n > 0)
        n = zts_send(fd, big, sizeof big, 0);
    assert_int_equal(n, ZTS_ERR_SOCKET);
    assert_int_equal(zts_errno, ZTS_ECONNREFUSED);
    assert_zts(ZTS_EPIPE, zts_send(fd, big, 1, 0));
    zts_close(fd);

    fd = stream();
    assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK), 0);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, &nowhere, sizeof nowhere));
    assert_zts(ZTS_EAGAIN, zts_send(fd, "x", 1, 0));
    assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, 0), 0);
    assert_zts(ZTS_EAGAIN, zts_send(fd, "x", 1, ZTS_MSG_DONTWAIT));
    zts_close(fd);
}

static void on_signal(int number)
{
}

static _Atomic bool signals_end;
static void *send_signals(void *arg)
{
    while (!signals_end) { /* the first ones may come before the call */
        zts_delay_ms(50);
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    return NULL;
}

/* A handler without SA_RESTART: data calls end, the others wait on, for as long as they were told to. */
static void test_signals(void **state)
{
    struct sigaction sa = {.sa_handler = on_signal}, was;
    struct zts_sockaddr_in6 nowhere = peer(80);
    struct zts_timeval limit = {.tv_usec = 400000};
    zts_fd_set r;
    pthread_t t, self = pthread_self();
    char c;
    nowhere.sin6_addr.un.u8_addr[8] ^= 0x5a;
    assert_int_equal(sigaction(SIGUSR1, &sa, &was), 0);
    int fd = connected(ENV_TCP_ECHO), k = stream();
    assert_int_equal(zts_setsockopt(k, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit), 0);
    for (int way = 0; way < 4; way++) {
        struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLIN};
        int64_t from = now_ms();
        signals_end = false;
        assert_int_equal(pthread_create(&t, NULL, send_signals, &self), 0);
        if (way == 0)
            assert_int_equal(zts_poll(&p, 1, 400), 0);
        if (way == 1) {
            ZTS_FD_ZERO(&r);
            ZTS_FD_SET(fd, &r);
            assert_int_equal(zts_select(fd + 1, &r, NULL, NULL, &limit), 0);
        }
        if (way == 2)
            assert_zts(ZTS_ETIMEDOUT, zts_connect(k, &nowhere, sizeof nowhere));
        if (way == 3)
            assert_zts(ZTS_EINTR, zts_recv(fd, &c, 1, 0));
        assert_in_range(now_ms() - from, way == 3 ? 0 : 390, 30000);
        signals_end = true;
        pthread_join(t, NULL);
    }
    assert_int_equal(sigaction(SIGUSR1, &was, NULL), 0);
    zts_close(fd);
    zts_close(k);
}

static void test_receive_timeout(void **state)
{
    char c;
    struct zts_timeval tv = {.tv_usec = 200000}, back;
    zts_socklen_t len = sizeof back;
    int fd = stream();
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    /* Set before connect: it must survive the change of the descriptor behind. */
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    int64_t t = now_ms();
    assert_zts(ZTS_EAGAIN, zts_read(fd, &c, 1));
    assert_in_range(now_ms() - t, 190, 20000);
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &back, &len), 0);
    assert_int_equal(back.tv_usec, 200000);
    zts_close(fd);
}

static void test_listen_here(void **state)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6}, a;
    zts_socklen_t len = sizeof a;
    char buf[8];
    int l = stream();
    assert_zts(ZTS_EINVAL, zts_accept(l, NULL, NULL));
    assert_int_equal(zts_bind(l, &any, sizeof any), 0);
    assert_zts(ZTS_EINVAL, zts_bind(l, &any, sizeof any));
    assert_int_equal(zts_listen(l, 4), 0);
    assert_int_equal(zts_getsockname(l, &a, &len), 0);
    assert_int_not_equal(a.sin6_port, 0);
    assert_int_equal(zts_fcntl(l, ZTS_F_SETFL, ZTS_O_NONBLOCK), 0);
    assert_zts(ZTS_EAGAIN, zts_accept(l, NULL, NULL));
    int on = 0;
    len = sizeof on;
    assert_int_equal(zts_getsockopt(l, ZTS_SOL_SOCKET, ZTS_SO_ACCEPTCONN, &on, &len), 0);
    assert_int_equal(on, 1);

    /* A second one on the same port is refused. */
    int second = stream();
    assert_zts(ZTS_EADDRINUSE, zts_bind(second, &a, sizeof a));
    zts_close(second);

    /* To our own address, through the stack. */
    struct zts_sockaddr_in6 self = {0};
    len = sizeof self;
    int probe = connected(ENV_TCP_ECHO);
    assert_int_equal(zts_getsockname(probe, &self, &len), 0);
    zts_close(probe);
    self.sin6_port = a.sin6_port;
    int c = stream();
    assert_int_equal(zts_connect(c, &self, sizeof self), 0);
    struct zts_pollfd p = {.fd = l, .events = ZTS_POLLIN};
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    struct zts_sockaddr_in6 from;
    len = sizeof from;
    int s = zts_accept4(l, &from, &len, 0);
    assert_true(s >= 0);
    assert_memory_equal(&from.sin6_addr, &self.sin6_addr, 16);
    assert_int_equal(zts_write(c, "abc", 3), 3);
    read_all(s, buf, 3);
    zts_close(c);
    assert_int_equal(zts_read(s, buf, 1), 0);
    zts_close(s);
    zts_close(l);
}

static void test_udp(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_UDP_ECHO), from;
    zts_socklen_t len = sizeof from;
    static char big[40000], back[50000];
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    struct zts_timeval tv = {.tv_sec = 30};
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_zts(ZTS_EDESTADDRREQ, zts_send(fd, "x", 1, 0));
    assert_int_equal(zts_sendto(fd, "ping", 4, 0, &a, sizeof a), 4);
    assert_int_equal(zts_recvfrom(fd, back, sizeof back, 0, &from, &len), 4);
    assert_memory_equal(back, "ping", 4);
    assert_memory_equal(&from.sin6_addr, &a.sin6_addr, 16);
    assert_int_equal(from.sin6_port, a.sin6_port);

    /* Empty, and cut. */
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(zts_send(fd, "", 0, 0), 0);
    assert_int_equal(zts_recv(fd, back, sizeof back, 0), 0);
    assert_int_equal(zts_send(fd, "abcdef", 6, 0), 6);
    struct zts_iovec v = {back, 3};
    struct zts_msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(zts_recvmsg(fd, &m, 0), 3);
    assert_true(m.msg_flags & ZTS_MSG_TRUNC);
    memset(big, 'b', sizeof big);
    assert_int_equal(zts_send(fd, big, sizeof big, 0), sizeof big);
    assert_int_equal(zts_recv(fd, back, sizeof back, 0), sizeof big);
    assert_memory_equal(back, big, sizeof big);
    assert_zts(ZTS_EMSGSIZE, zts_send(fd, big, 65488, 0));
    zts_close(fd);
}

static void test_udp_refused(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_NOTHING);
    char c;
    struct zts_timeval tv = {.tv_sec = 30};
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_int_equal(zts_send(fd, "x", 1, 0), 1);
    assert_zts(ZTS_ECONNREFUSED, zts_recv(fd, &c, 1, 0));
    zts_close(fd);
}

static void test_arguments(void **state)
{
    struct zts_sockaddr_in6 a = peer(1);
    struct zts_sockaddr_in a4 = {.sin_family = ZTS_AF_INET, .sin_port = 1};
    char c;
    assert_zts(ZTS_EAFNOSUPPORT, zts_socket(99, ZTS_SOCK_STREAM, 0));
    assert_zts(ZTS_EINVAL, zts_socket(ZTS_AF_INET, 99, 0));
    assert_zts(ZTS_EPROTONOSUPPORT, zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, ZTS_IPPROTO_UDP));
    int fd = stream();
    zts_errno = 77;
    assert_int_equal(zts_connect(fd, NULL, sizeof a), ZTS_ERR_ARG);
    assert_int_equal(zts_connect(fd, &a, 4), ZTS_ERR_ARG);
    assert_int_equal(zts_connect(fd, &a, 100), ZTS_ERR_ARG);
    assert_int_equal(zts_bind(fd, NULL, 16), ZTS_ERR_ARG);
    assert_int_equal(zts_read(fd, NULL, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_write(fd, NULL, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_accept(fd, &a, NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE, NULL, 4), ZTS_ERR_ARG);
    assert_int_equal(zts_ioctl(fd, ZTS_FIONREAD, NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_poll(NULL, 1, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_errno, 77); /* untouched by argument errors */
    assert_zts(ZTS_EAFNOSUPPORT, zts_connect(fd, &a4, sizeof a4));
    assert_zts(ZTS_ENOTCONN, zts_read(fd, &c, 1));
    assert_zts(ZTS_ENOTCONN, zts_send(fd, &c, 1, 0));
    assert_zts(ZTS_ENOTCONN, zts_shutdown(fd, ZTS_SHUT_WR));
    assert_zts(ZTS_EINVAL, zts_shutdown(fd, 9));
    assert_zts(ZTS_EBADF, zts_read(12345, &c, 1));
    assert_zts(ZTS_EBADF, zts_read(-1, &c, 1));
    assert_zts(ZTS_ENOSYS, zts_ioctl(fd, 12345, &c));
    assert_zts(ZTS_ENOPROTOOPT, zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_DEBUG, "abcd", 4));
    assert_zts(ZTS_ENOPROTOOPT, zts_setsockopt(fd, 12345, 1, "abcd", 4));
    zts_close(fd);
}

static void test_options_before_and_after_connect(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    int fd = stream(), v = 1;
    zts_socklen_t len = sizeof v;
    assert_int_equal(zts_setsockopt(fd, ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY, &v, sizeof v), 0);
    v = 77;
    assert_int_equal(zts_setsockopt(fd, ZTS_IPPROTO_TCP, ZTS_TCP_KEEPIDLE, &v, sizeof v), 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(zts_getsockopt(fd, ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY, &v, &len), 0);
    assert_int_equal(v, 1);
    assert_int_equal(zts_getsockopt(fd, ZTS_IPPROTO_TCP, ZTS_TCP_KEEPIDLE, &v, &len), 0);
    assert_int_equal(v, 77);
    assert_int_equal(zts_getsockopt(fd, ZTS_IPPROTO_TCP, ZTS_TCP_KEEPALIVE, &v, &len), 0);
    assert_int_equal(v, 77000);
    struct zts_linger l = {1, 5}, back;
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &l, sizeof l), 0);
    len = sizeof back;
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &back, &len), 0);
    assert_memory_equal(&l, &back, sizeof l);
    len = sizeof v;
    assert_int_equal(zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_TYPE, &v, &len), 0);
    assert_int_equal(v, ZTS_SOCK_STREAM);
    zts_close(fd);
}

static void test_lowest_number_first(void **state)
{
    int a = stream(), b = stream(), c = stream();
    assert_true(a < b && b < c);
    zts_close(b);
    int again = stream();
    assert_int_equal(again, b);
    zts_close(a);
    zts_close(again);
    zts_close(c);
}

static void test_select(void **state)
{
    zts_fd_set r, w;
    char c;
    int fd = connected(ENV_TCP_ECHO);
    struct zts_timeval t = {.tv_sec = 30};
    ZTS_FD_ZERO(&r);
    ZTS_FD_ZERO(&w);
    ZTS_FD_SET(fd, &r);
    ZTS_FD_SET(fd, &w);
    assert_int_equal(zts_select(fd + 1, &r, &w, NULL, &t), 1);
    assert_false(ZTS_FD_ISSET(fd, &r));
    assert_true(ZTS_FD_ISSET(fd, &w));
    assert_int_equal(zts_write(fd, "x", 1), 1);
    ZTS_FD_SET(fd, &r);
    assert_int_equal(zts_select(fd + 1, &r, NULL, NULL, &t), 1);
    assert_int_equal(zts_read(fd, &c, 1), 1);
    t = (struct zts_timeval){.tv_usec = 50000};
    int64_t from = now_ms();
    assert_int_equal(zts_select(fd + 1, &r, NULL, NULL, &t), 0);
    assert_in_range(now_ms() - from, 49, 20000);
    assert_zts(ZTS_EINVAL, zts_select(1025, NULL, NULL, NULL, &t));
    t = (struct zts_timeval){.tv_sec = 1, .tv_usec = LONG_MAX}; /* the longest wait there is */
    ZTS_FD_SET(fd, &w);
    assert_int_equal(zts_select(fd + 1, NULL, &w, NULL, &t), 1);
    struct zts_pollfd p[2] = {{.fd = 9999, .events = ZTS_POLLIN}, {.fd = -1}};
    assert_int_equal(zts_poll(p, 2, 30000), 1);
    assert_int_equal(p[0].revents, ZTS_POLLNVAL);
    zts_close(fd);
}

/* The host's poll on the descriptor behind. */
static void test_host_descriptor(void **state)
{
    char c;
    int fd = stream();
    struct pollfd p = {.fd = zts_get_host_fd(fd), .events = POLLIN | POLLOUT};
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(p.revents, POLLOUT | POLLHUP); /* as a fresh TCP socket */
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(zts_write(fd, "x", 1), 1);
    p.events = POLLIN;
    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(zts_read(fd, &c, 1), 1);
    assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
    zts_close(fd);
    assert_int_equal(fcntl(p.fd, F_GETFD), -1);
}

static void *blocked_read(void *arg)
{
    char c;
    return (void *)(intptr_t)zts_read(*(int *)arg, &c, 1);
}

static void test_close_wakes_others(void **state)
{
    int fd = connected(ENV_TCP_ECHO);
    pthread_t t;
    void *rc;
    pthread_create(&t, NULL, blocked_read, &fd);
    zts_delay_ms(100);
    assert_int_equal(zts_close(fd), 0);
    int64_t from = now_ms();
    pthread_join(t, &rc);
    assert_true(now_ms() - from < 20000);
    assert_true((intptr_t)rc <= 0);
}

#define WORKERS 16
static void *worker(void *arg)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    char buf[1000], back[1000];
    memset(buf, (int)(intptr_t)arg, sizeof buf);
    for (int i = 0; i < 10; i++) {
        int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
        if (fd < 0 || zts_connect(fd, &a, sizeof a) != 0 || zts_send(fd, buf, 1000, 0) != 1000)
            return (void *)1;
        if (zts_recv(fd, back, 1000, ZTS_MSG_WAITALL) != 1000 || memcmp(buf, back, 1000) != 0)
            return (void *)2;
        if (zts_close(fd) != 0)
            return (void *)3;
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    pthread_t t[WORKERS];
    int fds = env_fds_settled(0); /* those of the case before */
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, worker, (void *)(intptr_t)i), 0);
    for (int i = 0; i < WORKERS; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        assert_ptr_equal(rc, NULL);
    }
    assert_in_range(env_fds_settled(fds), 0, fds);
}

static void test_statistics(void **state)
{
    struct zts_stats_proto before, after;
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &before), 0);
    zts_close(connected(ENV_TCP_ECHO));
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &after), 0);
    assert_true(after.xmit > before.xmit && after.recv > before.recv);
    assert_int_equal(zts_get_protocol_stats(10, &after), ZTS_ERR_ARG);
    assert_int_equal(zts_get_protocol_stats(0, NULL), ZTS_ERR_ARG);
}

static uint32_t udp_sent(void)
{
    struct zts_stats_proto st;
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_UDP, &st), 0);
    return st.xmit;
}

/* A sender that is faster than the node: ZTS_EAGAIN and then POLLOUT for a non-blocking socket, waiting for a
 * blocking one; and everything that was taken goes to the network. */
static void test_udp_full_send_buffer(void **state)
{
    static char buf[1400];
    struct zts_sockaddr_in6 a = peer(ENV_NOTHING);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0), flags = zts_fcntl(fd, ZTS_F_GETFL, 0);
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLOUT};
    uint32_t before = udp_sent(), taken = 0;
    int refused = 0;
    assert_int_equal(zts_sendto(fd, buf, 1, 0, &a, sizeof a), 1);
    taken++;
    for (int way = 0; way < 2; way++) { /* O_NONBLOCK, MSG_DONTWAIT */
        assert_int_equal(zts_fcntl(fd, ZTS_F_SETFL, way == 0 ? flags | ZTS_O_NONBLOCK : flags), 0);
        for (int i = 0; i < 200000 && refused == way; i++) {
            ssize_t n = zts_sendto(fd, buf, sizeof buf, way == 0 ? 0 : ZTS_MSG_DONTWAIT, &a, sizeof a);
            if (n == sizeof buf) {
                taken++;
                continue;
            }
            assert_int_equal(n, ZTS_ERR_SOCKET);
            assert_int_equal(zts_errno, ZTS_EAGAIN);
            refused++;
        }
        assert_int_equal(refused, way + 1);
        assert_int_equal(zts_poll(&p, 1, 30000), 1);
        assert_int_equal(p.revents, ZTS_POLLOUT);
    }
    for (int i = 0; i < 3000; i++, taken++)
        assert_int_equal(zts_sendto(fd, buf, sizeof buf, 0, &a, sizeof a), sizeof buf);
    for (int64_t end = env_ms() + 60000; udp_sent() - before < taken && env_ms() < end;)
        zts_delay_ms(5);
    assert_in_range(udp_sent() - before, taken, taken + 5); /* and what the stack itself may have to say */
    assert_int_equal(zts_close(fd), 0);
}

/* zts_stop throws nothing away that was written before, closed or not. */
static void test_written_before_the_stop(void **state)
{
    static char buf[8192];
    struct zts_sockaddr_in6 a = peer(ENV_TCP_LAST);
    uint32_t before;
    for (int i = 0; i < 6; i++) {
        int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
        assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
        assert_int_equal(zts_recv(fd, &before, sizeof before, ZTS_MSG_WAITALL), sizeof before);
        assert_int_equal(before, i > 0 ? sizeof buf : 0);
        assert_int_equal(zts_write(fd, buf, sizeof buf), sizeof buf);
        if (i % 2 == 0)
            assert_int_equal(zts_close(fd), 0);
        assert_int_equal(env_down(), 0);
        (void)zts_close(fd);
        assert_int_equal(env_up(&e, "us"), 0);
    }
}

static int setup(void)
{
    return env_start_peer(&e) | env_up(&e, "us");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_bulk_and_half_close),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused_then_again_on_the_same_descriptor),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_nonblocking_connect),
        cmocka_unit_test(test_nonblocking_refused),
        cmocka_unit_test(test_end_and_reset),
        cmocka_unit_test(test_send_while_connecting),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_receive_timeout),
        cmocka_unit_test(test_listen_here),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_udp_refused),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_options_before_and_after_connect),
        cmocka_unit_test(test_lowest_number_first),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_host_descriptor),
        cmocka_unit_test(test_close_wakes_others),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_udp_full_send_buffer),
        cmocka_unit_test(test_written_before_the_stop),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("sockets", tests, env_setup, env_teardown);
}
