/* What goes beyond the older library: layer 2, listening to all ports, names, host descriptors together
 * with library ones, many sockets, forks. */
#include "../unit/ztest.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "env.h"

static struct env e;
static uint64_t net; /* of the root's controller; root, peer and we are in it */
static uint64_t self;
static struct zts_sockaddr_in own4;

#define assert_zts(err, call)                   \
    do {                                        \
        zts_errno = 0;                          \
        assert_int_equal(call, ZTS_ERR_SOCKET); \
        assert_int_equal(zts_errno, err);       \
    } while (0)

static struct zts_sockaddr_in peer4(int port)
{
    struct zts_sockaddr_in a = e.peer_addr4;
    a.sin_port = zts_htons((uint16_t)port);
    return a;
}

/* ---- layer 2 ---- */

static _Atomic int frames, tcp_in;
static void on_frame(uint64_t nwid, const void *frame, size_t len, void *user)
{
    const unsigned char *p = frame;
    if (nwid != net || user != &frames || len < 14)
        return;
    atomic_fetch_add(&frames, 1);
    if (len >= 34 && p[12] == 8 && p[13] == 0 && p[23] == ZTS_IPPROTO_TCP)
        atomic_fetch_add(&tcp_in, 1);
}

/* U19. What the callback counts is what the statistics say. */
static void layer2_callback_agrees_with_statistics(void **state)
{
    struct zts_sockaddr_in to = peer4(ENV_TCP_ECHO);
    struct zts_stats_proto t1, t2, l1, l2;
    char buf[1000];
    assert_int_equal(zts_l2_set_callback(1, on_frame, NULL), ZTS_ERR_NO_RESULT);
    zts_delay_ms(200);
    assert_int_equal(zts_l2_set_callback(net, on_frame, &frames), 0);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &t1), 0);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_LINK, &l1), 0);
    int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &to, sizeof to), 0);
    memset(buf, 'f', sizeof buf);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(zts_send(fd, buf, sizeof buf, 0), sizeof buf);
        assert_int_equal(zts_recv(fd, buf, sizeof buf, ZTS_MSG_WAITALL), sizeof buf);
    }
    zts_close(fd);
    for (int i = 0; i < 100; i++) { /* until the last has come, and been counted by both */
        zts_delay_ms(300);
        assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &t2), 0);
        assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_LINK, &l2), 0);
        if ((unsigned)atomic_load(&tcp_in) == t2.recv - t1.recv)
            break;
    }
    assert_true(t2.recv - t1.recv > 20);
    assert_int_equal(atomic_load(&tcp_in), t2.recv - t1.recv);
    assert_true((unsigned)atomic_load(&frames) <= l2.recv - l1.recv);
    assert_int_equal(zts_l2_set_callback(net, NULL, NULL), 0);
    assert_int_equal(zts_l2_set_callback(net, NULL, NULL), ZTS_ERR_NO_RESULT);
    int n = atomic_load(&frames);
    fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &to, sizeof to), 0);
    zts_close(fd);
    assert_int_equal(atomic_load(&frames), n); /* nobody is called any more */
}

static _Atomic int taken_away;
static struct zts_sockaddr_in taken_addr;
static void on_once(uint64_t nwid, const void *frame, size_t len, void *user)
{
    struct zts_sockaddr_in a = own4;
    zts_socklen_t n = sizeof a;
    if (atomic_load(&taken_away) != 0)
        return;
    (void)zts_l2_set_callback(nwid, NULL, NULL);
    int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    if (zts_bind(fd, &a, sizeof a) != 0 || zts_getsockname(fd, &taken_addr, &n) != 0)
        fd = -1;
    atomic_store(&taken_away, fd + 1);
}

/* A socket that the callback makes after it took itself away is not the one it was called from. */
static void layer2_callback_takes_itself_away(void **state)
{
    struct zts_sockaddr_in to = peer4(ENV_TCP_ECHO), back = peer4(ENV_UDP_ECHO);
    struct zts_timeval tv = {.tv_sec = 30};
    char c;
    assert_int_equal(zts_l2_set_callback(net, on_once, NULL), 0);
    int s = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(s, &to, sizeof to), 0);
    assert_int_equal(zts_close(s), 0);
    for (int i = 0; i < 12000 && atomic_load(&taken_away) == 0; i++)
        zts_delay_ms(5);
    int fd = atomic_load(&taken_away) - 1;
    assert_true(fd >= 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(zts_sendto(fd, "e", 1, 0, &back, sizeof back), 1);
        assert_int_equal(zts_recv(fd, &c, 1, 0), 1);
    }
    assert_int_equal(zts_close(fd), 0);
}

static _Atomic int in_callback;
static void on_and_stay(uint64_t nwid, const void *frame, size_t len, void *user)
{
    if (atomic_exchange(&in_callback, 1) != 0)
        return;
    zts_delay_ms(2000); /* until zts_restart has begun */
    (void)zts_stop();
    atomic_store(&in_callback, 2);
}

/* A callback that controls the node while another thread does. */
static void layer2_callback_and_a_restart(void **state)
{
    struct zts_sockaddr_in to = peer4(ENV_TCP_ECHO);
    assert_int_equal(zts_l2_set_callback(net, on_and_stay, NULL), 0);
    int s = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(s, &to, sizeof to), 0);
    assert_int_equal(zts_close(s), 0);
    for (int i = 0; i < 12000 && atomic_load(&in_callback) == 0; i++)
        zts_delay_ms(5);
    assert_int_equal(zts_restart(), 0);
    assert_int_equal(atomic_load(&in_callback), 2);
    zts_delay_ms(100);
    int rc = zts_stop(); /* the callback's may have met the old node, or the new one */
    assert_true(rc == ZTS_ERR_OK || rc == ZTS_ERR_SERVICE);
}

/* The least and the most that came, by protocol. */
static _Atomic int ttl_least[256], ttl_most[256];
static void on_ttl(uint64_t nwid, const void *frame, size_t len, void *user)
{
    const unsigned char *p = frame;
    bool v4 = len >= 34 && p[12] == 8 && p[13] == 0, v6 = len >= 54 && p[12] == 0x86 && p[13] == 0xdd;
    if (!v4 && !v6)
        return;
    int proto = v4 ? p[23] : p[20], ttl = v4 ? p[22] : p[21];
    if (atomic_load(&ttl_most[proto]) == 0 || ttl < atomic_load(&ttl_least[proto]))
        atomic_store(&ttl_least[proto], ttl);
    if (ttl > atomic_load(&ttl_most[proto]))
        atomic_store(&ttl_most[proto], ttl);
}

/* What getsockopt says of a socket, connected or accepted, is what the packets of the peer, which has set
 * nothing either, carry: the document's 255. */
static void time_to_live_is_what_packets_carry(void **state)
{
    struct zts_sockaddr_in tcp = peer4(ENV_TCP_ECHO), udp = peer4(ENV_UDP_ECHO), own = {0};
    zts_socklen_t len = sizeof own;
    struct zts_timeval tv = {.tv_sec = 30};
    char c;
    int ttl, protos[] = {ZTS_IPPROTO_TCP, ZTS_IPPROTO_UDP};
    assert_int_equal(zts_l2_set_callback(net, on_ttl, NULL), 0);
    int s = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), u = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_connect(s, &tcp, sizeof tcp), 0);
    assert_int_equal(zts_send(s, "x", 1, 0), 1);
    assert_int_equal(zts_recv(s, &c, 1, 0), 1);
    assert_int_equal(zts_connect(u, &udp, sizeof udp), 0);
    assert_int_equal(zts_setsockopt(u, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_int_equal(zts_send(u, "x", 1, 0), 1);
    assert_int_equal(zts_recv(u, &c, 1, 0), 1);
    /* The frames are there, but their reader may be slow. */
    for (int i = 0; i < 6000; i++)
        if (atomic_load(&ttl_most[protos[i % 2]]) == 0)
            zts_delay_ms(5);
    assert_int_equal(zts_l2_set_callback(net, NULL, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&ttl_least[protos[i]]), 255);
        assert_int_equal(atomic_load(&ttl_most[protos[i]]), 255);
    }
    /* Connected, and accepted: we are our own client. */
    int l = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), k = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_getsockname(s, &own, &len), 0);
    own.sin_port = 0;
    assert_int_equal(zts_bind(l, &own, sizeof own), 0);
    assert_int_equal(zts_listen(l, 1), 0);
    assert_int_equal(zts_getsockname(l, &own, &len), 0);
    assert_int_equal(zts_connect(k, &own, sizeof own), 0);
    int all[] = {s, u, l, k, zts_accept(l, NULL, NULL)};
    for (int i = 0; i < 5; i++) {
        len = sizeof ttl;
        assert_int_equal(zts_getsockopt(all[i], ZTS_IPPROTO_IP, ZTS_IP_TTL, &ttl, &len), 0);
        if (ttl != 255)
            fail_msg("socket %d: %d", i, ttl);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(zts_close(all[i]), 0);
}

/* An ARP request of our own making, answered by the peer's stack. */
static void layer2_descriptor(void **state)
{
    struct zts_network_details d;
    struct zts_timeval tv = {.tv_sec = 30};
    unsigned char f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
    unsigned char in[2814];
    struct zts_sockaddr_in to = peer4(0);
    assert_int_equal(zts_query_network(net, &d), 0);
    for (int i = 0; i < 6; i++)
        f[6 + i] = f[22 + i] = (unsigned char)(d.mac >> (40 - 8 * i));
    memcpy(f + 28, &own4.sin_addr, 4);
    memcpy(f + 38, &to.sin_addr, 4);
    int fd = zts_l2_open(net);
    assert_true(fd >= 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    for (int way = 0; way < 2; way++) {
        if (way == 0)
            assert_int_equal(zts_send(fd, f, sizeof f, 0), sizeof f);
        else
            assert_int_equal(zts_l2_send(net, f, sizeof f), 0);
        for (;;) {
            ssize_t n = zts_recv(fd, in, sizeof in, 0);
            assert_true(n >= 14);
            if (in[12] == 8 && in[13] == 6 && in[21] == 2 && memcmp(in + 28, f + 38, 4) == 0)
                break; /* its reply, to us */
        }
        assert_memory_equal(in, f + 6, 6);
    }
    assert_int_equal(zts_l2_send(net, f, 13), ZTS_ERR_ARG);
    static unsigned char big[10000];
    assert_zts(ZTS_EMSGSIZE, zts_l2_send(net, big, sizeof big));
    memcpy(f + 6, "\x02\x11\x22\x33\x44\x55", 6); /* not ours, and we are no bridge */
    assert_zts(ZTS_EACCES, zts_l2_send(net, f, sizeof f));
    assert_int_equal(zts_l2_join(net, 0x01005e0a0b0c, 0), 0);
    assert_int_equal(zts_l2_leave(net, 0x01005e0a0b0c, 0), 0);
    assert_int_equal(zts_l2_leave(net, 0x01005e0a0b0c, 0), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_l2_join(net, 0x02005e0a0b0c, 0), ZTS_ERR_ARG);
    assert_zts(ZTS_EAFNOSUPPORT, zts_bind(fd, &to, sizeof to));
    zts_close(fd);
}

/* ---- all ports (U20) ---- */

static void a_listener_for_all_ports(void **state)
{
    struct zts_sockaddr_in a = own4, at;
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(4321)}, where;
    zts_socklen_t len;
    int all = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), one, c, s, two;
    assert_int_equal(zts_listen_all(all, 16), 0);
    two = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_zts(ZTS_EADDRINUSE, zts_listen_all(two, 16));
    zts_close(two);
    one = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_bind(one, &any, sizeof any), 0);
    assert_int_equal(zts_listen(one, 4), 0);
    for (int port = 100; port < 65000; port += 6491) {
        a.sin_port = zts_htons((uint16_t)port);
        c = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
        assert_int_equal(zts_connect(c, &a, sizeof a), 0);
        s = zts_accept(all, NULL, NULL);
        assert_true(s >= 0);
        len = sizeof where;
        assert_int_equal(zts_getsockname(s, &where, &len), 0);
        assert_int_equal(zts_ntohs(where.sin6_port), port);
        assert_int_equal(zts_write(c, "hi", 2), 2);
        char buf[2];
        assert_int_equal(zts_recv(s, buf, 2, ZTS_MSG_WAITALL), 2);
        zts_close(c);
        zts_close(s);
    }
    /* Who has a port of its own keeps it. */
    a.sin_port = zts_htons(4321);
    c = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(c, &a, sizeof a), 0);
    s = zts_accept(one, NULL, NULL);
    assert_true(s >= 0);
    zts_close(s);
    zts_close(c);
    zts_close(one);
    zts_close(all);
    a.sin_port = zts_htons(100);
    for (int i = 0, rc = 0; i < 300 && rc == 0; i++) { /* until the loop has taken note of the end */
        c = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
        rc = zts_connect(c, &a, sizeof a);
        if (rc == 0)
            zts_delay_ms(100);
        else
            assert_int_equal(zts_errno, ZTS_ECONNREFUSED);
        zts_close(c);
        assert_true(rc != 0 || i < 299);
    }
    (void)at;
}

/* ---- names ---- */

/* Answers every A question with 10.9.8.7, every AAAA with nothing, one name with NXDOMAIN. */
static void *name_server(void *arg)
{
    int fd = *(int *)arg;
    unsigned char q[600];
    struct zts_sockaddr_in from;
    zts_socklen_t len = sizeof from;
    ssize_t n;
    while ((n = zts_recvfrom(fd, q, 512, 0, &from, &len)) > 12) {
        size_t end = 12;
        while (q[end] != 0 && end < (size_t)n)
            end += (size_t)q[end] + 1;
        int type = q[end + 1] << 8 | q[end + 2];
        size_t size = end + 5;
        q[2] = 0x84;
        q[3] = q[12] == 7 ? 3 : 0; /* "missing" */
        q[10] = q[11] = 0;
        q[7] = type == 1 && q[3] == 0;
        if (q[7]) {
            static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 8, 7};
            memcpy(q + size, answer, sizeof answer);
            size += sizeof answer;
        }
        (void)zts_sendto(fd, q, size, 0, &from, len);
        len = sizeof from;
    }
    return NULL;
}

static void names(void **state)
{
    struct zts_sockaddr_in server = own4;
    struct zts_sockaddr_storage a[4];
    unsigned n = 4;
    pthread_t t;
    struct zts_hostent *h = zts_gethostbyname("10.1.2.3");
    assert_non_null(h);
    assert_int_equal(h->h_addrtype, ZTS_AF_INET);
    assert_int_equal(*(uint32_t *)(void *)h->zts_h_addr, zts_inet_addr("10.1.2.3"));
    assert_null(h->h_addr_list[1]);
    assert_non_null(zts_gethostbyname("fd00::7"));
    zts_errno = 0;
    assert_null(zts_gethostbyname("host.example"));
    assert_int_equal(zts_errno, ZTS_ENOENT); /* in nobody's domain, and no server set */
    server.sin_port = zts_htons(5353);
    int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_bind(fd, &server, sizeof server), 0);
    assert_int_equal(pthread_create(&t, NULL, name_server, &fd), 0);
    assert_int_equal(zts_add_dns_nameserver(&server), 0);
    assert_int_equal(zts_add_dns_nameserver(&server), 0);
    h = zts_gethostbyname("host.example");
    assert_non_null(h);
    assert_string_equal(h->h_name, "host.example");
    assert_int_equal(h->h_length, 4);
    assert_int_equal(*(uint32_t *)(void *)h->zts_h_addr, zts_inet_addr("10.9.8.7"));
    assert_int_equal(zts_resolve("host.example", ZTS_AF_INET, a, &n), 0);
    assert_int_equal(n, 1);
    assert_zts(ZTS_ENOENT, zts_resolve("missing.example", ZTS_AF_UNSPEC, a, &n));
    n = 4;
    assert_zts(ZTS_ENODATA, zts_resolve("host.example", ZTS_AF_INET6, a, &n));
    assert_int_equal(zts_del_dns_nameserver(&server), 0);
    assert_int_equal(zts_del_dns_nameserver(&server), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_del_dns_nameserver(NULL), ZTS_ERR_ARG);
    /* One pushed by the network, for its domain. Port 53 is ours to bind: nothing here is privileged. */
    zts_close(fd);
    pthread_join(t, NULL);
    char out[1024], text[ZTS_INET_ADDRSTRLEN];
    server.sin_port = zts_htons(53);
    fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_bind(fd, &server, sizeof server), 0);
    assert_int_equal(pthread_create(&t, NULL, name_server, &fd), 0);
    zts_inet_ntop(ZTS_AF_INET, &own4.sin_addr, text, sizeof text);
    assert_int_equal(env_ztctl(&e, "root", out, sizeof out, "controller set %016llx dns=office.lan,%s",
                               (unsigned long long)net, text),
                     0);
    h = NULL;
    /* 10.9.8.7 is in no joined network: such an answer is not for a network to give. */
    for (int i = 0; i < 600; i++) {
        h = zts_gethostbyname("www.office.lan");
        if (h != NULL || zts_errno == ZTS_ENODATA)
            break;
        zts_delay_ms(100);
    }
    assert_null(h);
    assert_int_equal(zts_errno, ZTS_ENODATA);
    zts_close(fd);
    pthread_join(t, NULL);
}

/* ---- both kinds in one wait (U9) ---- */

static void epoll_with_host_descriptors(void **state)
{
    struct zts_sockaddr_in to = peer4(ENV_TCP_ECHO);
    struct epoll_event ev[4];
    int p[2], ep = epoll_create1(EPOLL_CLOEXEC), fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    char c;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(zts_connect(fd, &to, sizeof to), 0);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &(struct epoll_event){EPOLLIN, {.u32 = 1}}), 0);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, zts_get_host_fd(fd),
                               &(struct epoll_event){EPOLLIN, {.u32 = 2}}),
                     0);
    assert_int_equal(epoll_wait(ep, ev, 4, 0), 0);
    assert_int_equal(zts_write(fd, "x", 1), 1);
    assert_int_equal(epoll_wait(ep, ev, 4, 30000), 1);
    assert_int_equal(ev[0].data.u32, 2);
    assert_int_equal(zts_read(fd, &c, 1), 1);
    assert_int_equal(write(p[1], "y", 1), 1);
    assert_int_equal(epoll_wait(ep, ev, 4, 30000), 1);
    assert_int_equal(ev[0].data.u32, 1);
    zts_close(fd);
    close(ep);
    close(p[0]);
    close(p[1]);
}

/* ---- many ---- */

static void more_than_ten_thousand_sockets(void **state)
{
    struct rlimit r, was;
    int want = ENV_TSAN || ENV_ASAN ? 2000 : 10100, bound = want;
    rlim_t need = 2 * (rlim_t)want + 200; /* two host descriptors a socket, and some more */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    r = (struct rlimit){need, was.rlim_max > need ? was.rlim_max : need};
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) { /* the hard limit is root's to raise, and not always */
        r = (struct rlimit){was.rlim_max, was.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
        /* A socket that is not bound yet has one: so many of them that the number is reached. */
        bound = (int)r.rlim_cur - 200 - want;
        if (bound < want / 2) {
            want = (int)(r.rlim_cur - 200) / 2;
            bound = want;
        }
        print_message("the limit of descriptors is %d: %d sockets, %d of them bound\n", (int)r.rlim_cur, want, bound);
    }
    int *fd = calloc((size_t)want, sizeof *fd);
    struct zts_sockaddr_in a = own4;
    int l = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    zts_socklen_t len = sizeof a;
    assert_int_equal(zts_bind(l, &a, sizeof a), 0);
    assert_int_equal(zts_listen(l, 255), 0);
    assert_int_equal(zts_getsockname(l, &a, &len), 0);
    struct zts_sockaddr_in dgram = own4;
    dgram.sin_port = 0;
    /* Datagram sockets with a port each, and on top a connection that still works. */
    for (int i = 0; i < want - 3; i++) {
        fd[i] = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
        if (fd[i] < 0 || (i < bound && zts_bind(fd[i], &dgram, sizeof dgram) != 0))
            fail_msg("socket %d: %s", i, zts_strerror(zts_errno));
    }
    assert_true(fd[want - 4] >= want - 4);
    int c = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(c, &a, sizeof a), 0);
    int s = zts_accept(l, NULL, NULL);
    assert_true(s >= 0);
    struct zts_pollfd p = {.fd = s, .events = ZTS_POLLIN};
    assert_int_equal(zts_write(c, "x", 1), 1);
    assert_int_equal(zts_poll(&p, 1, 30000), 1);
    for (int i = 0; i < want - 3; i++)
        assert_int_equal(zts_close(fd[i]), 0);
    zts_close(c);
    zts_close(s);
    zts_close(l);
    free(fd);
    zts_delay_ms(200);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

/* ---- forks (U8) ---- */

static int child_with_a_node(void *arg)
{
    char c;
    if (zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0) != ZTS_ERR_SERVICE ||
        zts_read(0, &c, 1) != ZTS_ERR_SERVICE || zts_join(net) != ZTS_ERR_SERVICE)
        return 1;
    if (zts_start(arg, env_callback, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0)
        return 2;
    return zts_free() == ZTS_ERR_OK ? 0 : 3;
}

static int child_that_looks(void *arg)
{
    char c;
    return zts_read(0, &c, 1) == ZTS_ERR_SERVICE && zts_stop() == ZTS_ERR_SERVICE ? 0 : 1;
}

static _Atomic bool traffic_ends;
static void *traffic(void *arg)
{
    struct zts_sockaddr_in to = peer4(ENV_TCP_ECHO);
    char buf[2000], back[2000];
    memset(buf, 't', sizeof buf);
    intptr_t rounds = 0;
    while (!atomic_load(&traffic_ends)) {
        int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
        if (zts_connect(fd, &to, sizeof to) != 0)
            return (void *)-1;
        for (int i = 0; i < 20; i++)
            if (zts_send(fd, buf, sizeof buf, 0) != sizeof buf ||
                zts_recv(fd, back, sizeof back, ZTS_MSG_WAITALL) != sizeof back)
                return (void *)-2;
        zts_close(fd);
        rounds++;
    }
    return (void *)rounds;
}

/* Forks in the middle of traffic: the parent's goes on, each child starts a node of its own. */
static void forks_under_load(void **state)
{
    char home[128];
    pthread_t t[4];
#ifdef __SANITIZE_THREAD__
    print_message("SKIP: ThreadSanitizer follows no threads in a forked child\n");
    skip();
#endif
    env_home(&e, "child", home);
    atomic_store(&traffic_ends, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, traffic, NULL), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(env_in_child(child_that_looks, NULL), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(env_in_child(child_with_a_node, home), 0);
    atomic_store(&traffic_ends, true);
    for (int i = 0; i < 4; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        assert_true((intptr_t)rc > 0);
    }
}

static int setup(void)
{
    struct zts_node_details node;
    struct zts_sockaddr_storage a;
    char out[1024];
    unsigned n = 1;
    net = env_network(&e, "name=ext ipv4=10.45.0.0/24");
    int rc = env_start_peer_on(&e, net) | env_up(&e, "us") | zts_query_node(&node, NULL);
    self = node.address;
    rc |= env_ztctl(&e, "root", out, sizeof out, "controller authorize %016llx %010llx",
                    (unsigned long long)net, (unsigned long long)self) |
          zts_join(net);
    if (rc == 0 && env_wait_event_of(ZTS_EVENT_NETWORK_READY_IP4, net, 0, 90000) >= 0 &&
        zts_query_addresses(net, &a, &n) == 0 && n == 1) {
        memcpy(&own4, &a, sizeof own4);
        own4.sin_port = 0;
        return 0;
    }
    return -1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer2_callback_agrees_with_statistics),
        cmocka_unit_test(layer2_callback_takes_itself_away),
        cmocka_unit_test(time_to_live_is_what_packets_carry),
        cmocka_unit_test(layer2_descriptor),
        cmocka_unit_test(a_listener_for_all_ports),
        cmocka_unit_test(names),
        cmocka_unit_test(epoll_with_host_descriptors),
        cmocka_unit_test(more_than_ten_thousand_sockets),
        cmocka_unit_test(forks_under_load),
        cmocka_unit_test(layer2_callback_and_a_restart), /* the last: it leaves us stopped */
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("extensions", tests, env_setup, env_teardown);
}
