/* Networks with a controller: authorization, what events carry, changes, several networks, leaving. The
 * controller is the root's. */
#include "../unit/ztest.h"

#include <stdio.h>

#include "env.h"

static struct env e;
static uint64_t self;

#define assert_zts(err, call)                   \
    do {                                        \
        zts_errno = 0;                          \
        assert_int_equal(call, ZTS_ERR_SOCKET); \
        assert_int_equal(zts_errno, err);       \
    } while (0)

static char out[4096];
#define ctl(...) assert_int_equal(env_ztctl(&e, "root", out, sizeof out, "controller " __VA_ARGS__), 0)

static void authorize(uint64_t nwid)
{
    ctl("authorize %016llx %010llx", (unsigned long long)nwid, (unsigned long long)self);
}

static uint64_t joined(const char *args)
{
    uint64_t nwid = env_network(&e, args);
    assert_int_not_equal(nwid, 0);
    authorize(nwid);
    int from = env_events();
    assert_int_equal(zts_join(nwid), 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_OK, nwid, from, 90000) >= 0);
    return nwid;
}

static struct zts_sockaddr_in first4(uint64_t nwid)
{
    struct zts_sockaddr_storage a[16];
    struct zts_sockaddr_in in4 = {0};
    unsigned n = 16;
    assert_int_equal(zts_query_addresses(nwid, a, &n), 0);
    for (unsigned i = 0; i < n; i++)
        if (a[i].ss_family == ZTS_AF_INET)
            memcpy(&in4, &a[i], sizeof in4);
    assert_int_equal(in4.sin_family, ZTS_AF_INET);
    in4.sin_port = 0;
    return in4;
}

static void R30_R33_R77_R78_R79_denied_then_authorized(void **state)
{
    uint64_t nwid = env_network(&e, "name=closed ipv4=10.21.0.0/24 ipv6=rfc4193,6plane");
    int from = env_events(), i;
    assert_int_equal(zts_join(nwid), 0);
    i = env_wait_event_of(ZTS_EVENT_NETWORK_REQ_CONFIG, nwid, from, 90000);
    assert_true(i >= 0);
    i = env_wait_event_of(ZTS_EVENT_NETWORK_ACCESS_DENIED, nwid, i, 90000);
    assert_true(i >= 0);
    authorize(nwid);
    static const int order[] = {
        ZTS_EVENT_NETIF_UP,           ZTS_EVENT_NETIF_LINK_UP,          ZTS_EVENT_NETWORK_UPDATE,
        ZTS_EVENT_NETWORK_READY_IP4,  ZTS_EVENT_NETWORK_READY_IP6,
        ZTS_EVENT_NETWORK_READY_IP4_IP6, ZTS_EVENT_NETWORK_OK};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        i = env_wait_event_of(order[k], nwid, i, 90000);
        assert_true(i >= 0);
    }
    for (i = from; i < env_events(); i++) /* and only those of the network's list */
        if (env_event_id(i) == nwid)
            assert_true((env_event(i) >= 210 && env_event(i) <= 219) ||
                        (env_event(i) >= 230 && env_event(i) <= 234) || env_event(i) >= 250);
    assert_int_equal(zts_leave(nwid), 0);
}

static void R31_adhoc_needs_nobody(void **state)
{
    uint64_t nwid = 0xff0000ffff000000;
    struct zts_sockaddr_storage want, got[4];
    unsigned n = 4;
    int from = env_events();
    assert_int_equal(zts_join(nwid), 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_READY_IP6, nwid, from, 90000) >= 0);
    assert_int_equal(zts_get_6plane_addr(&want, nwid, self), 0);
    assert_int_equal(zts_query_addresses(nwid, got, &n), 0);
    assert_int_equal(n, 1);
    assert_memory_equal(&((struct zts_sockaddr_in6 *)&want)->sin6_addr,
                        &((struct zts_sockaddr_in6 *)&got[0])->sin6_addr, 16);
    assert_int_equal(zts_leave(nwid), 0);
}

static int bound_result;
static void bind_when_ready(struct zts_callback_msg *m)
{
    if (m->eventCode != ZTS_EVENT_NETWORK_READY_IP4 && m->eventCode != ZTS_EVENT_NETWORK_READY_IP6)
        return;
    int v6 = m->eventCode == ZTS_EVENT_NETWORK_READY_IP6;
    for (unsigned i = 0; i < m->network->assignedAddressCount; i++) {
        struct zts_sockaddr_storage a = m->network->assignedAddresses[i];
        if (a.ss_family != (v6 ? ZTS_AF_INET6 : ZTS_AF_INET))
            continue;
        a.s2_data1[0] = a.s2_data1[1] = 0;
        int fd = zts_socket(a.ss_family, ZTS_SOCK_STREAM, 0);
        bound_result += zts_bind(fd, &a, v6 ? sizeof(struct zts_sockaddr_in6)
                                            : sizeof(struct zts_sockaddr_in)) == 0 &&
                        zts_listen(fd, 1) == 0;
        zts_close(fd);
    }
}

static void R80_R81_R84_R85_R86_R87_R95_R96_R127_what_ready_carries(void **state)
{
    struct zts_network_details d;
    char text[ZTS_INET6_ADDRSTRLEN];
    int from = env_events();
    env_hook = bind_when_ready;
    bound_result = 0;
    uint64_t nwid = joined("name=office ipv4=10.22.0.0/24 ipv6=6plane route=192.168.7.0/24,10.22.0.1 "
                           "route=172.30.0.0/16");
    env_hook = NULL;
    assert_int_equal(bound_result, 2);
    assert_true(env_wait_event_of(ZTS_EVENT_ADDR_ADDED_IP4, nwid, from, 0) >= 0);
    assert_true(env_wait_event_of(ZTS_EVENT_ADDR_ADDED_IP6, nwid, from, 0) >= 0);
    assert_true(env_wait_event(ZTS_EVENT_ROUTE_ADDED, from, 0) >= 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETIF_UP, nwid, from, 0) >= 0);
    assert_true(env_last_network(nwid, &d));
    assert_string_equal(d.name, "office");
    assert_int_equal(d.type, ZTS_NETWORK_TYPE_PRIVATE);
    assert_int_equal(d.status, ZTS_NETWORK_STATUS_OK);
    assert_int_equal(d.mtu, 2800);
    assert_int_equal(d.broadcastEnabled, 1);
    assert_int_equal(d.bridge, 0);
    assert_int_equal(d.portError, 0);
    assert_true(d.netconfRevision > 0);
    assert_int_not_equal(d.mac, 0);
    assert_int_equal(d.mac & 0x020000000000, 0x020000000000);
    assert_int_equal(d.assignedAddressCount, 2);
    struct zts_sockaddr_in in4 = first4(nwid);
    assert_non_null(zts_inet_ntop(ZTS_AF_INET, &in4.sin_addr, text, sizeof text));
    assert_memory_equal(text, "10.22.0.", 8);
    bool found = false;
    for (unsigned i = 0; i < d.multicastSubscriptionCount; i++)
        found |= d.multicastSubscriptions[i].mac == 0xffffffffffff &&
                 d.multicastSubscriptions[i].adi == zts_ntohl(in4.sin_addr.s_addr);
    assert_true(found);
    unsigned seen = 0;
    for (unsigned i = 0; i < d.routeCount; i++) {
        struct zts_sockaddr_in *t = (struct zts_sockaddr_in *)&d.routes[i].target;
        struct zts_sockaddr_in *v = (struct zts_sockaddr_in *)&d.routes[i].via;
        zts_inet_ntop(ZTS_AF_INET, &t->sin_addr, text, sizeof text);
        if (strcmp(text, "192.168.7.0") == 0 && zts_ntohs(t->sin_port) == 24 &&
            v->sin_family == ZTS_AF_INET && v->sin_addr.s_addr == zts_inet_addr("10.22.0.1"))
            seen |= 1;
        if (strcmp(text, "172.30.0.0") == 0 && zts_ntohs(t->sin_port) == 16 && v->sin_family == 0)
            seen |= 2;
        if (strcmp(text, "10.22.0.0") == 0)
            seen |= 4;
    }
    assert_int_equal(seen, 7);
    struct zts_virtual_network_route r[8];
    unsigned n = 8;
    assert_int_equal(zts_query_routes(nwid, r, &n), 0);
    assert_int_equal(n, d.routeCount);
    assert_int_equal(zts_leave(nwid), 0);
}

static void R83_R85_R95_R97_changes_at_the_controller(void **state)
{
    struct zts_network_details d;
    uint64_t nwid = joined("name=before ipv4=10.23.0.0/24");
    struct zts_sockaddr_in old = first4(nwid);
    int from = env_events(), i;
    ctl("set %016llx name=after mtu=1400", (unsigned long long)nwid);
    do {
        from = env_wait_event_of(ZTS_EVENT_NETWORK_UPDATE, nwid, from, 90000) + 1;
        assert_true(from > 0);
        assert_true(env_last_network(nwid, &d));
    } while (strcmp(d.name, "after") != 0 || d.mtu != 1400);
    from = env_events();
    ctl("set %016llx %010llx ip=10.23.0.77", (unsigned long long)nwid, (unsigned long long)self);
    i = env_wait_event_of(ZTS_EVENT_ADDR_REMOVED_IP4, nwid, from, 90000);
    assert_true(i >= 0);
    i = env_wait_event_of(ZTS_EVENT_ADDR_ADDED_IP4, nwid, i, 90000);
    assert_true(i >= 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_UPDATE, nwid, i, 90000) >= 0);
    assert_true(env_last_network(nwid, &d));
    struct zts_sockaddr_in now = first4(nwid);
    assert_int_equal(now.sin_addr.s_addr, zts_inet_addr("10.23.0.77"));
    assert_int_equal(((struct zts_sockaddr_in *)&d.assignedAddresses[0])->sin_addr.s_addr,
                     now.sin_addr.s_addr);
    if (old.sin_addr.s_addr != now.sin_addr.s_addr) {
        int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
        assert_zts(ZTS_EADDRNOTAVAIL, zts_bind(fd, &old, sizeof old));
        zts_close(fd);
    }
    /* READY is told once for a change of status, not for every change. */
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_OK, nwid, from, 300) < 0);
    assert_int_equal(zts_leave(nwid), 0);
}

static void authorization_withdrawn_and_given_again(void **state)
{
    uint64_t nwid = joined("name=moody ipv4=10.29.0.0/24");
    int from = env_events();
    ctl("deauthorize %016llx %010llx", (unsigned long long)nwid, (unsigned long long)self);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_ACCESS_DENIED, nwid, from, 90000) >= 0);
    from = env_events();
    authorize(nwid);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_OK, nwid, from, 90000) >= 0);
    assert_int_equal(zts_leave(nwid), 0);
}

static void R32_R34_R82_leaving_one_leaves_the_others_alone(void **state)
{
    uint64_t a = joined("name=a ipv4=10.24.0.0/24"), b = joined("name=b ipv4=10.25.0.0/24");
    struct zts_sockaddr_in in_a = first4(a), in_b = first4(b);
    int la = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    int lb = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    int c = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), s;
    zts_socklen_t len = sizeof in_a;
    assert_int_equal(zts_bind(la, &in_a, sizeof in_a), 0);
    assert_int_equal(zts_bind(lb, &in_b, sizeof in_b), 0);
    assert_int_equal(zts_listen(la, 4), 0);
    assert_int_equal(zts_listen(lb, 4), 0);
    assert_int_equal(zts_getsockname(la, &in_a, &len), 0);
    assert_int_equal(zts_getsockname(lb, &in_b, &len), 0);
    assert_int_equal(zts_connect(c, &in_a, sizeof in_a), 0);
    s = zts_accept(la, NULL, NULL);
    assert_true(s >= 0);
    int from = env_events(), i = from;
    assert_int_equal(zts_leave(a), 0);
    static const int order[] = {ZTS_EVENT_ADDR_REMOVED_IP4, ZTS_EVENT_NETIF_LINK_DOWN,
                                ZTS_EVENT_NETIF_DOWN, ZTS_EVENT_NETIF_REMOVED,
                                ZTS_EVENT_NETWORK_DOWN};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        i = env_wait_event_of(order[k], a, i, 90000);
        assert_true(i >= 0);
    }
    char byte;
    assert_int_equal(zts_read(c, &byte, 1), ZTS_ERR_SOCKET);
    assert_int_equal(zts_errno, ZTS_ECONNRESET);
    int again = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(again, &in_a, sizeof in_a), ZTS_ERR_SOCKET);
    assert_true(zts_errno == ZTS_ENETUNREACH || zts_errno == ZTS_EHOSTUNREACH);
    struct zts_network_details d;
    assert_int_equal(zts_query_network(a, &d), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_query_network(b, &d), 0);
    /* b still works. */
    assert_int_equal(zts_connect(again, &in_b, sizeof in_b), 0);
    zts_close(again);
    zts_close(c);
    zts_close(s);
    zts_close(la);
    zts_close(lb);
    assert_int_equal(zts_leave(b), 0);
}

static void R75_R103_R107_R108_unknown_networks(void **state)
{
    struct zts_node_details root;
    struct zts_network_details d;
    uint64_t peers[8];
    unsigned n = 8;
    assert_int_equal(zts_query_peers(peers, &n), 0);
    assert_true(n >= 1);
    (void)root;
    uint64_t wrong = peers[0] << 24 | 0xabcdef; /* the root's controller has no such network */
    int from = env_events();
    assert_int_equal(zts_join(wrong), 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_NOT_FOUND, wrong, from, 90000) >= 0);
    /* Nobody has this controller's address; and an id that lost its upper half in an int. */
    uint64_t nobody = 0x1234567890000001, squeezed = 0x00000000deadbeef;
    assert_int_equal(zts_join(nobody), 0);
    assert_int_equal(zts_join(squeezed), 0);
    zts_delay_ms(300);
    assert_int_equal(zts_query_network(nobody, &d), 0);
    assert_int_equal(d.status, ZTS_NETWORK_STATUS_REQUESTING_CONFIGURATION);
    assert_int_equal(zts_query_network(squeezed, &d), 0);
    assert_int_equal(d.status, ZTS_NETWORK_STATUS_REQUESTING_CONFIGURATION);
    assert_int_equal(zts_leave(wrong), 0);
    assert_int_equal(zts_leave(nobody), 0);
    assert_int_equal(zts_leave(squeezed), 0);
    assert_int_equal(zts_leave(squeezed), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_query_network(squeezed, &d), ZTS_ERR_NO_RESULT);
    n = 8;
    assert_int_equal(zts_query_networks(peers, &n), 0);
    assert_int_equal(n, 0);
}

static void sixteen_addresses_of_each_family(void **state)
{
    uint64_t nwid = joined("name=many ipv4=10.26.0.0/24");
    char list[2048] = "";
    size_t at = 0;
    for (int i = 1; i <= 16; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s10.26.0.%d,fd00:26::%x", i > 1 ? "," : "",
                               i + 100, i + 100);
    int from = env_events();
    ctl("set %016llx route=fd00:26::/64 route=10.26.0.0/24", (unsigned long long)nwid);
    ctl("set %016llx %010llx ip=%s", (unsigned long long)nwid, (unsigned long long)self, list);
    struct zts_sockaddr_storage a[40];
    unsigned n;
    for (int i = 0; i < 600; i++) {
        n = 40;
        assert_int_equal(zts_query_addresses(nwid, a, &n), 0);
        if (n == 32)
            break;
        zts_delay_ms(100);
    }
    assert_int_equal(n, 32);
    (void)from;
    /* Each can be bound and connected to. */
    for (unsigned i = 0; i < n; i++) {
        bool v6 = a[i].ss_family == ZTS_AF_INET6;
        zts_socklen_t len = v6 ? sizeof(struct zts_sockaddr_in6) : sizeof(struct zts_sockaddr_in);
        a[i].s2_data1[0] = a[i].s2_data1[1] = 0;
        int l = zts_socket(a[i].ss_family, ZTS_SOCK_STREAM, 0);
        int c = zts_socket(a[i].ss_family, ZTS_SOCK_STREAM, 0);
        assert_int_equal(zts_bind(l, &a[i], len), 0);
        assert_int_equal(zts_listen(l, 1), 0);
        assert_int_equal(zts_getsockname(l, &a[i], &len), 0);
        assert_int_equal(zts_connect(c, &a[i], len), 0);
        int s = zts_accept(l, NULL, NULL);
        assert_true(s >= 0);
        zts_close(s);
        zts_close(c);
        zts_close(l);
    }
    assert_int_equal(zts_leave(nwid), 0);
}

/* Nobody has that address: the connect ends after some seconds, not after a minute. */
static void a_member_that_is_not_there_is_unreachable(void **state)
{
    uint64_t nwid = joined("name=lonely ipv4=10.27.0.0/24");
    struct zts_sockaddr_in a = {.sin_family = ZTS_AF_INET, .sin_port = zts_htons(80)};
    uint32_t own = zts_ntohl(first4(nwid).sin_addr.s_addr);
    a.sin_addr.s_addr = zts_htonl((own & 255) < 254 ? own + 1 : own - 1);
    int fd = zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0);
    int u = zts_socket(ZTS_AF_INET, ZTS_SOCK_DGRAM, 0);
    struct zts_timeval tv = {.tv_sec = 60};
    assert_int_equal(zts_connect(u, &a, sizeof a), 0);
    assert_int_equal(zts_setsockopt(u, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    assert_int_equal(zts_send(u, "x", 1, 0), 1);
    int64_t from = env_ms();
    assert_zts(ZTS_EHOSTUNREACH, zts_connect(fd, &a, sizeof a));
    assert_in_range(env_ms() - from, 3000, 40000);
    char c;
    assert_zts(ZTS_EHOSTUNREACH, zts_recv(u, &c, 1, 0));
    zts_close(u);
    zts_close(fd);
    assert_int_equal(zts_leave(nwid), 0);
}

static int setup(void)
{
    struct zts_node_details node;
    int rc = env_online(&e, "us") | zts_query_node(&node, NULL);
    self = node.address;
    return rc;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R30_R33_R77_R78_R79_denied_then_authorized),
        cmocka_unit_test(R31_adhoc_needs_nobody),
        cmocka_unit_test(R80_R81_R84_R85_R86_R87_R95_R96_R127_what_ready_carries),
        cmocka_unit_test(R83_R85_R95_R97_changes_at_the_controller),
        cmocka_unit_test(authorization_withdrawn_and_given_again),
        cmocka_unit_test(R32_R34_R82_leaving_one_leaves_the_others_alone),
        cmocka_unit_test(R75_R103_R107_R108_unknown_networks),
        cmocka_unit_test(sixteen_addresses_of_each_family),
        cmocka_unit_test(a_member_that_is_not_there_is_unreachable),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("networks", tests, env_setup, env_teardown);
}
