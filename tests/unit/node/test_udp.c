/* Two sets of UDP sockets on loopback, in one loop; every datagram carries its number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/loop.h"
#include "node/udp.h"
#include "node/udp_batch.h"

struct end {
    struct zt_udp *u;
    unsigned n, disorder, damaged;
    uint32_t next;
    uint64_t bytes;
    struct zt_link last;
    size_t last_size;
    bool close_on_receive;
    unsigned gone;
    int last_gone;
};

static struct zt_loop *loop;
static struct end a, b;

static int on_init(void *user, struct zt_loop *l)
{
    return 0;
}

static void on_due(void *user, const struct zt_now *now)
{
}

static int64_t on_flush(void *user, const struct zt_now *now)
{
    if (a.u != NULL)
        zt_udp_flush(a.u);
    if (b.u != NULL)
        zt_udp_flush(b.u);
    return ZT_NEVER;
}

static void on_fini(void *user)
{
    zt_udp_close(a.u);
    zt_udp_close(b.u);
    a.u = b.u = NULL;
}

static void on_receive(void *user, const struct zt_link *in, uint8_t *p, size_t n)
{
    struct end *e = user;
    e->n++;
    e->bytes += n;
    e->last = *in;
    e->last_size = n;
    if (n >= 8) {
        uint32_t number = zt_be32(p);
        e->disorder += number != e->next;
        e->next = number + 1;
        for (size_t i = 4; i < n; i++)
            e->damaged += p[i] != (uint8_t)(number * 31 + i);
        memset(p, 0xee, n); /* allowed */
    }
    if (e->close_on_receive) {
        zt_udp_close(e->u);
        e->u = NULL;
    }
}

static void on_gone(void *user, int sock)
{
    struct end *e = user;
    e->gone++;
    e->last_gone = sock;
}

static void run(void (*fn)(void *), void *arg)
{
    assert_int_equal(zt_loop_call(loop, fn, arg), 0);
}

static int open_end(struct end *e, uint16_t port, const struct zt_conf *conf, struct zt_udp **out)
{
    struct zt_udp_config cfg = {.loop = loop,
                                .underlay = ZT_UNDERLAY_LOOPBACK_ONLY,
                                .conf = conf,
                                .recv = on_receive,
                                .gone = on_gone,
                                .user = e};
    return zt_udp_open(&cfg, port, out);
}

static void do_open(void *arg)
{
    int *e = arg;
    e[0] = open_end(&a, 0, NULL, &a.u);
    e[1] = open_end(&b, 0, NULL, &b.u);
}

static int setup(void **state)
{
    struct zt_loop_hooks hooks = {NULL, on_init, on_due, on_flush, on_fini};
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    int e[2];
    if (zt_loop_start(&hooks, &loop) != 0)
        return -1;
    zt_loop_call(loop, do_open, e);
    return e[0] != 0 ? e[0] : e[1];
}

static int teardown(void **state)
{
    zt_loop_stop(loop);
    return 0;
}

static void nothing(void *arg)
{
}

static bool wait_for(const unsigned *counter, unsigned n)
{
    for (int i = 0; i < 30000; i++) {
        run(nothing, NULL); /* orders our reads after the loop's writes */
        if (*counter >= n)
            return true;
        struct timespec t = {0, 1000000};
        nanosleep(&t, NULL);
    }
    return false;
}

struct burst {
    unsigned count;
    size_t size, odd_size; /* every tenth: odd_size, unless 0 */
    uint8_t family;
    uint32_t first;
    unsigned ttl;
};

static struct zt_link to_b(uint8_t family)
{
    uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    return (struct zt_link){-1, zt_ep_make(family, family == 4 ? v4 : v6, zt_udp_port(b.u))};
}

static void send_burst(void *arg)
{
    const struct burst *s = arg;
    struct zt_link to = to_b(s->family);
    uint8_t p[10100];
    for (uint32_t i = 0; i < s->count; i++) {
        size_t n = s->odd_size != 0 && i % 10 == 9 ? s->odd_size : s->size;
        uint32_t number = s->first + i;
        zt_put32(p, number);
        for (size_t k = 4; k < n; k++)
            p[k] = (uint8_t)(number * 31 + k);
        size_t head = n > 40 ? 30 : n;
        zt_udp_send(a.u, &to, p, head, p + head, n - head, s->ttl);
    }
}

static bool has_family(uint8_t family)
{
    struct zt_ep list[16];
    size_t n = zt_udp_local(a.u, list, 16);
    for (size_t i = 0; i < n; i++)
        if (list[i].family == family)
            return true;
    return false;
}

static void test_ports_and_addresses(void **state)
{
    struct zt_ep list[16];
    size_t n = zt_udp_local(a.u, list, 16);
    assert_in_range(n, 1, 16);
    assert_in_range(zt_udp_port(a.u), 20000, 65499);
    assert_int_not_equal(zt_udp_port(a.u), zt_udp_port(b.u));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].port, zt_udp_port(a.u));
        assert_int_equal(zt_ep_scope(&list[i]), ZT_SCOPE_LOOPBACK);
    }
}

static void burst(uint8_t family)
{
    struct burst s = {.count = 200, .size = 1400, .family = family};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 200));
    assert_int_equal(b.n, 200);
    assert_int_equal(b.bytes, 200 * 1400);
    assert_int_equal(b.disorder, 0);
    assert_int_equal(b.damaged, 0);
    assert_int_equal(b.last.ep.port, zt_udp_port(a.u));
    assert_int_equal(b.last.ep.family, family);
    assert_true(b.last.sock >= 0);
}

static struct zt_udp_stats stats_of(const struct end *e)
{
    struct zt_udp_stats st;
    zt_udp_stats(e->u, &st);
    return st;
}

static void test_burst_with_offload(void **state)
{
    burst(4);
    struct zt_udp_stats tx = stats_of(&a), rx = stats_of(&b);
    assert_int_equal(tx.tx_datagrams, 200);
    assert_int_equal(tx.tx_dropped, 0);
    if (tx.tx_gso == 0) {
        print_message("no UDP_SEGMENT here\n");
        return;
    }
    assert_int_equal(tx.tx_gso, 5); /* 46 of 1400 bytes are 64,400 */
    assert_int_equal(tx.tx_calls, 1);
    assert_true(rx.rx_gro > 0);
    assert_true(rx.rx_calls < 50);
}

static void no_gso(void *arg)
{
    zt_udp_offload(a.u, false, false);
    zt_udp_offload(b.u, false, false);
}

static void test_burst_without_offload(void **state)
{
    run(no_gso, NULL);
    burst(4);
    assert_int_equal(stats_of(&a).tx_gso, 0);
    assert_int_equal(stats_of(&b).rx_gro, 0);
    assert_in_range(stats_of(&a).tx_calls, 4, 4); /* 64 messages each */
}

static void test_burst_ipv6(void **state)
{
    if (!has_family(6)) {
        print_message("SKIP: no IPv6 loopback here\n");
        skip();
    }
    burst(6);
}

/* Sizes change within the run: order stays, a shorter one ends a message. */
static void test_mixed_sizes(void **state)
{
    struct burst s = {.count = 300, .size = 1400, .odd_size = 100, .family = 4};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 300));
    assert_int_equal(b.disorder, 0);
    assert_int_equal(b.damaged, 0);
    s = (struct burst){.count = 300, .size = 500, .odd_size = 1400, .family = 4, .first = 300};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 600));
    assert_int_equal(b.disorder, 0);
    assert_int_equal(b.damaged, 0);
}

static void test_sizes(void **state)
{
    static const size_t size[] = {1, 4, 100, 1472, 10000};
    for (unsigned i = 0; i < 5; i++) {
        struct burst s = {.count = 3, .size = size[i], .family = 4, .first = i * 3};
        b.next = s.first;
        run(send_burst, &s);
        assert_true(wait_for(&b.n, (i + 1) * 3));
        assert_int_equal(b.last_size, size[i]);
    }
    assert_int_equal(b.damaged, 0);
}

static void test_more_than_the_batch_holds(void **state)
{
    struct burst s = {.count = 5000, .size = 100, .family = 4};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 4000)); /* the receiver's buffer may be small here */
    assert_int_equal(b.damaged, 0);
    assert_int_equal(stats_of(&a).tx_datagrams + stats_of(&a).tx_dropped, 5000);
}

static void send_outside(void *arg)
{
    uint8_t ip[4] = {192, 0, 2, 1}, p[20] = {0};
    struct zt_link to = {-1, zt_ep_make(4, ip, 9)};
    zt_udp_send(a.u, &to, p, 20, NULL, 0, 0);
    to.sock = 0;
    zt_udp_send(a.u, &to, p, 20, NULL, 0, 0);
    to = to_b(4);
    to.sock = 63; /* no such socket */
    zt_udp_send(a.u, &to, p, 20, NULL, 0, 0);
}

static void test_loopback_only_stays_inside(void **state)
{
    run(send_outside, NULL);
    run(nothing, NULL);
    assert_int_equal(stats_of(&a).tx_dropped, 3);
    assert_int_equal(stats_of(&a).tx_calls, 0);
}

static void test_ttl(void **state)
{
    struct burst s = {.count = 2, .size = 100, .family = 4, .ttl = 1};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 2));
    assert_int_equal(stats_of(&a).tx_dropped, 0);
}

static void open_taken(void *arg)
{
    struct zt_udp *other = NULL;
    *(int *)arg = open_end(&a, zt_udp_port(a.u), NULL, &other);
}

static void test_port_taken(void **state)
{
    int e = 0;
    run(open_taken, &e);
    assert_int_equal(e, ZT_E_PORT);
}

static void reopen(void *arg)
{
    int *e = arg;
    uint16_t port = zt_udp_port(a.u);
    zt_udp_close(a.u);
    a.u = NULL;
    *e = open_end(&a, port, NULL, &a.u);
}

static void test_close_frees_the_port_at_once(void **state)
{
    int e = -1;
    run(reopen, &e);
    assert_int_equal(e, 0);
    burst(4);
}

/* Nobody listens there: the refusal that comes back disturbs nothing. */
static void send_to_nobody(void *arg)
{
    struct zt_link to = to_b(4);
    uint8_t p[100] = {0};
    to.ep.port = *(uint16_t *)arg;
    for (int i = 0; i < 10; i++)
        zt_udp_send(a.u, &to, p, 100, NULL, 0, 0);
}

static void test_refused(void **state)
{
    uint16_t nobody = 1;
    run(send_to_nobody, &nobody);
    run(send_to_nobody, &nobody);
    burst(4);
}

static void test_close_inside_receive(void **state)
{
    b.close_on_receive = true;
    struct burst s = {.count = 50, .size = 1400, .family = 4};
    run(send_burst, &s);
    assert_true(wait_for(&b.n, 1));
    run(nothing, NULL);
    assert_int_equal(b.n, 1);
}

static void do_rescan(void *arg)
{
    *(bool *)arg = zt_udp_rescan(a.u);
}

static void test_rescan_without_change(void **state)
{
    bool changed = true;
    run(do_rescan, &changed);
    assert_false(changed);
    burst(4);
}

/* --- ports and rules --- */

static size_t local_of(struct zt_udp *u, uint16_t port)
{
    struct zt_ep list[96];
    size_t n = zt_udp_local(u, list, 96), k = 0;
    for (size_t i = 0; i < n; i++)
        k += list[i].port == port;
    return k;
}

static void do_slots(void *arg)
{
    unsigned *same = arg;
    uint16_t primary = zt_udp_port(a.u);
    size_t each = local_of(a.u, primary);
    *same = 0;
    *same += zt_udp_slot(a.u, ZT_UDP_SECONDARY) == 0;
    *same += zt_udp_set_random(a.u, ZT_UDP_SECONDARY) == 0;
    uint16_t second = zt_udp_slot(a.u, ZT_UDP_SECONDARY);
    *same += second != primary && second >= 20000 && second <= 65499;
    *same += local_of(a.u, second) == each;
    *same += zt_udp_set_slot(a.u, ZT_UDP_TERTIARY, second) == ZT_E_PORT; /* ours already */
    *same += zt_udp_set_slot(a.u, ZT_UDP_TERTIARY, zt_udp_port(b.u)) == ZT_E_PORT;
    *same += zt_udp_slot(a.u, ZT_UDP_TERTIARY) == 0;
    *same += zt_udp_set_slot(a.u, ZT_UDP_SECONDARY, second) == 0 && a.gone == 0;
    *same += zt_udp_set_random(a.u, ZT_UDP_SECONDARY) == 0 && a.gone == each;
    *same += local_of(a.u, second) == 0;
    zt_udp_clear_slot(a.u, ZT_UDP_SECONDARY);
    *same += a.gone == 2 * each && zt_udp_slot(a.u, ZT_UDP_SECONDARY) == 0;
    *same += local_of(a.u, primary) == each && zt_udp_of(a.u, a.last_gone).family == 0;
}

static void test_further_ports_come_and_go(void **state)
{
    unsigned same;
    run(do_slots, &same);
    assert_int_equal(same, 12);
    burst(4);
}

static void send_everywhere(void *arg)
{
    struct zt_link to = to_b(4);
    uint8_t p[4] = {0};
    (void)zt_udp_set_random(a.u, ZT_UDP_SECONDARY);
    zt_udp_send(a.u, &to, p, sizeof p, NULL, 0, 0);
}

static void test_any_socket_means_every_port(void **state)
{
    run(send_everywhere, NULL);
    assert_true(wait_for(&b.n, 2));
    run(nothing, NULL);
    assert_int_equal(b.n % 2, 0); /* once per port and IPv4 address */
}

static struct zt_conf rules;

static void do_rules(void *arg)
{
    size_t *n = arg;
    const uint8_t lo[4] = {127, 0, 0, 1}, other[4] = {127, 9, 9, 9}, out[4] = {192, 0, 2, 1};
    struct zt_udp *u = NULL;
    zt_conf_default(&rules);
    rules.bind[0] = zt_ep_make(4, other, 0); /* loopback has all of 127/8 */
    rules.bind[1] = zt_ep_make(4, out, 0);   /* outside: not for this underlay */
    rules.nbind = 2;
    if (open_end(&a, 0, &rules, &u) == 0) {
        struct zt_ep list[4];
        n[0] = zt_udp_local(u, list, 4);
        n[1] = n[0] == 1 && memcmp(list[0].ip, other, 4) == 0;
        rules.bind[0] = zt_ep_make(4, lo, 0);
        n[2] = zt_udp_rescan(u) && zt_udp_local(u, list, 4) == 1 && memcmp(list[0].ip, lo, 4) == 0;
        rules.nbind = 0;
        snprintf(rules.skip[0], sizeof rules.skip[0], "l");
        rules.nskip = 1;
        n[3] = zt_udp_rescan(u) && zt_udp_local(u, list, 4) == 0;
        rules.nskip = 0;
        rules.core.nphysical = 1;
        rules.core.physical[0].net = zt_ep_make(4, lo, 8);
        rules.core.physical[0].blacklist = true;
        (void)zt_udp_rescan(u);
        n[4] = local_of(u, zt_udp_port(u));
        for (size_t i = 0, k = zt_udp_local(u, list, 4); i < k; i++)
            n[4] -= list[i].family == 6; /* where there is ::1 */
        zt_udp_close(u);
    }
}

static void test_rules_choose_the_addresses(void **state)
{
    size_t n[5] = {9, 9, 9, 9, 9};
    run(do_rules, n);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 1);
    assert_int_equal(n[2], 1);
    assert_int_equal(n[3], 1);
    assert_int_equal(n[4], 0);
}

/* --- the batch alone --- */

static unsigned messages(const struct zt_batch *bt, unsigned max_segment, unsigned *datagrams)
{
    unsigned n = 0;
    *datagrams = 0;
    for (unsigned r = 0; r < bt->nruns; r++) {
        for (int i = bt->runs[r]; i >= 0; n++) {
            struct zt_batch_msg m;
            struct iovec iov[ZT_GSO_SEGMENTS];
            i = zt_batch_msg(bt, i, max_segment, &m);
            size_t bytes = 0;
            unsigned k = zt_batch_iov(bt, &m, iov);
            while (k-- > 0)
                bytes += iov[k].iov_len;
            assert_int_equal(bytes, m.bytes);
            assert_true(m.bytes <= ZT_GSO_BYTES && m.count <= ZT_GSO_SEGMENTS);
            *datagrams += m.count;
        }
    }
    return n;
}

static void test_batch_groups_by_endpoint(void **state)
{
    struct zt_batch *bt = zt_batch_new();
    unsigned datagrams;
    uint8_t ip[4] = {10, 0, 0, 1};
    for (unsigned i = 0; i < 120; i++) { /* three flows, interleaved */
        struct zt_ep ep = zt_ep_make(4, ip, (uint16_t)(i % 3 + 1));
        assert_non_null(zt_batch_add(bt, 0, &ep, 0, 1000));
    }
    assert_int_equal(messages(bt, 65535, &datagrams), 3);
    assert_int_equal(datagrams, 120);
    assert_int_equal(messages(bt, 999, &datagrams), 120);
    zt_batch_clear(bt);
    struct zt_ep ep = zt_ep_make(4, ip, 1);
    for (unsigned i = 0; i < 130; i++)
        assert_non_null(zt_batch_add(bt, 0, &ep, i == 129 ? 5 : 0, 10));
    assert_int_equal(messages(bt, 65535, &datagrams), 4); /* 64, 64, 1, and the other TTL */
    zt_batch_clear(bt);
    unsigned n = 0;
    while (zt_batch_add(bt, 1, &ep, 0, 10000) != NULL)
        n++;
    assert_int_equal(n, ZT_BATCH_BYTES / 10000);
    zt_batch_free(bt);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ports_and_addresses),
        T(test_burst_with_offload),
        T(test_burst_without_offload),
        T(test_burst_ipv6),
        T(test_mixed_sizes),
        T(test_sizes),
        T(test_more_than_the_batch_holds),
        T(test_loopback_only_stays_inside),
        T(test_ttl),
        T(test_port_taken),
        T(test_close_frees_the_port_at_once),
        T(test_refused),
        T(test_close_inside_receive),
        T(test_rescan_without_change),
        T(test_further_ports_come_and_go),
        T(test_any_socket_means_every_port),
        T(test_rules_choose_the_addresses),
        cmocka_unit_test(test_batch_groups_by_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
