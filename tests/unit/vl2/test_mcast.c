/* Groups: announcing, gathering, sending, bounds and expiry. */

#include "fake_vl1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/settings.h"
#include "vl2/network.h"

#define NET 0xff0a000000000001u /* 10.0.0.0/8, multicast limit 1024 */
#define A 0x1122334455u
#define B 0x89e92ceee5u
#define ROOT 0x360273b27fu

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

static struct zt_vl1 *root(void)
{
    struct zt_vl1 *r = fake_node(ROOT);
    r->is_root = true;
    return r;
}

static struct zt_vl1 *leaf(uint64_t addr, bool alive)
{
    struct zt_vl1 *n = fake_node(addr);
    n->roots[0] = ROOT;
    n->nroots = 1;
    n->root_alive = alive;
    return n;
}

static uint32_t ipv4_of(uint64_t addr)
{
    return 10u << 24 | (uint32_t)(addr & 0xffffff);
}

/* Join and listen to the node's own ARP group. */
static void join(struct zt_vl1 *n)
{
    assert_int_equal(zt_vl2_join(n->vl2, &fake_now, NET, NULL, 0), 0);
    assert_int_equal(zt_vl2_subscribe(n->vl2, &fake_now, NET, ZT_MAC_BROADCAST, ipv4_of(n->addr)),
                     0);
}

static int arp_request(struct zt_vl1 *from, uint64_t target)
{
    uint8_t p[28] = {0, 1, 8, 0, 6, 4, 0, 1};
    zt_put48(p + 8, zt_mac_of(from->addr, NET));
    zt_put32(p + 14, ipv4_of(from->addr));
    zt_put32(p + 24, ipv4_of(target));
    return fake_frame_out(from, NET, ZT_MAC_BROADCAST, zt_mac_of(from->addr, NET), 0x0806, p,
                          sizeof p);
}

static void likes(struct zt_vl1 *to, uint64_t from, uint64_t nwid, uint64_t mac, uint32_t adi)
{
    uint8_t p[18];
    zt_put64(p, nwid);
    zt_put48(p + 8, mac);
    zt_put32(p + 14, adi);
    fake_inject(to, from, ZT_VERB_MULTICAST_LIKE, p, sizeof p);
}

static void announced_to_the_root(void **state)
{
    struct zt_vl1 *r = root(), *a = leaf(A, true);
    struct zt_group_id id = {NET, ZT_MAC_BROADCAST, ipv4_of(A)};

    join(a);
    zt_vl2_tick(a->vl2, &fake_now);
    struct fake_packet *k = fake_find(a, ZT_VERB_MULTICAST_LIKE);
    assert_int_equal(k->n, 18);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_LIKE), 1); /* joined and subscribed: once */
    assert_true(k->dest == ROOT);
    fake_pump();
    assert_int_equal(zt_mcast_count(&r->vl2->mcast, id), 1);
    /* A new group is announced at once and alone. */
    zt_vl2_subscribe(a->vl2, &fake_now, NET, 0x333300000001u, 0);
    zt_vl2_tick(a->vl2, &fake_now);
    k = fake_find(a, ZT_VERB_MULTICAST_LIKE);
    assert_int_equal(k->n, 18);
    assert_true(zt_be48(k->p + 8) == 0x333300000001u);
    fake_pump();
    /* And all of them every 60 s; nothing in between. */
    fake_run(59000);
    fake_now.mono_ms += 1100;
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_find(a, ZT_VERB_MULTICAST_LIKE)->n, 36);
    fake_clear();
    zt_vl2_unsubscribe(a->vl2, NET, 0x333300000001u, 0);
    assert_int_equal(zt_vl2_unsubscribe(a->vl2, NET, 0x333300000001u, 0), ZT_E_NOENT);
    fake_run(700000);
    assert_int_equal(zt_mcast_count(&r->vl2->mcast, id), 1);
    id.mac = 0x333300000001u;
    id.adi = 0;
    assert_int_equal(zt_mcast_count(&r->vl2->mcast, id), 0); /* not renewed: expired */
}

static void announced_when_the_root_comes_up(void **state)
{
    struct zt_vl1 *r = root(), *a = leaf(A, false);
    struct zt_group_id id = {NET, ZT_MAC_BROADCAST, ipv4_of(A)};

    join(a);
    zt_vl2_tick(a->vl2, &fake_now);
    fake_clear(); /* lost: there was no path */
    fake_run(700);
    fake_clear();
    assert_int_equal(zt_mcast_count(&r->vl2->mcast, id), 0);
    a->root_alive = true;
    a->upper.upstream_up(a->upper.user, &fake_now, ROOT);
    fake_run(0);
    assert_int_equal(zt_mcast_count(&r->vl2->mcast, id), 1);
}

static void arp_reaches_the_owner_at_once(void **state)
{
    struct zt_vl1 *a, *b;
    root();
    a = leaf(A, true);
    b = leaf(B, true);
    join(a);
    join(b);
    fake_run(1);
    assert_int_equal(arp_request(a, B), 0);
    fake_pump();
    /* gather, its answer, the frame that waited */
    assert_int_equal(b->nframes, 1);
    assert_int_equal(b->frames[0].n, 14 + 28);
    assert_true(zt_be48(b->frames[0].eth) == ZT_MAC_BROADCAST);
    assert_true(zt_be48(b->frames[0].eth + 6) == zt_mac_of(A, NET));
    /* The second one needs no gather. */
    assert_int_equal(arp_request(a, B), 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_GATHER), 0);
    fake_pump();
    assert_int_equal(b->nframes, 2);
    assert_int_equal(a->nframes, 0);
}

static void gather_is_repeated_while_a_frame_waits(void **state)
{
    struct zt_vl1 *a, *b;
    int64_t start;

    root();
    a = leaf(A, true);
    b = leaf(B, true);
    join(a);
    fake_run(1);
    start = fake_now.mono_ms;
    assert_int_equal(arp_request(a, B), 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_GATHER), 1);
    fake_clear(); /* lost */
    assert_true(zt_vl2_deadline(a->vl2) == start + 200);
    fake_run(200);
    fake_run(100);
    join(b); /* the owner appears late */
    fake_run(300);
    assert_int_equal(b->nframes, 1);
    assert_true(fake_now.mono_ms - start <= 700);
}

/* With members known the list is renewed when a frame is sent, each 60 s (180 s) at most. */
static void gather_is_limited(void **state)
{
    static const int64_t pause[] = {60000, 180000};
    struct zt_vl1 *a = leaf(A, true);
    uint8_t p[40] = {0};

    join(a);
    fake_run(1);
    for (unsigned low = 0; low < 2; low++) {
        zt_vl2_configure(a->vl2, &fake_now, &(struct zt_settings){.low_bandwidth = low});
        fake_now.mono_ms += 300000;
        likes(a, B, NET, 0x333300000001u, 0);
        for (unsigned i = 0; i < 3; i++) {
            fake_clear();
            fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40);
            assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_GATHER), i != 1);
            fake_now.mono_ms += i == 0 ? pause[low] - 1 : 1;
        }
    }
}

static void waiting_ends(void **state)
{
    struct zt_vl1 *a;
    struct zt_group_id id = {NET, ZT_MAC_BROADCAST, ipv4_of(B)};

    root();
    a = leaf(A, true);
    join(a);
    fake_run(1);
    assert_int_equal(arp_request(a, B), 0);
    fake_run(4900);
    assert_int_equal(a->drops.n[ZT_DROP_QUEUE_EXPIRED], 0);
    fake_run(200);
    assert_int_equal(a->drops.n[ZT_DROP_QUEUE_EXPIRED], 1);
    assert_int_equal(a->vl2->mcast.waiting_bytes, 0);
    fake_clear();
    /* Too late for this frame. */
    likes(a, B, NET, id.mac, id.adi);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 0);
}

static void frame_layout(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    uint8_t p[40] = {9, 8, 7};

    join(a);
    fake_run(1);
    likes(a, B, NET, 0x333300000001u, 0);
    fake_clear();
    assert_int_equal(fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40), 0);
    struct fake_packet *k = fake_find(a, ZT_VERB_MULTICAST_FRAME);
    assert_true(k->dest == B);
    assert_int_equal(k->n, 8 + 1 + 4 + 6 + 4 + 2 + 40);
    assert_true(zt_be64(k->p) == NET);
    assert_int_equal(k->p[8], 0x02);
    assert_int_equal(zt_be32(k->p + 9), 1024); /* 1024 - 1 known + 1 */
    assert_true(zt_be48(k->p + 13) == 0x333300000001u);
    assert_int_equal(zt_be32(k->p + 19), 0);
    assert_int_equal(zt_be16(k->p + 23), 0x86dd);
    assert_memory_equal(k->p + 25, p, 40);
    assert_int_equal(k->flags, ZT_TX_COMPRESS | ZT_TX_EXPECT);
    k = fake_find(a, ZT_VERB_MULTICAST_GATHER);
    assert_int_equal(k->n, 23);
    assert_int_equal(k->p[8], 0);
    assert_true(zt_be48(k->p + 9) == 0x333300000001u);
    assert_int_equal(zt_be32(k->p + 19), 1024);
}

static void recipients_tell_others(void **state)
{
    struct zt_vl1 *a, *b, *c;

    a = leaf(A, true);
    b = leaf(B, true);
    c = leaf(0x5fa38da9deu, true);
    join(a);
    join(b);
    join(c);
    zt_vl2_subscribe(b->vl2, &fake_now, NET, 0x333300000001u, 0);
    fake_run(1);
    likes(a, B, NET, 0x333300000001u, 0);
    likes(b, c->addr, NET, 0x333300000001u, 0);
    uint8_t p[40] = {0};
    assert_int_equal(fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40), 0);
    fake_pump();
    assert_int_equal(b->nframes, 1);
    assert_int_equal(c->nframes, 1); /* learned from b's answer */
}

static void gather_answers(void **state)
{
    struct zt_vl1 *r = root();
    uint8_t p[23] = {0}, ours[18];
    struct fake_packet *k;

    for (uint64_t i = 1; i <= 10; i++)
        likes(r, 0x1000000000u + i, 42, 0x333300000001u, 7);
    zt_put64(p, 42);
    zt_put48(p + 9, 0x333300000001u);
    zt_put32(p + 15, 7);
    zt_put32(p + 19, 4);
    fake_inject(r, 0x1000000001u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    k = fake_find(r, ZT_VERB_OK);
    zt_put64(ours, 42);
    memcpy(ours + 8, p + 9, 10);
    assert_memory_equal(k->p, ours, 18);
    assert_int_equal(zt_be32(k->p + 18), 10);
    assert_int_equal(zt_be16(k->p + 22), 4);
    assert_int_equal(k->n, 24 + 4 * 5);
    fake_clear();
    /* All of them but the asker, each once. */
    zt_put32(p + 19, 1000);
    fake_inject(r, 0x1000000001u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    k = fake_find(r, ZT_VERB_OK);
    assert_int_equal(zt_be16(k->p + 22), 9);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 9; i++)
        sum += zt_be40(k->p + 24 + 5 * i) - 0x1000000000u;
    assert_int_equal(sum, 55 - 1);
    fake_clear();
    /* Nothing to say, nothing said: no members, limit 0, only the asker. */
    zt_put32(p + 15, 8);
    fake_inject(r, 0x1000000001u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    likes(r, 0x1000000001u, 42, 0x333300000001u, 8);
    fake_inject(r, 0x1000000001u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    zt_put32(p + 15, 7);
    zt_put32(p + 19, 0);
    fake_inject(r, 0x1000000002u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    assert_int_equal(fake_npackets, 0);
    for (size_t i = 0; i < sizeof p; i++)
        assert_int_equal(fake_inject(r, 0x1000000001u, ZT_VERB_MULTICAST_GATHER, p, i),
                         ZT_VERDICT_IGNORED);
    assert_int_equal(r->drops.n[ZT_DROP_MALFORMED], sizeof p);
}

static void many_answers_fit_the_reply(void **state)
{
    struct zt_vl1 *r = root();
    uint8_t p[23] = {0};

    for (uint64_t i = 1; i <= 2000; i++)
        likes(r, 0x1000000000u + i, 42, 0x333300000001u, 0);
    zt_put64(p, 42);
    zt_put48(p + 9, 0x333300000001u);
    zt_put32(p + 19, 5000);
    fake_inject(r, 0x2000000001u, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    struct fake_packet *k = fake_find(r, ZT_VERB_OK);
    assert_int_equal(zt_be32(k->p + 18), 2000);
    assert_int_equal(k->n, 24 + 5u * zt_be16(k->p + 22));
    assert_true(k->n <= 1400 && k->n > 1390);
}

static void likes_need_a_right(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    uint8_t p[36 + 5];
    struct zt_group_id joined = {NET, 0x333300000001u, 0}, other = {NET + 256, 0x333300000001u, 0};

    join(a);
    /* One network after the other in a packet: each is judged by itself; a cut tuple ends it. */
    zt_put64(p, joined.nwid);
    zt_put48(p + 8, joined.mac);
    zt_put32(p + 14, 0);
    zt_put64(p + 18, other.nwid);
    zt_put48(p + 26, other.mac);
    zt_put32(p + 32, 0);
    memset(p + 36, 0, 5);
    fake_inject(a, B, ZT_VERB_MULTICAST_LIKE, p, sizeof p);
    assert_int_equal(zt_mcast_count(&a->vl2->mcast, joined), 1);
    assert_int_equal(zt_mcast_count(&a->vl2->mcast, other), 0);
    assert_int_equal(a->drops.n[ZT_DROP_GATE], 1);
    assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], 1);
    /* Neither ourselves nor who can't exist become members; a MAC must be multicast. */
    likes(a, 0xff00000001u, NET, joined.mac, 0);
    likes(a, B, NET, 0x020000000001u, 0);
    assert_int_equal(a->vl2->mcast.nmembers, 1);
    uint8_t ok[18 + 6 + 10];
    memcpy(ok, p, 18);
    zt_put32(ok + 18, 2);
    zt_put16(ok + 22, 2);
    zt_put40(ok + 24, A);
    zt_put40(ok + 29, 0x5fa38da9deu);
    fake_inject_ok(a, ROOT, ZT_VERB_MULTICAST_GATHER, ok, sizeof ok);
    assert_int_equal(a->vl2->mcast.nmembers, 2);
}

static void bounds(void **state)
{
    struct zt_vl1 *r = root();

    for (uint32_t i = 0; i < ZT_MCAST_PER_SENDER + 100; i++)
        likes(r, B, 42, 0x333300000001u, i);
    assert_int_equal(r->vl2->mcast.nmembers, ZT_MCAST_PER_SENDER);
    assert_int_equal(r->drops.n[ZT_DROP_TABLE_FULL], 100);
    fake_run(ZT_MCAST_EXPIRY_MS + ZT_MCAST_SWEEP_MS);
    assert_int_equal(r->vl2->mcast.nmembers, 0);
    assert_int_equal(r->vl2->mcast.ngroups, 0);
    assert_int_equal(r->vl2->mcast.senders.count, 0);
}

/* Two recipients allowed, five members known: two get it, with a gather limit of 1. */
static void limit_is_kept(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    uint8_t p[40] = {0};

    join(a);
    fake_run(1);
    struct zt_network *net = zt_network_find(a->vl2, NET);
    net->cfg->multicast_limit = 2;
    for (uint64_t i = 1; i <= 5; i++)
        likes(a, 0x1000000000u + i, NET, 0x333300000001u, 0);
    fake_clear();
    assert_int_equal(fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40), 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 2);
    assert_int_equal(zt_be32(fake_find(a, ZT_VERB_MULTICAST_FRAME)->p + 9), 1);
    assert_true(fake_packets[0]->dest != fake_packets[1]->dest);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_GATHER), 0);
    assert_int_equal(a->vl2->mcast.waiting_bytes, 0);
    fake_clear();
    /* With one known the frame waits for one more, and no more than one. */
    zt_vl2_leave(a->vl2, &fake_now, NET);
    join(a);
    fake_run(1);
    net = zt_network_find(a->vl2, NET);
    net->cfg->multicast_limit = 2;
    likes(a, 0x1000000001u, NET, 0x333300000001u, 0);
    fake_clear();
    fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 1);
    for (uint64_t i = 2; i <= 5; i++)
        likes(a, 0x1000000000u + i, NET, 0x333300000001u, 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 2);
    /* Refused at once when multicast is off. */
    net->cfg->multicast_limit = 0;
    assert_int_equal(fake_frame_out(a, NET, 0x333300000001u, zt_mac_of(A, NET), 0x86dd, p, 40),
                     ZT_E_PERM);
}

static void received_frames(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    uint64_t group = 0x333300000001u;
    uint8_t p[200];
    struct zt_wr w = zt_wr(p, sizeof p);

    join(a);
    fake_run(1);
    fake_clear();
    zt_wr_u64(&w, NET);
    zt_wr_u8(&w, 0x02 | 0x04);
    zt_wr_u32(&w, 10);
    zt_wr_u48(&w, zt_mac_of(B, NET));
    zt_wr_u48(&w, group);
    zt_wr_u32(&w, 0);
    zt_wr_u16(&w, 0x86dd);
    zt_wr_u64(&w, 0x0102030405060708u);
    assert_int_equal(fake_inject(a, B, ZT_VERB_MULTICAST_FRAME, p, w.n), ZT_VERDICT_TRUSTED);
    assert_int_equal(a->nframes, 1); /* not subscribed: the stack decides */
    assert_true(zt_be48(a->frames[0].eth) == group);
    assert_true(zt_be48(a->frames[0].eth + 6) == zt_mac_of(B, NET));
    assert_int_equal(zt_be16(a->frames[0].eth + 12), 0x86dd);
    assert_true(zt_be64(a->frames[0].eth + 14) == 0x0102030405060708u);
    assert_int_equal(fake_count(a, ZT_VERB_OK), 0); /* no member to tell of */
    /* Asked again when there is one. */
    likes(a, 0x5fa38da9deu, NET, group, 0);
    fake_inject(a, B, ZT_VERB_MULTICAST_FRAME, p, w.n);
    struct fake_packet *k = fake_find(a, ZT_VERB_OK);
    assert_int_equal(k->n, 19 + 4 + 2 + 5);
    assert_int_equal(k->p[18], 0x02);
    assert_true(zt_be40(k->p + 25) == 0x5fa38da9deu);
    fake_clear();
    /* Sources that can't be: foreign, ours, multicast, none. */
    const uint64_t bad[] = {0x001122334455u, zt_mac_of(A, NET), 0x010000000001u, 0};
    for (unsigned i = 0; i < 4; i++) {
        zt_put48(p + 13, bad[i]);
        fake_inject(a, B, ZT_VERB_MULTICAST_FRAME, p, w.n);
    }
    assert_int_equal(a->nframes, 2);
    assert_int_equal(a->drops.n[ZT_DROP_BRIDGE], 1);
    assert_int_equal(a->drops.n[ZT_DROP_FRAME_MAC], 3);
    assert_int_equal(fake_npackets, 0);
    uint64_t before = a->drops.n[ZT_DROP_MALFORMED];
    for (size_t i = 0; i < w.n - 8; i++)
        fake_inject(a, B, ZT_VERB_MULTICAST_FRAME, p, i);
    assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], before + w.n - 8);
}

/* A member is announced our groups when its first frame comes in, and every 60 s. */
static void members_are_told(void **state)
{
    struct zt_vl1 *a = leaf(A, true), *b = leaf(B, true);
    uint8_t p[40] = {0};

    join(a);
    join(b);
    fake_run(1);
    fake_frame_out(a, NET, zt_mac_of(B, NET), zt_mac_of(A, NET), 0x0800, p, 40);
    fake_pump();
    struct zt_group_id of_b = {NET, ZT_MAC_BROADCAST, ipv4_of(B)};
    assert_int_equal(zt_mcast_count(&a->vl2->mcast, of_b), 1);
    fake_run(300000);
    assert_int_equal(zt_mcast_count(&a->vl2->mcast, of_b), 1);
    /* Which lets them resolve each other with no root at all. */
    assert_int_equal(arp_request(a, B), 0);
    size_t before = b->nframes;
    fake_pump();
    assert_int_equal(b->nframes, before + 1);
}

static void subscriptions_are_bounded(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    int r = 0;

    join(a);
    assert_int_equal(zt_vl2_subscribe(a->vl2, &fake_now, NET, 0x020000000001u, 0), ZT_E_INVAL);
    assert_int_equal(zt_vl2_subscribe(a->vl2, &fake_now, 1, ZT_MAC_BROADCAST, 0), ZT_E_NOENT);
    for (uint32_t i = 0; i < 5000 && r == 0; i++)
        r = zt_vl2_subscribe(a->vl2, &fake_now, NET, 0x333300000001u, i);
    assert_int_equal(r, ZT_E_LIMIT);
    /* They don't fit one packet. */
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_LIKE), 2);
}

static void idle_is_quiet(void **state)
{
    struct zt_vl1 *a = leaf(A, true);
    unsigned ticks = 0;

    join(a);
    zt_vl2_tick(a->vl2, &fake_now);
    int64_t end = fake_now.mono_ms + 2000000;
    while (fake_now.mono_ms < end) {
        fake_now.mono_ms = zt_vl2_deadline(a->vl2);
        zt_vl2_tick(a->vl2, &fake_now);
        fake_clear();
        ticks++;
    }
    assert_true(ticks <= 2000000 / 60000 + 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(announced_to_the_root),
        T(announced_when_the_root_comes_up),
        T(arp_reaches_the_owner_at_once),
        T(gather_is_repeated_while_a_frame_waits),
        T(gather_is_limited),
        T(waiting_ends),
        T(frame_layout),
        T(recipients_tell_others),
        T(gather_answers),
        T(many_answers_fit_the_reply),
        T(likes_need_a_right),
        T(bounds),
        T(limit_is_kept),
        T(received_frames),
        T(members_are_told),
        T(subscriptions_are_bounded),
        T(idle_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
