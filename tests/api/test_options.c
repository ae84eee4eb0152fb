/* Options with what they do, flags, control data, raw sockets, multicast and statistics, between two
 * nodes that share an ad-hoc network (IPv6) and one of the root's controller (IPv4). */
#include "../unit/ztest.h"

#include <stdio.h>

#include "env.h"

static struct env e;
static uint64_t net4; /* the one with IPv4 */
static struct zts_sockaddr_in own4;

#define assert_zts(err, call)                   \
    do {                                        \
        zts_errno = 0;                          \
        assert_int_equal(call, ZTS_ERR_SOCKET); \
        assert_int_equal(zts_errno, err);       \
    } while (0)

static struct zts_sockaddr_in6 peer(int port)
{
    struct zts_sockaddr_in6 a = e.peer_addr;
    a.sin6_port = zts_htons((uint16_t)port);
    return a;
}

static struct zts_sockaddr_in peer4(int port)
{
    struct zts_sockaddr_in a = e.peer_addr4;
    a.sin_port = zts_htons((uint16_t)port);
    return a;
}

static int patient(int family, int type, int protocol)
{
    struct zts_timeval tv = {.tv_sec = 30};
    int fd = zts_socket(family, type, protocol);
    assert_true(fd >= 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    return fd;
}

static int connected(int port)
{
    struct zts_sockaddr_in6 a = peer(port);
    int fd = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    return fd;
}

static int get(int fd, int level, int name)
{
    int v = -77;
    zts_socklen_t len = sizeof v;
    assert_int_equal(zts_getsockopt(fd, level, name, &v, &len), 0);
    assert_int_equal(len, sizeof v);
    return v;
}

#define set(fd, level, name, value) \
    assert_int_equal(zts_setsockopt(fd, level, name, &(int){value}, sizeof(int)), 0)

static void defaults_and_read_back(void **state)
{
    int s = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), u = patient(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    static const int on_off[][2] = {
        {ZTS_SOL_SOCKET, ZTS_SO_REUSEADDR}, {ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE},
        {ZTS_SOL_SOCKET, ZTS_SO_BROADCAST}, {ZTS_SOL_SOCKET, ZTS_SO_REUSEPORT},
        {ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY}, {ZTS_IPPROTO_IPV6, ZTS_IPV6_V6ONLY}};
    for (size_t i = 0; i < sizeof on_off / sizeof on_off[0]; i++) {
        assert_int_equal(get(s, on_off[i][0], on_off[i][1]), 0);
        set(s, on_off[i][0], on_off[i][1], 1);
        assert_int_equal(get(s, on_off[i][0], on_off[i][1]), 1);
    }
    assert_int_equal(get(s, ZTS_IPPROTO_IP, ZTS_IP_TTL), 255);
    assert_int_equal(get(s, ZTS_SOL_SOCKET, ZTS_SO_TYPE), ZTS_SOCK_STREAM);
    assert_int_equal(get(u, ZTS_SOL_SOCKET, ZTS_SO_TYPE), ZTS_SOCK_DGRAM);
    assert_int_equal(get(u, ZTS_SOL_SOCKET, ZTS_SO_ACCEPTCONN), 0);
    assert_int_equal(get(u, ZTS_SOL_SOCKET, ZTS_SO_ERROR), 0);
    set(s, ZTS_IPPROTO_TCP, ZTS_TCP_KEEPALIVE, 1500);
    assert_int_equal(get(s, ZTS_IPPROTO_TCP, ZTS_TCP_KEEPALIVE), 1500);
    set(u, ZTS_IPPROTO_IP, ZTS_IP_TOS, ZTS_IPTOS_LOWDELAY);
    assert_int_equal(get(u, ZTS_IPPROTO_IP, ZTS_IP_TOS), ZTS_IPTOS_LOWDELAY);
    set(u, ZTS_SOL_SOCKET, ZTS_SO_NO_CHECK, 1);
    assert_int_equal(get(u, ZTS_SOL_SOCKET, ZTS_SO_NO_CHECK), 1);
    uint8_t byte = 9;
    zts_socklen_t one = 1;
    assert_int_equal(zts_setsockopt(u, ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_TTL, &byte, 1), 0);
    byte = 0;
    assert_int_equal(zts_getsockopt(u, ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_TTL, &byte, &one), 0);
    assert_int_equal(byte, 9);
    /* What is not there says so. */
    static const int none[][2] = {{ZTS_SOL_SOCKET, ZTS_SO_DEBUG},
                                  {ZTS_SOL_SOCKET, ZTS_SO_DONTROUTE},
                                  {ZTS_SOL_SOCKET, ZTS_SO_USELOOPBACK},
                                  {ZTS_SOL_SOCKET, ZTS_SO_SNDLOWAT},
                                  {136, ZTS_UDPLITE_SEND_CSCOV},
                                  {ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY},
                                  {1 /* the host's SOL_SOCKET */, 2}};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_zts(ZTS_ENOPROTOOPT, zts_setsockopt(u, none[i][0], none[i][1], &(int){1}, 4));
    assert_zts(ZTS_ENOPROTOOPT, zts_setsockopt(u, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &(int[2]){1, 1}, 8));
    assert_zts(ZTS_EINVAL, zts_setsockopt(s, ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE, "x", 1));
    assert_zts(ZTS_EINVAL, zts_setsockopt(s, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &(int){1}, 4));
    assert_zts(ZTS_ENODEV, zts_setsockopt(u, ZTS_SOL_SOCKET, ZTS_SO_BINDTODEVICE, "eth0", 5));
    zts_close(s);
    zts_close(u);
}

/* U28, R5: what a port of a program for another system meets. */
static void flags_of_streams(void **state)
{
    char b[8], big[3000], back[3000];
    int fd = connected(ENV_TCP_ECHO);
    assert_zts(ZTS_EAGAIN, zts_recv(fd, b, sizeof b, ZTS_MSG_DONTWAIT));
    assert_zts(ZTS_EOPNOTSUPP, zts_send(fd, "!", 1, ZTS_MSG_OOB));
    assert_zts(ZTS_EOPNOTSUPP, zts_recv(fd, b, 1, ZTS_MSG_OOB));
    assert_zts(ZTS_EOPNOTSUPP, zts_recv(fd, b, 1, 0x40)); /* the host's MSG_DONTWAIT */
    /* Two pieces with MSG_MORE between them arrive as one. */
    assert_int_equal(zts_send(fd, "ab", 2, ZTS_MSG_MORE), 2);
    assert_int_equal(zts_send(fd, "cd", 2, 0), 2);
    assert_int_equal(zts_recv(fd, b, 4, ZTS_MSG_WAITALL), 4);
    assert_memory_equal(b, "abcd", 4);
    /* One alone goes after a while. */
    int64_t from = env_ms();
    assert_int_equal(zts_send(fd, "z", 1, ZTS_MSG_MORE), 1);
    assert_int_equal(zts_recv(fd, b, 1, 0), 1);
    assert_in_range(env_ms() - from, 100, 20000);
    memset(big, 'k', sizeof big);
    assert_int_equal(zts_send(fd, big, sizeof big, 0x4000 /* the host's MSG_NOSIGNAL */), sizeof big);
    assert_int_equal(zts_recv(fd, back, sizeof back, ZTS_MSG_WAITALL), sizeof back);
    assert_int_equal(zts_recv(fd, b, 1, ZTS_MSG_DONTWAIT), ZTS_ERR_SOCKET);
    zts_close(fd);
}

static void low_water_survives_connect(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    int fd = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    set(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVLOWAT, 5);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(get(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVLOWAT), 5);
    zts_close(fd);
}

/* Until no segment comes or goes any more. */
static struct zts_stats_proto tcp_at_rest(void)
{
    struct zts_stats_proto a, b;
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &b), 0);
    for (int i = 0; i < 100; i++) {
        a = b;
        zts_delay_ms(300);
        assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &b), 0);
        if (a.xmit == b.xmit && a.recv == b.recv)
            break;
    }
    return b;
}

static void linger_waits_for_the_peer(void **state)
{
    struct zts_linger l = {1, 60};
    struct zts_stats_proto a, b;
    static char big[300000];
    int fd = connected(ENV_TCP_ECHO);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &l, sizeof l), 0);
    assert_int_equal(zts_send(fd, big, sizeof big, 0), sizeof big);
    int64_t from = env_ms();
    assert_int_equal(zts_close(fd), 0);
    assert_true(env_ms() - from < 60000);
    /* Hard: a reset, at once. */
    l.l_linger = 0;
    fd = connected(ENV_TCP_ECHO);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &l, sizeof l), 0);
    a = tcp_at_rest();
    assert_int_equal(zts_close(fd), 0);
    for (int i = 0; i < 3000; i++) {
        zts_delay_ms(10);
        assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &b), 0);
        if (b.xmit != a.xmit)
            break;
    }
    b = tcp_at_rest();
    assert_in_range(b.xmit - a.xmit, 1, 2); /* perhaps an ACK that was held back */
    assert_int_equal(b.recv - a.recv, 0);
    zts_close(fd);
}

static void dual_stack_listener(void **state)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6}, from;
    struct zts_sockaddr_in to4 = own4;
    zts_socklen_t len = sizeof any;
    int l = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), c = patient(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_bind(l, &any, sizeof any), 0);
    assert_int_equal(zts_listen(l, 4), 0);
    assert_int_equal(zts_getsockname(l, &any, &len), 0);
    to4.sin_port = any.sin6_port;
    assert_int_equal(zts_connect(c, &to4, sizeof to4), 0);
    len = sizeof from;
    int s = zts_accept(l, &from, &len);
    assert_true(s >= 0);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    assert_memory_equal(from.sin6_addr.un.u8_addr, mapped, 12);
    assert_memory_equal(from.sin6_addr.un.u8_addr + 12, &own4.sin_addr, 4);
    zts_close(c);
    zts_close(s);
    zts_close(l);
    /* Told otherwise, IPv4 is refused. */
    l = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    c = patient(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    set(l, ZTS_IPPROTO_IPV6, ZTS_IPV6_V6ONLY, 1);
    assert_int_equal(zts_bind(l, &any, sizeof any), 0);
    assert_int_equal(zts_listen(l, 4), 0);
    assert_zts(ZTS_ECONNREFUSED, zts_connect(c, &to4, sizeof to4));
    zts_close(c);
    zts_close(l);
}

static void bind_to_device(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    char other[17];
    snprintf(other, sizeof other, "%016llx", (unsigned long long)net4);
    int fd = patient(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_BINDTODEVICE, other, 17), 0);
    assert_zts(ZTS_ENETUNREACH, zts_connect(fd, &a, sizeof a));
    snprintf(other, sizeof other, "%016llx", (unsigned long long)ENV_NWID);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_BINDTODEVICE, other, 16), 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    zts_close(fd);
}

static void packet_information(void **state)
{
    struct zts_sockaddr_in6 to = peer(ENV_UDP_ECHO), from;
    char buf[16], control[64];
    int fd = patient(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    set(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_RECVPKTINFO, 1);
    assert_int_equal(zts_sendto(fd, "where", 5, 0, &to, sizeof to), 5);
    struct zts_iovec v = {buf, sizeof buf};
    struct zts_msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
    assert_int_equal(zts_recvmsg(fd, &m, 0), 5);
    struct zts_cmsghdr *c = ZTS_CMSG_FIRSTHDR(&m);
    assert_non_null(c);
    assert_int_equal(c->cmsg_level, ZTS_IPPROTO_IPV6);
    assert_int_equal(c->cmsg_type, ZTS_IPV6_RECVPKTINFO);
    assert_null(ZTS_CMSG_NXTHDR(&m, c));
    struct zts_in6_pktinfo info;
    memcpy(&info, ZTS_CMSG_DATA(c), sizeof info);
    assert_int_equal(info.ipi6_ifindex, zts_query_interface(ENV_NWID));
    struct zts_sockaddr_storage own;
    unsigned n = 1;
    assert_int_equal(zts_query_addresses(ENV_NWID, &own, &n), 0);
    assert_memory_equal(&info.ipi6_addr, &((struct zts_sockaddr_in6 *)&own)->sin6_addr, 16);
    /* No room for it. */
    assert_int_equal(zts_sendto(fd, "where", 5, 0, &to, sizeof to), 5);
    m.msg_controllen = 4;
    m.msg_namelen = sizeof from;
    assert_int_equal(zts_recvmsg(fd, &m, 0), 5);
    assert_true(m.msg_flags & ZTS_MSG_CTRUNC);
    assert_int_equal(m.msg_controllen, 0);
    zts_close(fd);
}

/* ---- raw ICMP ---- */

static uint16_t checksum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void raw_icmp(void **state)
{
    uint8_t echo[16] = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'}, buf[128];
    struct zts_sockaddr_in to = peer4(0), from;
    zts_socklen_t len = sizeof from;
    uint16_t sum = checksum(echo, sizeof echo);
    echo[2] = (uint8_t)(sum >> 8);
    echo[3] = (uint8_t)sum;
    assert_zts(ZTS_EPROTONOSUPPORT, zts_socket(ZTS_AF_INET, ZTS_SOCK_RAW, 0));
    int fd = patient(ZTS_AF_INET, ZTS_SOCK_RAW, ZTS_IPPROTO_ICMP);
    assert_int_equal(get(fd, ZTS_SOL_SOCKET, ZTS_SO_TYPE), ZTS_SOCK_RAW);
    assert_int_equal(zts_sendto(fd, echo, sizeof echo, 0, &to, sizeof to), sizeof echo);
    ssize_t n = zts_recvfrom(fd, buf, sizeof buf, 0, &from, &len);
    assert_int_equal(n, 20 + sizeof echo); /* with the IP header */
    assert_int_equal(buf[0], 0x45);
    assert_int_equal(buf[9], ZTS_IPPROTO_ICMP);
    assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
    assert_int_equal(buf[20], 0); /* echo reply */
    assert_memory_equal(buf + 24, echo + 4, 12);
    assert_zts(ZTS_EMSGSIZE, zts_sendto(fd, buf, 70000, 0, &to, sizeof to));
    zts_close(fd);

    struct zts_sockaddr_in6 to6 = peer(0);
    uint8_t echo6[16] = {128, 0, 0, 0, 0x43, 0x21, 0, 7, 'p', 'o', 'n', 'g'};
    fd = patient(ZTS_AF_INET6, ZTS_SOCK_RAW, ZTS_IPPROTO_ICMPV6);
    assert_int_equal(zts_connect(fd, &to6, sizeof to6), 0);
    assert_int_equal(zts_send(fd, echo6, sizeof echo6, 0), sizeof echo6); /* checksum by the stack */
    n = zts_recv(fd, buf, sizeof buf, 0);
    assert_int_equal(n, sizeof echo6);
    assert_int_equal(buf[0], 129);
    assert_memory_equal(buf + 4, echo6 + 4, 12);
    assert_zts(ZTS_EOPNOTSUPP, zts_listen(fd, 1));
    zts_close(fd);
}

/* ---- multicast over the virtual network ---- */

static void wait_up_to(int fd, int ms)
{
    struct zts_timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
}

static void multicast6(void **state)
{
    struct zts_sockaddr_in6 group = {.sin6_family = ZTS_AF_INET6,
                                     .sin6_port = zts_htons(ENV_UDP_ECHO)};
    struct zts_sockaddr_in6 from;
    struct zts_ipv6_mreq m = {0};
    zts_socklen_t len = sizeof from;
    char buf[16];
    zts_inet_pton(ZTS_AF_INET6, ENV_GROUP6, &group.sin6_addr);
    int fd = patient(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    ssize_t n = -1;
    set(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_MULTICAST_IF, zts_query_interface(net4));
    struct zts_timeval tv = {.tv_usec = 500000};
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    for (int i = 0; i < 100 && n < 0; i++) { /* members are found first */
        assert_int_equal(zts_sendto(fd, "group", 5, 0, &group, sizeof group), 5);
        n = zts_recvfrom(fd, buf, sizeof buf, 0, &from, &len);
    }
    assert_int_equal(n, 5);
    assert_int_equal(from.sin6_addr.un.u8_addr[0], 0xfe); /* the group's scope is the link */
    zts_close(fd);

    /* A member of its own group hears itself unless told otherwise. */
    fd = patient(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    zts_inet_pton(ZTS_AF_INET6, "ff12::5", &m.ipv6mr_multiaddr);
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(7105)};
    assert_int_equal(zts_bind(fd, &any, sizeof any), 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_JOIN_GROUP, &m, sizeof m), 0);
    assert_zts(ZTS_EADDRINUSE,
               zts_setsockopt(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_JOIN_GROUP, &m, sizeof m));
    struct zts_multicast_group g[64];
    unsigned k = 64;
    bool found = false;
    assert_int_equal(zts_query_groups(ENV_NWID, g, &k), 0); /* interface 0: the first */
    for (unsigned i = 0; i < k && i < 64; i++)
        found |= g[i].mac == 0x333300000005;
    assert_true(found);
    any.sin6_addr = m.ipv6mr_multiaddr;
    assert_int_equal(zts_sendto(fd, "self", 4, 0, &any, sizeof any), 4);
    wait_up_to(fd, 30000);
    assert_int_equal(zts_recv(fd, buf, sizeof buf, 0), 4);
    wait_up_to(fd, 500);
    set(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_MULTICAST_LOOP, 0);
    assert_int_equal(zts_sendto(fd, "self", 4, 0, &any, sizeof any), 4);
    assert_zts(ZTS_EAGAIN, zts_recv(fd, buf, sizeof buf, 0));
    assert_int_equal(zts_setsockopt(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_LEAVE_GROUP, &m, sizeof m), 0);
    zts_close(fd);
}

static void multicast4_and_sources(void **state)
{
    struct zts_sockaddr_in group = {.sin_family = ZTS_AF_INET, .sin_port = zts_htons(ENV_UDP_ECHO)};
    struct zts_sockaddr_in from, want = peer4(ENV_UDP_ECHO);
    struct zts_timeval tv = {.tv_usec = 500000};
    zts_socklen_t len = sizeof from;
    char buf[16];
    ssize_t n = -1;
    group.sin_addr.s_addr = zts_inet_addr(ENV_GROUP4);
    int fd = patient(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_IF, &own4.sin_addr, 4), 0);
    assert_int_equal((uint32_t)get(fd, ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_IF), own4.sin_addr.s_addr);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    for (int i = 0; i < 100 && n < 0; i++) {
        assert_int_equal(zts_sendto(fd, "group", 5, 0, &group, sizeof group), 5);
        n = zts_recvfrom(fd, buf, sizeof buf, 0, &from, &len);
    }
    assert_int_equal(n, 5);
    assert_int_equal(from.sin_addr.s_addr, want.sin_addr.s_addr);
    zts_close(fd);

    /* Only from the peer: what we send ourselves is left out; then only from us. */
    struct zts_ip_mreq_source m = {.imr_interface = own4.sin_addr,
                                   .imr_sourceaddr = want.sin_addr};
    struct zts_sockaddr_in any = {.sin_family = ZTS_AF_INET, .sin_port = zts_htons(7106)};
    m.imr_multiaddr.s_addr = zts_inet_addr("239.1.1.6");
    fd = patient(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_int_equal(zts_bind(fd, &any, sizeof any), 0);
    any.sin_addr = m.imr_multiaddr;
    assert_int_equal(
        zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof m), 0);
    assert_int_equal(zts_sendto(fd, "mine", 4, 0, &any, sizeof any), 4);
    assert_zts(ZTS_EAGAIN, zts_recv(fd, buf, sizeof buf, 0));
    struct zts_ip_mreq_source own = m;
    own.imr_sourceaddr = own4.sin_addr;
    assert_int_equal(
        zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_ADD_SOURCE_MEMBERSHIP, &own, sizeof own), 0);
    assert_int_equal(zts_sendto(fd, "mine", 4, 0, &any, sizeof any), 4);
    wait_up_to(fd, 30000);
    assert_int_equal(zts_recv(fd, buf, sizeof buf, 0), 4);
    assert_int_equal(
        zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_DROP_SOURCE_MEMBERSHIP, &own, sizeof own), 0);
    assert_int_equal(
        zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_DROP_SOURCE_MEMBERSHIP, &m, sizeof m), 0);
    assert_zts(ZTS_EADDRNOTAVAIL,
               zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_DROP_SOURCE_MEMBERSHIP, &m, sizeof m));
    zts_close(fd);
}

static void broadcast_is_asked_for(void **state)
{
    struct zts_sockaddr_in all = {.sin_family = ZTS_AF_INET, .sin_port = zts_htons(ENV_UDP_ECHO)};
    char buf[16];
    struct zts_timeval tv = {.tv_usec = 500000};
    all.sin_addr.s_addr = 0xffffffff;
    int fd = patient(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    assert_zts(ZTS_EACCES, zts_sendto(fd, "all", 3, 0, &all, sizeof all));
    set(fd, ZTS_SOL_SOCKET, ZTS_SO_BROADCAST, 1);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    ssize_t n = -1;
    for (int i = 0; i < 100 && n < 0; i++) {
        assert_int_equal(zts_sendto(fd, "all", 3, 0, &all, sizeof all), 3);
        n = zts_recv(fd, buf, sizeof buf, 0);
    }
    assert_int_equal(n, 3);
    zts_close(fd);
}

/* ---- statistics ---- */

static void R105_R123_R124_R125_statistics(void **state)
{
    struct zts_stats all;
    struct zts_stats_proto a, b;
    char out[4096], text[ZTS_INET_ADDRSTRLEN];
    assert_int_equal(zts_get_all_stats(&all), 0);
    assert_true(all.link.xmit > 0 && all.link.recv > 0 && all.nd6.xmit + all.etharp.xmit > 0);
    assert_int_equal(zts_get_all_stats(NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_ICMP, &a), ZTS_ERR_OK);
    assert_non_null(zts_inet_ntop(ZTS_AF_INET, &own4.sin_addr, text, sizeof text));
    assert_int_equal(env_ztctl(&e, "root", out, sizeof out, "ping -c 10 -i 0.05 %s", text), 0);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_ICMP, &b), ZTS_ERR_OK);
    assert_int_equal(b.recv - a.recv, 10);
    assert_int_equal(b.xmit - a.xmit, 10);
    /* A segment with a wrong checksum: dropped, counted, no error anywhere. */
    struct zts_sockaddr_in us = own4;
    uint8_t segment[20] = {0x30, 0x39, 0x30, 0x3a, [12] = 0x50, [13] = 0x02, [16] = 0xba, [17] = 0xad};
    int raw = patient(ZTS_AF_INET, ZTS_SOCK_RAW, ZTS_IPPROTO_TCP);
    a = tcp_at_rest();
    assert_int_equal(zts_sendto(raw, segment, sizeof segment, 0, &us, sizeof us), sizeof segment);
    for (int i = 0; i < 1500; i++) {
        assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &b), ZTS_ERR_OK);
        if (b.chkerr > a.chkerr)
            break;
        zts_delay_ms(20);
    }
    assert_int_equal(b.chkerr - a.chkerr, 1);
    assert_int_equal(b.drop - a.drop, 1);
    zts_close(raw);
    assert_int_equal(zts_get_protocol_stats(-1, &a), ZTS_ERR_ARG);
    assert_int_equal(zts_get_protocol_stats(10, &a), ZTS_ERR_ARG);
}

static int setup(void)
{
    struct zts_node_details node;
    struct zts_sockaddr_storage a[4];
    char out[1024], home[128];
    unsigned n = 4;
    net4 = env_network(&e, "name=four ipv4=10.44.0.0/24 ipv6=6plane");
    snprintf(home, sizeof home, "%s/root", e.dir);
    int rc = env_start_peer_on(&e, net4) | env_up(&e, "us") | zts_query_node(&node, NULL) |
             env_ztctl(&e, "root", out, sizeof out, "controller authorize %016llx %010llx %010llx",
                       (unsigned long long)net4, (unsigned long long)node.address,
                       (unsigned long long)env_identity(home)) |
             env_ztctl(&e, "root", out, sizeof out, "join %016llx", (unsigned long long)net4) |
             zts_join(net4);
    if (rc == 0 && env_wait_event_of(ZTS_EVENT_NETWORK_READY_IP4, net4, 0, 90000) >= 0 &&
        zts_query_addresses(net4, a, &n) == 0 && n == 2) {
        memcpy(&own4, &a[a[0].ss_family == ZTS_AF_INET ? 0 : 1], sizeof own4);
        own4.sin_port = 0;
        return 0;
    }
    return -1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_read_back),
        cmocka_unit_test(flags_of_streams),
        cmocka_unit_test(low_water_survives_connect),
        cmocka_unit_test(linger_waits_for_the_peer),
        cmocka_unit_test(dual_stack_listener),
        cmocka_unit_test(bind_to_device),
        cmocka_unit_test(packet_information),
        cmocka_unit_test(raw_icmp),
        cmocka_unit_test(multicast6),
        cmocka_unit_test(multicast4_and_sources),
        cmocka_unit_test(broadcast_is_asked_for),
        cmocka_unit_test(R105_R123_R124_R125_statistics),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("options", tests, env_setup, env_teardown);
}
