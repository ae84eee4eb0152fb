/* Frames over ad-hoc networks, NDP emulation, and what is refused. */

#include "fake_vl1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "vl2/config.h"
#include "vl2/frame.h"

#define NET_A 0xff00160050000000u /* IPv6, ports 22 to 80 */
#define NET_B 0xff0a000000000001u /* 10.0.0.0/8 */
#define A 0x1122334455u
#define B 0x89e92ceee5u

static int setup(void **state)
{
    fake_begin();
    return 0;
}

static int teardown(void **state)
{
    fake_end();
    return 0;
}

static void join(struct zt_vl1 *n, uint64_t nwid)
{
    assert_int_equal(zt_vl2_join(n->vl2, &fake_now, nwid, NULL, 0), 0);
}

/* IPv6 packet of this protocol with two ports and, for TCP, flags. */
static size_t ipv6(uint8_t *p, uint8_t proto, uint16_t sport, uint16_t dport, uint8_t tcp_flags)
{
    memset(p, 0, 60);
    p[0] = 0x60;
    p[6] = proto;
    zt_put16(p + 40, sport);
    zt_put16(p + 42, dport);
    p[53] = tcp_flags;
    return 60;
}

static void derivations(void **state)
{
    struct zt_netconf cfg;
    uint8_t rules[ZT_ADHOC_RULES];
    static const char want[] =
        "a50286dd000024013a0100240111640106280400160050010"
        "0a90800000000000000020100290800000000000000022908000000000000001001000000";
    char hex[2 * ZT_ADHOC_RULES + 1];

    assert_int_equal(zt_adhoc_config(NET_A, A, 5, rules, &cfg), 0);
    assert_string_equal(cfg.name, "adhoc-0016-0050");
    assert_int_equal(cfg.nrules, 14);
    assert_int_equal(cfg.rules.n, 61);
    assert_string_equal(zt_hex_encode(cfg.rules.p, cfg.rules.n, hex), want);
    assert_int_equal(cfg.naddrs, 1);
    assert_int_equal(cfg.addrs[0].port, 40);
    assert_int_equal(cfg.multicast_limit, 0);

    assert_int_equal(zt_adhoc_config(NET_B, A, 5, rules, &cfg), 0);
    assert_string_equal(cfg.name, "adhoc-10.0.0.0");
    assert_int_equal(cfg.naddrs, 2);
    assert_int_equal(cfg.addrs[1].family, 4);
    assert_int_equal(cfg.addrs[1].port, 8);
    assert_memory_equal(cfg.addrs[1].ip, "\x0a\x33\x44\x55", 4);
    assert_int_equal(cfg.multicast_limit, 1024);

    assert_int_equal(zt_adhoc_config(0xff00500016000000u, A, 5, rules, &cfg), ZT_E_NOENT);
    assert_int_equal(zt_adhoc_config(0xff0a000000000002u, A, 5, rules, &cfg), ZT_E_INVAL);
    assert_int_equal(zt_adhoc_config(0x8056c2e21c000001u, A, 5, rules, &cfg), ZT_E_INVAL);
}

static void join_states(void **state)
{
    struct zt_vl1 *n = fake_node(A);
    struct zt_net_info info;
    uint64_t list[4];

    assert_int_equal(zt_vl2_join(n->vl2, &fake_now, 0, NULL, 0), ZT_E_INVAL);
    join(n, NET_A);
    join(n, NET_A);
    assert_int_equal(zt_vl2_networks(n->vl2, list, 4), 1);
    assert_int_equal(zt_vl2_network(n->vl2, NET_A, &info), 0);
    assert_int_equal(info.status, ZT_NET_OK);
    assert_true(info.is_public);
    assert_int_equal(info.mtu, 2800);
    assert_int_equal(info.revision, 1);
    assert_int_equal(n->nsaved, 1); /* the placeholder that means: join again */

    join(n, 0xff00500016000000u); /* ports end before they start */
    assert_int_equal(zt_vl2_network(n->vl2, 0xff00500016000000u, &info), 0);
    assert_int_equal(info.status, ZT_NET_NOT_FOUND);
    join(n, 0xff0a000000000002u); /* unknown form: never configured, and nobody is asked */
    assert_int_equal(zt_vl2_network(n->vl2, 0xff0a000000000002u, &info), 0);
    assert_int_equal(info.status, ZT_NET_REQUESTING_CONFIGURATION);
    fake_run(20000);
    assert_int_equal(fake_count(n, ZT_VERB_NETWORK_CONFIG_REQUEST), 0);

    assert_int_equal(zt_vl2_leave(n->vl2, &fake_now, NET_A), 0);
    assert_int_equal(n->nsaved, 0);
    assert_int_equal(zt_vl2_leave(n->vl2, &fake_now, NET_A), ZT_E_NOENT);
    assert_int_equal(zt_vl2_network(n->vl2, NET_A, &info), ZT_E_NOENT);
}

static void unicast_both_ways(void **state)
{
    struct zt_vl1 *a = fake_node(A), *b = fake_node(B);
    uint64_t mac_a = zt_mac_of(A, NET_A), mac_b = zt_mac_of(B, NET_A);
    uint8_t p[60], header[14];
    size_t n = ipv6(p, 17, 5000, 5001, 0);

    join(a, NET_A);
    join(b, NET_A);
    assert_int_equal(fake_frame_out(a, NET_A, mac_b, mac_a, 0x86dd, p, n), 0);
    struct fake_packet *k = fake_find(a, ZT_VERB_FRAME);
    assert_int_equal(k->dest, B);
    assert_int_equal(k->n, 10 + n);
    assert_true(zt_be64(k->p) == NET_A);
    assert_int_equal(zt_be16(k->p + 8), 0x86dd);
    assert_memory_equal(k->p + 10, p, n);
    fake_pump();
    assert_int_equal(b->nframes, 1);
    assert_true(b->frames[0].nwid == NET_A);
    assert_int_equal(b->frames[0].n, 14 + n);
    zt_put48(header, mac_b);
    zt_put48(header + 6, mac_a);
    zt_put16(header + 12, 0x86dd);
    assert_memory_equal(b->frames[0].eth, header, 14);
    assert_memory_equal(b->frames[0].eth + 14, p, n);
}

static void rules_at_both_ends(void **state)
{
    struct zt_vl1 *a = fake_node(A), *b = fake_node(B);
    uint64_t mac_a = zt_mac_of(A, NET_A), mac_b = zt_mac_of(B, NET_A);
    uint8_t p[70] = {0};

    join(a, NET_A);
    join(b, NET_A);
    /* SYN to a port outside: no. Inside: yes. */
    size_t n = ipv6(p, 6, 5000, 443, 0x02);
    assert_int_equal(fake_frame_out(a, NET_A, mac_b, mac_a, 0x86dd, p, n), ZT_E_PERM);
    assert_int_equal(a->drops.n[ZT_DROP_RULES_OUT], 1);
    assert_int_equal(fake_npackets, 0);
    n = ipv6(p, 6, 5000, 22, 0x02);
    assert_int_equal(fake_frame_out(a, NET_A, mac_b, mac_a, 0x86dd, p, n), 0);
    /* IPv4 never. */
    assert_int_equal(fake_frame_out(a, NET_A, mac_b, mac_a, 0x0800, p, n), ZT_E_PERM);
    /* A sender without our rules is stopped here. */
    uint8_t body[70];
    zt_put64(body, NET_A);
    zt_put16(body + 8, 0x86dd);
    n = ipv6(body + 10, 6, 5000, 443, 0x02);
    assert_int_equal(fake_inject(b, A, ZT_VERB_FRAME, body, 10 + n), ZT_VERDICT_TRUSTED);
    assert_int_equal(b->drops.n[ZT_DROP_RULES_IN], 1);
    assert_int_equal(b->nframes, 0);
}

static void refusals(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint64_t mac_a = zt_mac_of(A, NET_B), mac_b = zt_mac_of(B, NET_B);
    uint8_t p[40] = {0};

    assert_int_equal(fake_frame_out(a, NET_B, mac_b, mac_a, 0x0800, p, 40), ZT_E_NOENT);
    join(a, 0x8056c2e21c000001u);
    fake_clear();
    assert_int_equal(fake_frame_out(a, 0x8056c2e21c000001u, mac_b, mac_a, 0x0800, p, 40),
                     ZT_E_STATE);
    assert_int_equal(a->drops.n[ZT_DROP_NO_CONFIG], 1);
    join(a, NET_B);
    assert_int_equal(fake_frame_out(a, NET_B, mac_b, mac_a ^ 1, 0x0800, p, 40), ZT_E_PERM);
    assert_int_equal(a->drops.n[ZT_DROP_BRIDGE], 1);
    /* No bridge, so nothing is behind one. */
    assert_int_equal(fake_frame_out(a, NET_B, 0x001122334455u, mac_a, 0x0800, p, 40), ZT_E_PERM);
    assert_int_equal(a->drops.n[ZT_DROP_DESTINATION], 1);
    /* A MAC that means the nil address. */
    assert_int_equal(fake_frame_out(a, NET_B, zt_mac_of(0, NET_B), mac_a, 0x0800, p, 40),
                     ZT_E_PERM);
    /* Broadcast is off in ad-hoc networks, but for ARP. */
    assert_int_equal(fake_frame_out(a, NET_B, ZT_MAC_BROADCAST, mac_a, 0x0800, p, 40), ZT_E_PERM);
    assert_int_equal(a->drops.n[ZT_DROP_MULTICAST_OFF], 1);
    assert_int_equal(fake_npackets, 0);
}

static void to_ourselves_later(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint64_t mac = zt_mac_of(A, NET_B);
    uint8_t p[20] = {7};

    join(a, NET_B);
    fake_run(1);
    assert_int_equal(fake_frame_out(a, NET_B, mac, mac, 0x0800, p, 20), 0);
    assert_int_equal(a->nframes, 0);
    assert_true(zt_vl2_deadline(a->vl2) <= fake_now.mono_ms);
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(a->nframes, 1);
    assert_memory_equal(a->frames[0].eth + 14, p, 20);
    /* The queue has a bound. */
    for (unsigned i = 0; i < 100; i++)
        fake_frame_out(a, NET_B, mac, mac, 0x0800, p, 20);
    assert_int_equal(a->drops.n[ZT_DROP_QUEUE_FULL], 100 - 64);
    /* Left meanwhile: nobody to deliver to. */
    zt_vl2_leave(a->vl2, &fake_now, NET_B);
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(a->nframes, 1);
}

static void solicitation(uint8_t *p, const struct zt_ep *from, const struct zt_ep *target)
{
    memset(p, 0, 72);
    p[0] = 0x60;
    p[5] = 32;
    p[6] = 58;
    p[7] = 255;
    memcpy(p + 8, from->ip, 16);
    memcpy(p + 24, "\xff\x02\0\0\0\0\0\0\0\0\0\1\xff\0\0\1", 16);
    p[40] = 0x87;
    memcpy(p + 48, target->ip, 16);
}

static void ndp_vector(void **state)
{
    static const char want[] =
        "6000000000203afffc9c56c2e389e92ceee5000000000001fc9c56c2e31122334455000000000001"
        "880062ce60000000fc9c56c2e389e92ceee500000000000102010289e9300c27";
    const uint64_t nwid = 0x8056c2e21c000001u;
    struct zt_netconf cfg = {.nwid = nwid,
                             .issued_to = A,
                             .flags = ZT_NET_NDP_EMULATION,
                             .naddrs = 1,
                             .addrs = {zt_ep_6plane(nwid, A)}};
    struct zt_ep target = zt_ep_6plane(nwid, B);
    uint8_t p[72], out[ZT_NDP_ADVERTISEMENT];
    char hex[2 * sizeof out + 1];

    solicitation(p, &cfg.addrs[0], &target);
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == B);
    assert_string_equal(zt_hex_encode(out, sizeof out, hex), want);
    /* Any address in the node's /80. */
    p[60] = 0x77;
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == B);

    cfg.addrs[0] = zt_ep_rfc4193(nwid, A);
    target = zt_ep_rfc4193(nwid, B);
    solicitation(p, &cfg.addrs[0], &target);
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == B);
    assert_true(zt_ndp_answer(&cfg, p, 63, out) == 0);
    p[40] = 0x88;
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == 0);
    /* Our own, the nil node, another network, emulation off: no answer. */
    solicitation(p, &cfg.addrs[0], &cfg.addrs[0]);
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == 0);
    memset(p + 59, 0, 5);
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == 0);
    target = zt_ep_rfc4193(nwid + 1, B);
    solicitation(p, &cfg.addrs[0], &target);
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == 0);
    target = zt_ep_rfc4193(nwid, B);
    solicitation(p, &cfg.addrs[0], &target);
    cfg.flags = 0;
    assert_true(zt_ndp_answer(&cfg, p, sizeof p, out) == 0);
}

static void ndp_is_answered_at_the_next_tick(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint64_t mac = zt_mac_of(A, NET_A);
    struct zt_ep me = zt_ep_6plane(NET_A, A), target = zt_ep_6plane(NET_A, B);
    uint8_t p[72];

    join(a, NET_A);
    fake_run(1);
    solicitation(p, &me, &target);
    assert_int_equal(fake_frame_out(a, NET_A, 0x3333ff000001u, mac, 0x86dd, p, sizeof p), 0);
    assert_int_equal(a->nframes, 0); /* and not inside the call: the fake checks that */
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(a->nframes, 1);
    assert_int_equal(a->frames[0].n, 14 + ZT_NDP_ADVERTISEMENT);
    assert_true(zt_be48(a->frames[0].eth) == mac);
    assert_true(zt_be48(a->frames[0].eth + 6) == zt_mac_of(B, NET_A));
    assert_int_equal(fake_npackets, 0);
}

/* What other implementations may send: an EXT_FRAME for plain unicast, with and without a COM. */
static size_t ext_frame(uint8_t *out, uint64_t nwid, uint8_t flags, uint64_t dest, uint64_t source)
{
    struct zt_wr w = zt_wr(out, 200);
    uint8_t p[20] = {1, 2, 3};
    zt_wr_ext_frame(&w, nwid, flags, dest, source, 0x0800, p, sizeof p);
    return w.n;
}

static void ext_frames(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint64_t mac_a = zt_mac_of(A, NET_B), mac_b = zt_mac_of(B, NET_B);
    uint8_t p[200];
    size_t n;

    join(a, NET_B);
    n = ext_frame(p, NET_B, 0x10, mac_a, mac_b);
    assert_int_equal(fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n), ZT_VERDICT_TRUSTED);
    assert_int_equal(a->nframes, 1);
    assert_memory_equal(a->frames[0].eth, p + 9, n - 9);
    struct fake_packet *k = fake_find(a, ZT_VERB_OK);
    assert_int_equal(k->n, 8);
    assert_true(zt_be64(k->p) == NET_B);
    fake_clear();

    /* A source that is not the sender's, from a node that is no bridge: not even acknowledged. */
    n = ext_frame(p, NET_B, 0x10, mac_a, 0x001122334455u);
    assert_int_equal(fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n), ZT_VERDICT_TRUSTED);
    assert_int_equal(a->drops.n[ZT_DROP_BRIDGE], 1);
    /* Ours, or none, as the source. */
    n = ext_frame(p, NET_B, 0x10, mac_a, mac_a);
    fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n);
    n = ext_frame(p, NET_B, 0x10, mac_a, 0);
    fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n);
    assert_int_equal(a->drops.n[ZT_DROP_FRAME_MAC], 2);
    /* For somebody behind a bridge that we are not. */
    n = ext_frame(p, NET_B, 0, 0x001122334455u, mac_b);
    fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n);
    assert_int_equal(a->drops.n[ZT_DROP_BRIDGE], 2);
    assert_int_equal(a->nframes, 1);
    assert_int_equal(fake_npackets, 0);
    /* Multicast in an EXT_FRAME is fine on this network. */
    n = ext_frame(p, NET_B, 0, 0x01005e000001u, mac_b);
    fake_inject(a, B, ZT_VERB_EXT_FRAME, p, n);
    assert_int_equal(a->nframes, 2);
}

/* Every verb at every length, valid or not: nothing is read past the end (sanitizers), nothing is
 * delivered that is not complete, and each refusal is counted. */
static void every_shorter_length(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint64_t mac_a = zt_mac_of(A, NET_B), mac_b = zt_mac_of(B, NET_B);
    uint8_t p[200];

    join(a, NET_B);
    fake_run(1);
    size_t n = ext_frame(p, NET_B, 0, mac_a, mac_b);
    for (size_t i = 0; i < 23; i++) {
        fake_inject(a, B, ZT_VERB_EXT_FRAME, p, i);
        assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], i + 1);
    }
    assert_int_equal(a->nframes, 0);
    p[8] = 0x01; /* says that a COM follows */
    for (size_t i = 0; i <= n; i++)
        fake_inject(a, B, ZT_VERB_EXT_FRAME, p, i);
    assert_int_equal(a->nframes, 0);

    uint64_t malformed = a->drops.n[ZT_DROP_MALFORMED];
    zt_put16(p + 8, 0x0800);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(fake_inject(a, B, ZT_VERB_FRAME, p, i), ZT_VERDICT_IGNORED);
    assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], malformed + 10);
    assert_int_equal(fake_inject(a, B, ZT_VERB_FRAME, p, 10), ZT_VERDICT_TRUSTED);
    assert_int_equal(a->nframes, 0);
    assert_int_equal(fake_inject(a, B, ZT_VERB_FRAME, p, 11), ZT_VERDICT_TRUSTED);
    assert_int_equal(a->nframes, 1);

    for (uint8_t verb = 0; verb < 32; verb++) {
        for (size_t i = 0; i <= sizeof p; i++) {
            fake_inject(a, B, verb, p, i);
            fake_inject_ok(a, B, verb, p, i);
            fake_inject_error(a, B, verb, (uint8_t)(i % 10), p, i);
        }
    }
    fake_clear();
}

static void not_joined(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    uint8_t p[40] = {0};

    zt_put64(p, NET_B);
    assert_int_equal(fake_inject(a, B, ZT_VERB_FRAME, p, 40), ZT_VERDICT_IGNORED);
    assert_int_equal(a->drops.n[ZT_DROP_NOT_JOINED], 1);
    assert_int_equal(fake_inject(a, B, ZT_VERB_NETWORK_CONFIG_REQUEST, p, 40), ZT_VERDICT_OK);
    struct fake_packet *k = fake_find(a, ZT_VERB_ERROR);
    assert_int_equal(k->code, ZT_ERROR_UNSUPPORTED_OPERATION);
    assert_memory_equal(k->p, p, 8);
    assert_int_equal(k->n, 8);
}

static void virtual_endpoints(void **state)
{
    struct zt_vl1 *a = fake_node(A);
    struct zt_ep inside, outside;

    zt_ep_parse("10.9.9.9/9993", &inside);
    zt_ep_parse("11.9.9.9/9993", &outside);
    assert_false(a->upper.is_virtual(a->upper.user, &inside));
    join(a, NET_B);
    assert_true(a->upper.is_virtual(a->upper.user, &inside));
    assert_false(a->upper.is_virtual(a->upper.user, &outside));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(derivations),       T(join_states),
        T(unicast_both_ways), T(rules_at_both_ends),
        T(refusals),          T(to_ourselves_later),
        T(ndp_vector),        T(ndp_is_answered_at_the_next_tick),
        T(ext_frames),        T(every_shorter_length),
        T(not_joined),        T(virtual_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
