/* The 1.8 generation on a network: what is known of it, sockets of both kinds, options, and the
 * other generation beside it in one program. */
#include "zts18/ZeroTierSockets.h"

#include "../unit/ztest.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "lab.h"

int zts_del_dns_nameserver(const void *addr); /* of the other generation */

static char peer[ZTS_IP_MAX_STR_LEN], own[ZTS_IP_MAX_STR_LEN];

#define assert_zts(err, call)                     \
    do {                                          \
        assert_int_equal((call), ZTS_ERR_SOCKET); \
        assert_int_equal(zts_errno, (err));       \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the network
 * ---------------------------------------------------------------------------------
 */

static void test_network(void **state)
{
    char text[ZTS_INET6_ADDRSTRLEN], name[ZTS_MAX_NETWORK_SHORT_NAME_LENGTH],
        mac[ZTS_MAC_ADDRSTRLEN];
    struct zts_sockaddr_storage a, all[ZTS_MAX_ASSIGNED_ADDRESSES];
    unsigned count = ZTS_MAX_ASSIGNED_ADDRESSES;
    const uint64_t n = LAB_NWID, other = 0x1234567890abcdef;
    assert_int_equal(zts_net_transport_is_ready(n), 1);
    assert_int_equal(zts_net_get_status(n), ZTS_NETWORK_STATUS_OK);
    assert_int_equal(zts_net_get_type(n), ZTS_NETWORK_TYPE_PUBLIC);
    assert_true(zts_net_get_mtu(n) >= 1280);
    assert_in_range(zts_net_get_broadcast(n), 0, 1);
    assert_int_equal(zts_net_get_mac(n) & 0x020000000000, 0x020000000000);
    assert_int_equal(zts_net_get_mac_str(n, mac, sizeof mac), ZTS_ERR_OK);
    assert_int_equal(strlen(mac), 17);
    assert_int_equal(zts_net_get_mac_str(n, mac, 17), ZTS_ERR_ARG);
    assert_int_equal(zts_net_get_name(n, name, sizeof name), ZTS_ERR_OK);
    assert_int_equal(zts_net_get_name(n, name, sizeof name - 1), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_is_assigned(n, ZTS_AF_INET6), 1);
    assert_int_equal(zts_addr_is_assigned(n, ZTS_AF_INET), 0);
    assert_int_equal(zts_addr_is_assigned(n, 99), 0);
    assert_int_equal(zts_addr_is_assigned(0, ZTS_AF_INET6), 0);
    assert_int_equal(zts_addr_get(n, ZTS_AF_INET6, &a), ZTS_ERR_OK);
    assert_int_equal(a.ss_family, ZTS_AF_INET6);
    assert_int_equal(zts_addr_get(n, ZTS_AF_INET, &a), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_addr_get(n, 3, &a), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_get_str(n, ZTS_AF_INET6, text, 45), ZTS_ERR_ARG);
    assert_int_equal(zts_addr_get_str(n, ZTS_AF_INET6, text, sizeof text), ZTS_ERR_OK);
    assert_int_equal(zts_addr_compute_6plane_str(n, zts_node_get_id(), own, sizeof own),
                     ZTS_ERR_OK);
    assert_string_equal(text, own);
    assert_int_equal(zts_addr_get_all(n, all, &count), ZTS_ERR_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(&all[0], &a, 0);
    assert_int_equal(zts_addr_get_all(n, all, &count), ZTS_ERR_ARG); /* count is not 16 any more */
    assert_int_equal(zts_net_get_mtu(other), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_net_get_mac(other), (uint64_t)(int64_t)ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_addr_get_str(other, ZTS_AF_INET, text, sizeof text), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_route_is_assigned(other, ZTS_AF_INET), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_route_is_assigned(n, ZTS_AF_INET), 0);
    assert_int_equal(zts_moon_orbit(0, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_moon_deorbit(0), ZTS_ERR_ARG);
}

static atomic_int got_lock;

static void *take_lock(void *arg)
{
    int rc = zts_core_lock_obtain();
    atomic_store(&got_lock, 1);
    return (void *)(intptr_t)(rc != 0 ? rc : zts_core_lock_release());
}

static void test_groups(void **state)
{
    char text[ZTS_INET6_ADDRSTRLEN], via[ZTS_INET6_ADDRSTRLEN], path[ZTS_MAX_ENDPOINT_STR_LEN];
    uint16_t flags, metric;
    uint64_t mac;
    uint32_t adi;
    pthread_t t;
    void *rc;
    assert_int_equal(zts_core_lock_release(), ZTS_ERR_GENERAL); /* not ours */
    assert_int_equal(zts_core_lock_obtain(), ZTS_ERR_OK);
    assert_int_equal(zts_core_lock_obtain(), ZTS_ERR_OK);
    pthread_create(&t, NULL, take_lock, NULL);
    assert_int_equal(zts_core_query_addr_count(LAB_NWID), 1);
    assert_int_equal(zts_core_query_addr(LAB_NWID, 0, text, sizeof text), ZTS_ERR_OK);
    assert_string_equal(text, own);
    assert_int_equal(zts_core_query_addr(LAB_NWID, 1, text, sizeof text), ZTS_ERR_ARG);
    assert_int_equal(zts_core_query_addr(LAB_NWID, 0, NULL, sizeof text), ZTS_ERR_ARG);
    assert_int_equal(zts_core_query_addr_count(1), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_core_query_addr(1, 0, text, sizeof text), ZTS_ERR_NO_RESULT);
    int routes = zts_core_query_route_count(LAB_NWID);
    assert_true(routes >= 0);
    for (int i = 0; i < routes; i++)
        assert_int_equal(
            zts_core_query_route(LAB_NWID, (unsigned)i, text, via, sizeof text, &flags, &metric),
            ZTS_ERR_OK);
    assert_int_equal(
        zts_core_query_route(LAB_NWID, (unsigned)routes, text, via, sizeof text, &flags, &metric),
        ZTS_ERR_ARG);
    assert_int_equal(zts_core_lock_release(), ZTS_ERR_OK);
    int groups = zts_core_query_mc_count(LAB_NWID);
    assert_true(groups > 0);
    assert_int_equal(zts_core_query_mc(LAB_NWID, 0, &mac, &adi), ZTS_ERR_OK);
    assert_true(mac != 0);
    assert_int_equal(zts_core_query_mc(LAB_NWID, (unsigned)groups, &mac, &adi), ZTS_ERR_ARG);
    assert_int_equal(zts_core_query_mc_count(1), ZTS_ERR_NO_RESULT);
    /* The peer's address is its node id, in the middle of the 6plane address. */
    uint8_t ip[16];
    uint64_t id = 0;
    assert_int_equal(zts_inet_pton(ZTS_AF_INET6, peer, ip), 1);
    for (int i = 5; i < 10; i++)
        id = id << 8 | ip[i];
    int paths = zts_core_query_path_count(id);
    assert_true(paths >= 1);
    assert_int_equal(zts_core_query_path(id, 0, path, sizeof path), ZTS_ERR_OK);
    assert_true(strncmp(path, "127.0.0.1/", 10) == 0 || strncmp(path, "::1/", 4) == 0);
    assert_int_equal(zts_core_query_path(id, 0, path, sizeof path - 1), ZTS_ERR_ARG);
    assert_int_equal(zts_core_query_path_count(0x1122334455), ZTS_ERR_NO_RESULT);
    zts_util_delay(50);
    assert_int_equal(atomic_load(&got_lock), 0);
    assert_int_equal(zts_core_lock_release(), ZTS_ERR_OK);
    pthread_join(t, &rc);
    assert_ptr_equal(rc, NULL);
}

/* ---- clients
 * -------------------------------------------------------------------------------------
 */

static void echo(int fd)
{
    char buf[8] = {0};
    unsigned short port = 0;
    char text[ZTS_IP_MAX_STR_LEN];
    assert_int_equal(zts_write(fd, "hello", 5), 5);
    for (int n = 0; n < 5;) {
        ssize_t k = zts_read(fd, buf + n, sizeof buf - (size_t)n);
        assert_true(k > 0);
        n += (int)k;
    }
    assert_string_equal(buf, "hello");
    assert_int_equal(zts_getpeername(fd, text, sizeof text, &port), ZTS_ERR_OK);
    assert_string_equal(text, peer);
    assert_int_equal(port, LAB_TCP_ECHO);
    assert_int_equal(zts_getsockname(fd, text, sizeof text, &port), ZTS_ERR_OK);
    assert_string_equal(text, own);
    assert_int_equal(zts_getsockname(fd, text, 16, &port), ZTS_ERR_ARG);
}

static void test_tcp_client(void **state)
{
    int fd = zts_tcp_client(peer, LAB_TCP_ECHO);
    assert_int_equal(fd, 0); /* the descriptor, lowest free first */
    assert_int_equal(zts_errno, 0);
    echo(fd);
    assert_int_equal(zts_shutdown_wr(fd), ZTS_ERR_OK);
    char c;
    assert_int_equal(zts_recv(fd, &c, 1, 0), 0);
    assert_int_equal(zts_close(fd), ZTS_ERR_OK);
    assert_zts(ZTS_EBADF, zts_close(fd));
    assert_int_equal(zts_tcp_client("nowhere", 1), ZTS_ERR_ARG);
    assert_int_equal(zts_tcp_client(NULL, 1), ZTS_ERR_ARG);
}

/* Tries again until the time is over; with less than a second, once. */
static void test_connect_waits(void **state)
{
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, peer, LAB_TCP_ECHO, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_connect(fd, "1.2.3.4.5", LAB_TCP_ECHO, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_connect(fd, NULL, LAB_TCP_ECHO, 0), ZTS_ERR_ARG);
    int64_t from = now_ms();
    assert_zts(ZTS_ECONNREFUSED, zts_connect(fd, peer, LAB_NOTHING, 200));
    assert_true(now_ms() - from < 20000);
    from = now_ms();
    assert_zts(ZTS_ECONNREFUSED, zts_connect(fd, peer, LAB_NOTHING, 1200));
    assert_in_range(now_ms() - from, 750, 30000); /* four or five tries */
    assert_int_equal(zts_connect(fd, peer, LAB_TCP_ECHO, 60000), ZTS_ERR_OK);
    assert_int_equal(zts_errno, 0);
    echo(fd);
    zts_close(fd);
    fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    from = now_ms();
    /* An address of the network that no node has. */
    assert_int_equal(zts_connect(fd, "fc00:1:ff11:2233:4455::1", 1, 1000), ZTS_ERR_SOCKET);
    assert_in_range(now_ms() - from, 700, 30000);
    /* The last try begins when the time is over, or nearly: it is no reason to wait longer. */
    for (int ms = 1001; ms < 1004; ms++) {
        for (int i = 0, is_quick = 0; i < 5 && !is_quick; i++) {
            from = now_ms();
            assert_int_equal(zts_connect(fd, "fc00:1:ff11:2233:4455::1", 1, ms), ZTS_ERR_SOCKET);
            assert_true(now_ms() - from >= 700);
            is_quick = now_ms() - from <= 4000;
            assert_true(is_quick || i < 4); /* once or twice the machine was busy */
        }
    }
    zts_close(fd);
    assert_zts(ZTS_EBADF, zts_connect(99, peer, LAB_TCP_ECHO, 0));
}

static void test_nonblocking(void **state)
{
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_set_blocking(fd, 0), ZTS_ERR_OK);
    assert_zts(ZTS_EINPROGRESS, zts_connect(fd, peer, LAB_TCP_ECHO, 0));
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLOUT};
    assert_int_equal(zts_bsd_poll(&p, 1, 30000), 1);
    assert_int_equal(zts_get_last_socket_error(fd), 0);
    char c;
    assert_zts(ZTS_EAGAIN, zts_read(fd, &c, 1));
    assert_int_equal(zts_send(fd, "x", 1, 0), 1);
    p.events = ZTS_POLLIN;
    assert_int_equal(zts_bsd_poll(&p, 1, 30000), 1);
    assert_int_equal(zts_get_pending_data_size(fd), 1);
    assert_int_equal(zts_get_data_available(fd), 1);
    zts_fd_set r;
    ZTS_FD_ZERO(&r);
    ZTS_FD_SET(fd, &r);
    struct zts_timeval t = {.tv_sec = 30};
    assert_int_equal(zts_bsd_select(fd + 1, &r, NULL, NULL, &t), 1);
    assert_true(ZTS_FD_ISSET(fd, &r));
    assert_int_equal(zts_recv(fd, &c, 1, 0), 1);
    zts_close(fd);
}

/* ---- servers: this node's own address
 * ------------------------------------------------------------
 */

static unsigned short seen_port;
static char seen_addr[ZTS_IP_MAX_STR_LEN];

static void *serve_one(void *arg)
{
    char buf[16];
    int fd = zts_tcp_server("::", 7100, seen_addr, sizeof seen_addr, &seen_port);
    if (fd < 0)
        return (void *)(intptr_t)fd;
    ssize_t n = zts_read(fd, buf, sizeof buf);
    if (n > 0)
        n = zts_write(fd, buf, (size_t)n);
    return (void *)(intptr_t)(zts_close(fd) != 0 ? -9 : n);
}

static void test_tcp_server(void **state)
{
    pthread_t t;
    void *rc;
    char buf[8] = {0}, text[ZTS_IP_MAX_STR_LEN];
    unsigned short port;
    pthread_create(&t, NULL, serve_one, NULL);
    int fd = zts_tcp_client(own, 7100); /* tries until the thread listens */
    assert_true(fd >= 0);
    assert_int_equal(zts_getsockname(fd, text, sizeof text, &port), ZTS_ERR_OK);
    assert_int_equal(zts_write(fd, "abc", 3), 3);
    assert_int_equal(zts_read(fd, buf, sizeof buf), 3);
    assert_string_equal(buf, "abc");
    pthread_join(t, &rc);
    assert_int_equal((intptr_t)rc, 3);
    assert_string_equal(seen_addr, own);
    assert_int_equal(seen_port, port);
    zts_close(fd);
    /* The listener is gone. */
    fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    for (int i = 0; i < 60 && zts_connect(fd, own, 7100, 500) == 0; i++) { /* soon: the loop closes it */
        zts_close(fd);
        zts_util_delay(500);
        fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    }
    assert_int_equal(zts_errno, ZTS_ECONNREFUSED);
    zts_close(fd);
    assert_zts(ZTS_EADDRNOTAVAIL, zts_tcp_server("fd00::77", 7100, text, sizeof text, &port));
    assert_int_equal(zts_tcp_server("x", 7100, text, sizeof text, &port), ZTS_ERR_ARG);
    assert_int_equal(zts_tcp_server("::", 7100, text, 45, &port), ZTS_ERR_ARG);
}

static void test_udp(void **state)
{
    char buf[8] = {0};
    union {
        struct zts_sockaddr head;
        struct zts_sockaddr_storage all;
    } a, from;
    zts_socklen_t alen = sizeof a, flen = sizeof from;
    int s = zts_udp_server("::", 7101), c = zts_udp_client("::");
    assert_true(s >= 0 && c >= 0);
    assert_int_equal(zts_util_ipstr_to_saddr(own, 7101, &a.head, &alen), ZTS_ERR_OK);
    assert_int_equal(zts_bsd_sendto(c, "data", 4, 0, &a.head, alen), 4);
    assert_int_equal(zts_set_recv_timeout(s, 30, 0), ZTS_ERR_OK);
    assert_int_equal(zts_bsd_recvfrom(s, buf, sizeof buf, 0, &from.head, &flen), 4);
    assert_string_equal(buf, "data");
    char text[ZTS_IP_MAX_STR_LEN];
    unsigned short port;
    assert_int_equal(zts_util_ntop(&from.head, flen, text, sizeof text, &port), ZTS_ERR_OK);
    assert_string_equal(text, own);
    assert_int_equal(zts_bsd_sendto(c, "", 0, 0, &a.head, alen), 0); /* an empty one is one */
    assert_int_equal(zts_bsd_recvfrom(s, buf, sizeof buf, 0, NULL, NULL), 0);
    assert_int_equal(zts_close(s), 0);
    assert_int_equal(zts_close(c), 0);
    assert_int_equal(zts_udp_server("x", 1), ZTS_ERR_ARG);
}

/* ---- options
 * -------------------------------------------------------------------------------------
 */

static void check_switch(int fd, int (*set)(int, int), int (*get)(int), int initial)
{
    assert_int_equal(get(fd), initial);
    assert_int_equal(set(fd, !initial), ZTS_ERR_OK);
    assert_int_equal(get(fd), !initial);
    assert_int_equal(set(fd, initial), ZTS_ERR_OK);
    assert_int_equal(get(fd), initial);
    assert_int_equal(set(fd, 2), ZTS_ERR_ARG);
    assert_int_equal(set(fd, -1), ZTS_ERR_ARG);
    assert_zts(ZTS_EBADF, set(77, 1));
    assert_zts(ZTS_EBADF, get(77));
}

static void test_options(void **state)
{
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    check_switch(fd, zts_set_no_delay, zts_get_no_delay, 0);
    check_switch(fd, zts_set_reuse_addr, zts_get_reuse_addr, 0);
    check_switch(fd, zts_set_keepalive, zts_get_keepalive, 0);
    check_switch(fd, zts_set_blocking, zts_get_blocking, 1);
    assert_int_equal(zts_get_linger_enabled(fd), 0);
    assert_int_equal(zts_set_linger(fd, 1, 7), ZTS_ERR_OK);
    assert_int_equal(zts_get_linger_enabled(fd), 1);
    assert_int_equal(zts_get_linger_value(fd), 7);
    assert_int_equal(zts_set_linger(fd, 0, 0), ZTS_ERR_OK);
    assert_int_equal(zts_get_linger_value(fd), 0);
    assert_int_equal(zts_set_linger(fd, 2, 1), ZTS_ERR_ARG);
    assert_int_equal(zts_set_linger(fd, 1, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_get_recv_timeout(fd), 0);
    assert_int_equal(zts_set_recv_timeout(fd, 3, 1500000), ZTS_ERR_OK);
    assert_int_equal(zts_get_recv_timeout(fd), 4);
    assert_int_equal(zts_set_recv_timeout(fd, -1, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_set_send_timeout(fd, 4, 0), ZTS_ERR_OK);
    assert_int_equal(zts_get_send_timeout(fd), 4);
    assert_int_equal(zts_set_send_timeout(fd, 0, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_set_ttl(fd, 256), ZTS_ERR_ARG);
    assert_int_equal(zts_set_ttl(fd, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_set_ttl(fd, 128), ZTS_ERR_OK);
    assert_int_equal(zts_get_ttl(fd), 128);
    assert_int_equal(zts_set_send_buf_size(fd, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_set_send_buf_size(fd, 65536), ZTS_ERR_OK);
    assert_true(zts_get_send_buf_size(fd) > 0);
    assert_int_equal(zts_set_recv_buf_size(fd, 65536), ZTS_ERR_OK);
    assert_true(zts_get_recv_buf_size(fd) > 0);
    assert_int_equal(zts_get_pending_data_size(fd), 0);
    assert_int_equal(zts_errno, 0);
    zts_close(fd);
}

static void test_names(void **state)
{
    zts_ip_addr a;
    struct zts_hostent *h = zts_bsd_gethostbyname("10.1.2.3");
    assert_non_null(h);
    assert_int_equal(h->h_addrtype, ZTS_AF_INET);
    assert_int_equal(h->h_length, 4);
    assert_memory_equal(h->h_addr, "\x0a\x01\x02\x03", 4);
    assert_null(h->h_addr_list[1]);
    assert_null(zts_bsd_gethostbyname(NULL));
    assert_null(zts_dns_get_server(0));
    assert_int_equal(zts_ipaddr_aton("192.168.22.1", &a), 1);
    assert_int_equal(zts_dns_set_server(2, &a), ZTS_ERR_ARG);
    assert_int_equal(zts_dns_set_server(1, &a), ZTS_ERR_OK);
    assert_string_equal(zts_ipaddr_ntoa(zts_dns_get_server(1)), "192.168.22.1");
    assert_null(zts_dns_get_server(0));
    assert_int_equal(zts_ipaddr_aton("fd00::53", &a), 1);
    assert_int_equal(zts_dns_set_server(1, &a), ZTS_ERR_OK); /* in its place */
    assert_string_equal(zts_ipaddr_ntoa(zts_dns_get_server(1)), "FD00::53");
    assert_int_equal(zts_dns_set_server(1, NULL), ZTS_ERR_OK);
    assert_null(zts_dns_get_server(1));
    /* The same one twice: it goes with the last index that names it. */
    struct zts_sockaddr_in s = {.sin_family = ZTS_AF_INET, .sin_port = 53 << 8};
    assert_int_equal(zts_ipaddr_aton("192.168.22.1", &a), 1);
    assert_int_equal(zts_inet_pton(ZTS_AF_INET, "192.168.22.1", &s.sin_addr), 1);
    assert_int_equal(zts_dns_set_server(0, &a), ZTS_ERR_OK);
    assert_int_equal(zts_dns_set_server(1, &a), ZTS_ERR_OK);
    assert_int_equal(zts_dns_set_server(0, NULL), ZTS_ERR_OK);
    assert_string_equal(zts_ipaddr_ntoa(zts_dns_get_server(1)), "192.168.22.1");
    assert_int_equal(zts_del_dns_nameserver(&s), ZTS_ERR_OK); /* the other generation still has it */
    assert_int_equal(zts_dns_set_server(1, NULL), ZTS_ERR_OK);
    a.type = 46;
    assert_int_equal(zts_dns_set_server(0, &a), ZTS_ERR_ARG);
    assert_null(zts_dns_get_server(7));
}

static void test_statistics(void **state)
{
    zts_stats_counter_t a, b;
    assert_int_equal(zts_stats_get_all(NULL), ZTS_ERR_ARG);
    assert_int_equal(zts_stats_get_all(&a), ZTS_ERR_OK);
    int fd = zts_tcp_client(peer, LAB_TCP_ECHO);
    echo(fd);
    zts_close(fd);
    assert_int_equal(zts_stats_get_all(&b), ZTS_ERR_OK);
    assert_true(b.tcp_tx > a.tcp_tx && b.tcp_rx > a.tcp_rx && b.ip6_tx > a.ip6_tx &&
                b.link_rx > a.link_rx);
}

/* Their descriptors are the same numbers, their functions other ones. */
static void test_other_generation_beside(void **state)
{
    int fd = lab_other_connect(peer, LAB_TCP_ECHO);
    assert_true(fd >= 0);
    echo(fd);
    assert_int_equal(zts_write(fd, "z", 1), 1);
    struct pollfd p = {.fd = lab_other_host_fd(fd), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(zts_close(fd), ZTS_ERR_OK);
}

static void test_freed(void **state)
{
    assert_int_equal(zts_node_free(), ZTS_ERR_OK);
}

static int setup(void)
{
    char home[128];
    if (lab_start_peer(peer) != 0)
        return -1;
    lab_home("us", 1, home);
    if (zts_init_from_storage(home) != 0 || zts_node_start() != 0)
        return -1;
    int rc = ZTS_ERR_SERVICE; /* under a sanitizer an identity takes long to make */
    for (int i = 0; i < 24 && rc == ZTS_ERR_SERVICE; i++)
        rc = zts_net_join(LAB_NWID);
    if (rc != ZTS_ERR_OK)
        return -1;
    for (int i = 0; i < 6000; i++, zts_util_delay(10))
        if (zts_net_transport_is_ready(LAB_NWID) && zts_node_is_online())
            return 0;
    return -1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_tcp_client),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_connect_waits),
        cmocka_unit_test(test_nonblocking),
        cmocka_unit_test(test_tcp_server),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_other_generation_beside),
        cmocka_unit_test(test_freed),
    };
    lab_program(argc, argv, setup);
    return cmocka_run_group_tests_name("data18", tests, lab_setup, lab_teardown);
}
