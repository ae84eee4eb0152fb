/* How events are delivered: a thread of their own, one at a time, in order, with nothing held; what may be
 * called from the callback. */
#include "../unit/ztest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "env.h"

static struct env e;
static char home[128];

static void R60_order_of_the_members(void **state)
{
    typedef struct zts_callback_msg M;
    assert_int_equal(offsetof(M, eventCode), 0);
    assert_int_equal(offsetof(M, node), 8);
    assert_int_equal(offsetof(M, network), 16);
    assert_int_equal(offsetof(M, netif), 24);
    assert_int_equal(offsetof(M, route), 32);
    assert_int_equal(offsetof(M, peer), 40);
    assert_int_equal(offsetof(M, addr), 48);
    assert_int_equal(sizeof(M), 56);
}

/* ---- calls from the callback ---- */

static _Atomic int joined, called, free_rc, restart_rc;
static pthread_t callback_thread;

static void call_back_in(struct zts_callback_msg *m)
{
    callback_thread = pthread_self();
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE)
        atomic_store(&joined, zts_join(ENV_NWID) == ZTS_ERR_OK);
    if (m->eventCode == ZTS_EVENT_NETWORK_READY_IP6) {
        struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6};
        struct zts_network_details d;
        struct zts_stats s;
        int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), on = 1;
        int ok = fd >= 0 && zts_bind(fd, &any, sizeof any) == 0 && zts_listen(fd, 5) == 0 &&
                 zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE, &on, sizeof on) == 0 &&
                 zts_query_network(m->network->nwid, &d) == 0 && zts_get_all_stats(&s) == 0 &&
                 zts_close(fd) == 0;
        atomic_store(&free_rc, zts_free());
        atomic_store(&restart_rc, zts_restart());
        atomic_store(&called, ok);
    }
    if (m->eventCode == ZTS_EVENT_NETWORK_OK && atomic_load(&called))
        (void)zts_stop();
}

static void R63_R61_R119_calls_from_the_callback(void **state)
{
    env_hook = call_back_in;
    env_clear_events();
    assert_int_equal(zts_start(home, env_callback, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, 0, 90000) >= 0);
    env_hook = NULL;
    assert_int_equal(atomic_load(&joined), 1);
    assert_int_equal(atomic_load(&called), 1);
    assert_int_equal(atomic_load(&free_rc), ZTS_ERR_SERVICE); /* would wait for itself */
    assert_int_equal(atomic_load(&restart_rc), ZTS_ERR_SERVICE);
    assert_false(pthread_equal(callback_thread, pthread_self()));
}

/* ---- a callback that takes its time ---- */

static _Atomic int inside, overlaps, slept;
static _Atomic bool wake_up;

static void sleep_when_online(struct zts_callback_msg *m)
{
    if (atomic_fetch_add(&inside, 1) != 0)
        atomic_fetch_add(&overlaps, 1);
    int before = m->eventCode;
    uint64_t nwid = m->network != NULL ? m->network->nwid : 0;
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE) {
        atomic_store(&slept, 1);
        for (int i = 0; i < 12000 && !atomic_load(&wake_up); i++)
            zts_delay_ms(5);
    }
    /* What was given is still there, unchanged. */
    if (m->eventCode != before || (m->network != NULL && m->network->nwid != nwid))
        abort();
    atomic_fetch_sub(&inside, 1);
}

static void *echo_once(void *arg)
{
    int l = *(int *)arg, s = zts_accept(l, NULL, NULL);
    char buf[64];
    ssize_t n;
    while (s >= 0 && (n = zts_read(s, buf, sizeof buf)) > 0)
        (void)zts_write(s, buf, (size_t)n);
    zts_close(s);
    return NULL;
}

static void R64_R65_R67_a_callback_that_sleeps(void **state)
{
    struct zts_sockaddr_storage own;
    struct zts_sockaddr_in6 a = {.sin6_family = ZTS_AF_INET6};
    struct zts_node_details node;
    unsigned n = 1;
    pthread_t t;
    char buf[8];
    atomic_store(&wake_up, false);
    env_hook = sleep_when_online;
    env_clear_events();
    atomic_store(&slept, 0);
    assert_int_equal(env_start_node(home, 0), 0); /* joins again by networks.d */
    for (int i = 0; i < 12000 && !atomic_load(&slept); i++)
        zts_delay_ms(5);
    assert_int_equal(atomic_load(&slept), 1);
    int seen = env_events();
    int64_t from = env_ms();
    /* Sockets and calls go on. */
    assert_int_equal(zts_query_node(&node, NULL), 0);
    for (int i = 0; i < 6000 && zts_query_addresses(ENV_NWID, &own, &n) == 0 && n == 0; i++, n = 1)
        zts_delay_ms(5);
    assert_int_equal(n, 1);
    memcpy(&a, &own, sizeof a);
    a.sin6_port = 0;
    int l = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    int c = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    zts_socklen_t len = sizeof a;
    assert_int_equal(zts_bind(l, &a, sizeof a), 0);
    assert_int_equal(zts_listen(l, 1), 0);
    assert_int_equal(zts_getsockname(l, &a, &len), 0);
    pthread_create(&t, NULL, echo_once, &l);
    assert_int_equal(zts_connect(c, &a, sizeof a), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zts_write(c, "tick", 4), 4);
        assert_int_equal(zts_recv(c, buf, 4, ZTS_MSG_WAITALL), 4);
    }
    zts_close(c);
    pthread_join(t, NULL);
    zts_close(l);
    assert_int_equal(zts_join(0xff0002ffff000000), 0); /* events that wait */
    assert_true(env_ms() - from < 30000); /* half of what the callback sleeps if nobody wakes it */
    if (getenv("ZT_TEST_ALL") != NULL)
        zts_delay_ms(5000);
    assert_int_equal(env_events(), seen); /* and nothing was delivered meanwhile */
    atomic_store(&wake_up, true);
    int on = env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000);
    int req = env_wait_event_of(ZTS_EVENT_NETWORK_REQ_CONFIG, 0xff0002ffff000000, 0, 90000);
    int ready = env_wait_event_of(ZTS_EVENT_NETWORK_READY_IP6, 0xff0002ffff000000, 0, 90000);
    assert_true(on >= 0 && req > on && ready > req);
    assert_int_equal(atomic_load(&overlaps), 0);
    env_hook = NULL;
    assert_int_equal(zts_leave(0xff0002ffff000000), 0);
}

/* ---- across restart and free ---- */

static void R22_R45_R46_R47_one_callback_over_a_restart(void **state)
{
    struct zts_node_details before, after;
    struct zts_stats_proto s1, s2;
    uint64_t ids[4];
    unsigned n = 4;
    assert_int_equal(zts_query_node(&before, NULL), 0);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &s1), 0);
    assert_true(s1.xmit > 0);
    int from = env_events();
    assert_int_equal(zts_restart(), 0);
    int end = env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000);
    assert_true(end >= 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETIF_REMOVED, ENV_NWID, from, 0) < end);
    assert_true(env_wait_event(ZTS_EVENT_NODE_UP, end, 90000) > end);
    assert_true(env_wait_event_of(ZTS_EVENT_NETIF_UP, ENV_NWID, end, 90000) > end);
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, end, 90000) > end);
    assert_true(env_wait_event(ZTS_EVENT_STACK_UP, from, 0) < 0);
    assert_true(env_wait_event(ZTS_EVENT_STACK_DOWN, from, 0) < 0);
    assert_int_equal(zts_query_node(&after, NULL), 0);
    assert_int_equal(before.address, after.address);
    assert_int_equal(zts_query_networks(ids, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(zts_get_protocol_stats(ZTS_STATS_PROTOCOL_TCP, &s2), 0);
    assert_true(s2.xmit >= s1.xmit); /* counted on */
    from = env_events();
    assert_int_equal(zts_free(), 0);
    int down = env_wait_event(ZTS_EVENT_STACK_DOWN, from, 0);
    assert_int_equal(down, env_events() - 1);
    assert_int_equal(zts_restart(), ZTS_ERR_SERVICE);
}

static int setup(void)
{
    env_home(&e, "us", home);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R60_order_of_the_members),
        cmocka_unit_test(R63_R61_R119_calls_from_the_callback),
        cmocka_unit_test(R64_R65_R67_a_callback_that_sleeps),
        cmocka_unit_test(R22_R45_R46_R47_one_callback_over_a_restart),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("events", tests, env_setup, env_teardown);
}
