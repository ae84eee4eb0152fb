/* VL1 among strangers and liars: what is refused, for which reason, and that it changes nothing. */
#include "scene.h"

#include <stdio.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "crypto/identity.h"
#include "vl1/defrag.h"
#include "vl1/whois.h"

static uint64_t dropped(const struct sim_node *n, enum zt_drop d)
{
    return sim_drops(n)->n[d];
}

/* Any verb with a valid MAC. */
static int say_verb(struct sim_node *from, struct sim_node *to, uint8_t verb, const void *body,
                    size_t n)
{
    struct zt_now now = sim_now(from->sim);
    uint8_t p[ZT_PKT_PAYLOAD + SIM_FRAME_MAX];
    memcpy(p + ZT_PKT_PAYLOAD, body, n);
    return zt_vl1_send(from->vl1, &now, to->id.addr, verb, p + ZT_PKT_PAYLOAD, n, 0, NULL);
}

/* -- a recorded datagram -- */

struct record {
    struct sim_node *from, *to;
    bool want_head; /* encrypted ones only */
    uint8_t p[1500];
    size_t n;
};

static bool keep_first(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n)
{
    struct record *r = user;
    if (r->n == 0 && from == r->from && to == r->to && n >= ZT_PKT_MIN &&
        zt_pkt_suite(p) != ZT_SUITE_POLY) {
        memcpy(r->p, p, n);
        r->n = n;
    }
    return true;
}

/* What must not change: the peers of a node, their paths and versions. */
static uint64_t state_of(struct sim_node *n)
{
    uint64_t addrs[SIM_NODES], h = 0xcbf29ce484222325u;
    struct zt_now now = sim_now(n->sim);
    size_t count = zt_vl1_peers(n->vl1, addrs, SIM_NODES);
    assert_true(count <= SIM_NODES);
    for (size_t i = 0; i < count; i++) {
        struct zt_peer_info info;
        assert_int_equal(zt_vl1_peer(n->vl1, &now, addrs[i], &info), 0);
        for (unsigned k = 0; k < info.npaths; k++) {
            const struct zt_path_info *path = &info.paths[k];
            h = (h ^ zt_ep_hash(&path->ep) ^ (uint64_t)path->last_in_ms) * 0x100000001b3u;
            h = (h ^ (uint64_t)path->latency_ms ^ path->expired) * 0x100000001b3u;
        }
        h = (h ^ addrs[i] ^ (uint64_t)info.version_proto) * 0x100000001b3u;
    }
    return h;
}

static struct trio recorded(uint64_t seed, struct record *r)
{
    struct trio t = trio_connected(seed);
    *r = (struct record){.from = t.a, .to = t.b};
    sim_tap(t.s, keep_first, r);
    sim_say(t.a, t.b, "secret words", 12);
    sim_run(t.s, 15);
    sim_assert(t.s, r->n > 0);
    return t;
}

static void replayed_packets_are_dropped(void **state)
{
    struct record r;
    struct trio t = recorded(1, &r);
    unsigned frames = t.b->frames;
    uint64_t before = state_of(t.b), sent = t.b->sent;
    struct zt_ep elsewhere;
    zt_ep_parse("9.9.9.9/1234", &elsewhere);
    sim_inject(t.b, &t.a->ep, r.p, r.n);
    sim_inject(t.b, &elsewhere, r.p, r.n);
    assert_int_equal(dropped(t.b, ZT_DROP_DUPLICATE), 2);
    assert_int_equal(t.b->frames, frames);
    assert_int_equal(state_of(t.b), before);
    assert_int_equal(t.b->sent, sent);
    sim_free(t.s);
}

static bool catch_first(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p,
                        size_t n)
{
    struct record *r = user;
    bool had = r->n > 0;
    (void)keep_first(user, from, to, p, n);
    return had || r->n == 0;
}

/* Who sees a packet on its way, and is quicker with one of its own under the same id, stops nothing. */
static void the_id_of_anothers_packet_is_not_taken(void **state)
{
    struct trio t = trio_connected(28);
    struct record r = {.from = t.a, .to = t.b};
    struct zt_keys keys;
    uint8_t shared[ZT_SHARED_KEY], p[ZT_PKT_MIN];
    sim_tap(t.s, catch_first, &r);
    sim_say(t.a, t.b, "secret words", 12);
    sim_run(t.s, 15);
    sim_assert(t.s, r.n > 0);
    unsigned frames = t.b->frames;
    assert_int_equal(zt_identity_agree(&t.root->id, &t.b->id, shared), 0);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    zt_pkt_init(p, zt_pkt_id(r.p), t.b->id.addr, t.root->id.addr, ZT_VERB_NOP);
    assert_int_equal(zt_seal(&keys, ZT_SUITE_SALSA, p, sizeof p), 0);
    zt_keys_fini(&keys);
    uint64_t refused = drops_total(t.b);
    sim_inject(t.b, &t.root->ep, p, sizeof p);
    sim_inject(t.b, &t.a->ep, r.p, r.n);
    assert_int_equal(drops_total(t.b), refused);
    assert_int_equal(t.b->frames, frames + 1);
    sim_free(t.s);
}

static void bit_flips_are_dropped_for_the_right_reason(void **state)
{
    struct record r;
    struct trio t = recorded(2, &r);
    unsigned frames = t.b->frames;
    uint64_t before = state_of(t.b);
    for (size_t i = 0; i < r.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            uint8_t p[1500];
            memcpy(p, r.p, r.n);
            p[i] ^= (uint8_t)(1 << bit);
            enum zt_drop want = ZT_DROP_MAC;
            if (i >= ZT_PKT_DEST && i < ZT_PKT_SRC)
                want = ZT_DROP_RELAY_REFUSED;
            else if (i >= ZT_PKT_SRC && i < ZT_PKT_FLAGS)
                want = ZT_DROP_UNKNOWN_SENDER;
            else if (i == ZT_PKT_FLAGS && bit < 3)
                want = ZT_DROP_DUPLICATE; /* hops are not authenticated: it is the same packet */
            else if (i == ZT_PKT_FLAGS && bit == 6)
                continue; /* waits for fragments; see below */
            else if (i == ZT_PKT_FLAGS && bit < 6)
                want = ZT_DROP_COUNT; /* another cipher: MAC, CIPHER or TRUSTED_PATH */
            uint64_t n = want < ZT_DROP_COUNT
                             ? dropped(t.b, want)
                             : dropped(t.b, ZT_DROP_CIPHER) + dropped(t.b, ZT_DROP_MAC) +
                                   dropped(t.b, ZT_DROP_TRUSTED_PATH);
            sim_inject(t.b, &t.a->ep, p, r.n);
            uint64_t m = want < ZT_DROP_COUNT
                             ? dropped(t.b, want)
                             : dropped(t.b, ZT_DROP_CIPHER) + dropped(t.b, ZT_DROP_MAC) +
                                   dropped(t.b, ZT_DROP_TRUSTED_PATH);
            assert_int_equal(m, n + 1);
            assert_int_equal(t.b->frames, frames);
        }
    assert_int_equal(state_of(t.b), before);

    r.p[ZT_PKT_FLAGS] ^= ZT_FLAG_FRAGMENTED;
    sim_inject(t.b, &t.a->ep, r.p, r.n);
    sim_run(t.s, ZT_DEFRAG_MS + 1);
    assert_int_equal(dropped(t.b, ZT_DROP_FRAGMENT_EXPIRED), 1);
    assert_int_equal(t.b->frames, frames);
    sim_free(t.s);
}

static void truncated_packets_are_dropped(void **state)
{
    struct record r;
    struct trio t = recorded(3, &r);
    unsigned frames = t.b->frames;
    uint64_t before = state_of(t.b);
    for (size_t n = 0; n < r.n; n++) {
        enum zt_drop want = n == ZT_BEACON_SIZE ? ZT_DROP_BEACON
                            : n < ZT_PKT_MIN    ? ZT_DROP_SHORT
                                                : ZT_DROP_MAC;
        uint64_t count = dropped(t.b, want);
        sim_inject(t.b, &t.a->ep, r.p, n);
        assert_int_equal(dropped(t.b, want), count + 1);
    }
    assert_int_equal(t.b->frames, frames);
    assert_int_equal(state_of(t.b), before);
    sim_free(t.s);
}

static void foreign_packets_wait_for_an_identity_and_go(void **state)
{
    struct record r;
    struct trio t = recorded(4, &r);
    uint64_t before = dropped(t.b, ZT_DROP_UNKNOWN_SENDER); /* a itself, before b knew it */
    zt_put40(r.p + ZT_PKT_SRC, 0x1122334455);
    sim_inject(t.b, &t.a->ep, r.p, r.n);
    assert_int_equal(dropped(t.b, ZT_DROP_UNKNOWN_SENDER), before + 1);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_QUEUE_EXPIRED), 0);
    sim_run(t.s, 6000);
    assert_int_equal(dropped(t.b, ZT_DROP_QUEUE_EXPIRED), 1);
    assert_int_equal(zt_vl1_peers(t.b->vl1, NULL, 0), 2);
    sim_free(t.s);
}

static void invented_senders_fill_no_table(void **state)
{
    struct record r;
    struct trio t = recorded(5, &r);
    uint64_t to_root = sim_link(t.b, t.root)->datagrams;
    for (uint32_t i = 0; i < 100000; i++) {
        zt_put40(r.p + ZT_PKT_SRC, 0x1000000000 + i);
        sim_inject(t.b, &t.a->ep, r.p, r.n);
    }
    sim_assert(t.s, dropped(t.b, ZT_DROP_RATE) > 99900);
    sim_assert(t.s, sim_link(t.b, t.root)->datagrams - to_root <= 64);
    sim_run(t.s, 10000);
    assert_int_equal(zt_vl1_peers(t.b->vl1, NULL, 0), 2);
    sim_say(t.a, t.b, "?", 1); /* and the node still works */
    unsigned pongs = t.a->pongs;
    sim_run(t.s, 1000);
    assert_int_equal(t.a->pongs, pongs + 1);
    sim_free(t.s);
}

/* The room for packets that wait is shared, but not with everybody alike. */
static void invented_senders_leave_room_for_our_own(void **state)
{
    struct trio t = trio_make(26);
    struct sim_node *c = sim_node(t.s, "9.0.0.4/9993");
    sim_start_all(t.s);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    sim_run(t.s, 1000);
    uint8_t p[1400];
    zt_pkt_init(p, 1, t.b->id.addr, 0, ZT_VERB_FRAME);
    p[ZT_PKT_FLAGS] |= ZT_SUITE_SALSA << 3;
    const unsigned packets = 30 * ZT_WAIT_PER_ADDRESS;
    for (unsigned i = 0; i < 2 * packets; i++) { /* large ones, then those that fill the gap */
        zt_put40(p + ZT_PKT_SRC, i % 30 == 0 ? c->id.addr : 0x1000000000u + i % 30);
        sim_inject(t.b, &t.a->ep, p, i < packets ? sizeof p : ZT_PKT_MIN);
    }
    sim_assert(t.s, dropped(t.b, ZT_DROP_QUEUE_FULL) > 0);
    assert_int_equal(sim_say(t.b, c, "?", 1), 0);
    assert_int_equal(sim_say(t.b, t.a, "?", 1), 0);
    sim_run(t.s, 1000);
    assert_int_equal(t.b->pongs, 2);
    sim_free(t.s);
}

/* Who keeps sending under a name that nobody has makes us ask for it, but not as often as ever. */
static void an_invented_sender_that_stays_is_asked_for_rarely(void **state)
{
    struct record r;
    struct trio t = recorded(27, &r);
    zt_put40(r.p + ZT_PKT_SRC, 0x1122334455);
    uint64_t asked = sim_link(t.b, t.root)->datagrams;
    for (unsigned i = 0; i < 60; i++) {
        sim_inject(t.b, &t.a->ep, r.p, r.n);
        sim_run(t.s, 1000);
    }
    sim_assert(t.s, sim_link(t.b, t.root)->datagrams - asked < 40); /* with what else there is */
    sim_free(t.s);
}

static void fragments_of_strangers_fill_no_table(void **state)
{
    struct trio t = trio_connected(6);
    uint8_t p[500] = {0};
    zt_put40(p + ZT_PKT_DEST, t.b->id.addr);
    p[ZT_FRAG_INDICATOR_AT] = ZT_FRAG_INDICATOR;
    p[ZT_FRAG_TOTAL_NO] = 0x21;
    for (uint64_t i = 0; i < 1000; i++) {
        zt_put64(p, i + 1);
        sim_inject(t.b, &t.a->ep, p, sizeof p);
    }
    assert_int_equal(dropped(t.b, ZT_DROP_FRAGMENT_EVICTED), 1000 - ZT_DEFRAG_ENTRIES);
    sim_run(t.s, ZT_DEFRAG_MS + 1);
    assert_int_equal(dropped(t.b, ZT_DROP_FRAGMENT_EXPIRED), ZT_DEFRAG_ENTRIES);
    for (unsigned v = 0; v < 256; v++) {
        unsigned total = v >> 4, no = v & 15;
        bool good = total >= 2 && total <= ZT_FRAGS_MAX && no >= 1 && no < total;
        uint64_t bad = dropped(t.b, ZT_DROP_FRAGMENT_HEADER);
        zt_put64(p, 5000 + v);
        p[ZT_FRAG_TOTAL_NO] = (uint8_t)v;
        sim_inject(t.b, &t.a->ep, p, sizeof p);
        assert_int_equal(dropped(t.b, ZT_DROP_FRAGMENT_HEADER), bad + !good);
    }
    sim_free(t.s);
}

/* -- identities -- */

static void an_identity_without_proof_of_work_is_refused(void **state)
{
    struct trio t = trio_make(7);
    t.a->id.addr ^= 1; /* the key does not belong to this address */
    sim_start_all(t.s);
    sim_run(t.s, 3000);
    sim_assert(t.s, sim_online(t.b) && !sim_online(t.a));
    sim_assert(t.s, dropped(t.root, ZT_DROP_IDENTITY) >= 1);
    assert_int_equal(zt_vl1_peers(t.root->vl1, NULL, 0), 1);
    sim_free(t.s);
}

static void a_known_identity_is_never_replaced(void **state)
{
    struct trio t = trio_make(8);
    sim_start(t.root);
    sim_start(t.a);
    sim_run(t.s, 1000);
    t.b->id.addr = t.a->id.addr; /* b claims to be a */
    sim_start(t.b);
    sim_run(t.s, 3000);
    sim_assert(t.s, dropped(t.root, ZT_DROP_COLLISION) >= 1);
    sim_assert(t.s, t.b->events[ZT_EVENT_COLLISION] >= 1);
    assert_int_equal(t.a->events[ZT_EVENT_COLLISION], 0);
    sim_assert(t.s, !sim_online(t.b));
    const struct zt_identity *known = zt_vl1_identity_of(t.root->vl1, t.a->id.addr);
    assert_true(known != NULL && memcmp(known->pub, t.a->id.pub, sizeof known->pub) == 0);
    sim_free(t.s);
}

static void identity_checks_are_limited_by_prefix(void **state)
{
    struct trio t = trio_make(9);
    struct record r = {.from = t.a, .to = t.root};
    sim_start(t.root);
    sim_run(t.s, 10);
    /* HELLOs of many invented identities from one /24, each with a wrong MAC. */
    uint8_t p[160] = {0};
    struct zt_wr w = zt_wr(p, sizeof p);
    w.n = ZT_PKT_PAYLOAD;
    zt_put40(p + ZT_PKT_DEST, t.root->id.addr);
    p[ZT_PKT_VERB] = ZT_VERB_HELLO;
    zt_wr_u8(&w, 12);
    zt_wr_u8(&w, 1);
    zt_wr_u8(&w, 14);
    zt_wr_u16(&w, 1);
    zt_wr_u64(&w, 1);
    for (unsigned i = 0; i < 100; i++) {
        struct zt_identity id = t.a->id;
        id.addr = 0x2000000000 + i;
        w.n = ZT_PKT_PAYLOAD + 13;
        zt_wr_identity(&w, &id, false);
        zt_put40(p + ZT_PKT_SRC, id.addr);
        sim_inject(t.root, &t.a->ep, p, w.n);
    }
    assert_int_equal(dropped(t.root, ZT_DROP_MAC), 16);
    assert_int_equal(dropped(t.root, ZT_DROP_IDENTITY_RATE), 84);
    assert_int_equal(t.root->sent, 0);
    sim_run(t.s, 1000); /* ten more by now */
    for (unsigned i = 0; i < 100; i++)
        sim_inject(t.root, &t.a->ep, p, w.n);
    assert_int_equal(dropped(t.root, ZT_DROP_MAC), 26);
    (void)r;
    sim_free(t.s);
}

/* A HELLO of an identity that has a key and no proof of work; the MAC is right or not. */
static size_t forged_hello(const struct sim_node *to, unsigned no, bool good, uint8_t p[200])
{
    static struct zt_identity id;
    uint64_t seed = 77;
    uint8_t shared[ZT_SHARED_KEY];
    struct zt_keys keys;
    if (!id.has_priv)
        zt_keypair_generate(sim_random, &seed, &id);
    id.addr = 0x2000000000 + no;
    zt_pkt_init(p, no, to->id.addr, id.addr, ZT_VERB_HELLO);
    struct zt_wr w = zt_wr(p, 200);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u8(&w, 12);
    zt_wr_u8(&w, 1);
    zt_wr_u8(&w, 14);
    zt_wr_u16(&w, 1);
    zt_wr_u64(&w, 1);
    zt_wr_identity(&w, &id, false);
    if (good) {
        assert_int_equal(zt_identity_agree(&id, &to->id, shared), 0);
        assert_int_equal(zt_keys_init(&keys, shared), 0);
        assert_int_equal(zt_seal(&keys, ZT_SUITE_POLY, p, w.n), 0);
        zt_keys_fini(&keys);
    }
    return w.n;
}

/* Sources are invented, so each may have a prefix of its own: then the sum is limited. */
static void strangers_of_all_prefixes_share_the_processor(void **state)
{
    uint8_t p[200];
    struct trio t = trio_make(9);
    sim_start(t.root);
    sim_run(t.s, 10);
    for (unsigned i = 0; i < 3000; i++) { /* in no time */
        struct zt_ep from = {.family = 4, .port = 9993, .ip = {20, (uint8_t)(i >> 8), (uint8_t)i, 1}};
        sim_inject(t.root, &from, p, forged_hello(t.root, i, false, p));
    }
    sim_assert(t.s, dropped(t.root, ZT_DROP_MAC) == 1000);
    sim_assert(t.s, dropped(t.root, ZT_DROP_IDENTITY_RATE) == 2000);
    sim_free(t.s);

    t = trio_make(9);
    t.root->check_delay_ms = 0; /* rows are free again at once */
    sim_start(t.root);
    sim_run(t.s, 10);
    for (unsigned i = 0; i < 3000; i++) { /* in 6 s */
        struct zt_ep from = {.family = 4, .port = 9993, .ip = {20, (uint8_t)(i >> 8), (uint8_t)i, 1}};
        sim_inject(t.root, &from, p, forged_hello(t.root, i, true, p));
        sim_run(t.s, 2);
    }
    sim_assert(t.s, dropped(t.root, ZT_DROP_IDENTITY) <= 128 + 6 * 20 + 1);
    sim_assert(t.s, dropped(t.root, ZT_DROP_IDENTITY) >= 128 + 6 * 20 - 1);
    sim_free(t.s);
}

static void an_identity_check_that_is_never_answered_holds_nothing_up(void **state)
{
    struct trio t = trio_make(10);
    t.root->check_delay_ms = 20000;
    sim_start_all(t.s);
    sim_run(t.s, 15000);
    sim_assert(t.s, !sim_online(t.a));
    sim_run(t.s, 6000); /* the newest HELLO is answered, not one of 20 s ago */
    sim_assert(t.s, sim_online(t.a) && sim_online(t.b));
    sim_free(t.s);
}

/* -- worlds -- */

static void planet_updates_must_be_signed(void **state)
{
    struct trio t = trio_make(11);
    sim_start(t.a);
    struct zt_world w;
    sim_make_planet(t.s, 2, &t.root, 1, &w);
    w.signature[3] ^= 1;
    uint8_t bytes[ZT_WORLD_WIRE_MAX];
    struct zt_wr wr = zt_wr(bytes, sizeof bytes);
    zt_wr_world(&wr, &w);
    struct zt_now now = sim_now(t.s);
    assert_int_equal(zt_vl1_new(&(struct zt_vl1_config){.identity = &t.root->id,
                                                        .host = &t.root->host,
                                                        .drops = &t.root->own_drops,
                                                        .planet = bytes,
                                                        .nplanet = wr.n},
                                &now, &t.root->vl1),
                     0);
    sim_run(t.s, 2000);
    sim_assert(t.s, sim_online(t.a));
    sim_assert(t.s, dropped(t.a, ZT_DROP_WORLD) > 0);
    assert_int_equal(t.a->events[ZT_EVENT_PLANET], 0);
    struct zt_status_info info = {0};
    zt_vl1_status(t.a->vl1, &info);
    assert_int_equal(info.planet_timestamp_ms, 1);
    sim_free(t.s);
}

static void only_roots_may_update_the_planet(void **state)
{
    struct trio t = trio_make(12);
    sim_start(t.root);
    sim_start(t.a);
    sim_planet(t.s, 2, &t.root, 1);
    sim_start(t.b); /* b has a newer one, properly signed, and will offer it to a */
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 5000, trio_is_direct, &t));
    sim_run(t.s, 5000);
    struct zt_status_info info = {0};
    zt_vl1_status(t.a->vl1, &info);
    assert_int_equal(info.planet_timestamp_ms, 1);
    sim_free(t.s);
}

static void damaged_planets_are_refused(void **state)
{
    struct trio t = trio_make(13);
    struct zt_world w;
    sim_make_planet(t.s, 1, &t.root, 1, &w);
    uint8_t bytes[ZT_WORLD_WIRE_MAX];
    struct zt_wr wr = zt_wr(bytes, sizeof bytes);
    zt_wr_world(&wr, &w);
    struct zt_now now = sim_now(t.s);
    struct zt_vl1_config cfg = {
        .identity = &t.a->id, .host = &t.a->host, .drops = &t.a->own_drops, .planet = bytes};
    for (cfg.nplanet = 0; cfg.nplanet < wr.n; cfg.nplanet++) {
        struct zt_vl1 *v = NULL;
        assert_int_equal(zt_vl1_new(&cfg, &now, &v), ZT_E_FORMAT);
        assert_null(v);
    }
    struct zt_identity public = t.a->id;
    public.has_priv = false;
    cfg.identity = &public;
    cfg.nplanet = wr.n;
    struct zt_vl1 *v = NULL;
    assert_int_equal(zt_vl1_new(&cfg, &now, &v), ZT_E_INVAL);
    sim_free(t.s);
}

/* -- known peers that misbehave: the MAC is right, the content is not -- */

static void verbs_that_only_a_root_may_send(void **state)
{
    struct trio t = trio_connected(14);
    uint64_t sent = sim_link(t.b, t.root)->datagrams;
    uint8_t body[32] = {0};
    struct zt_wr w = zt_wr(body, sizeof body); /* RENDEZVOUS with the root at 9.0.0.66 */
    zt_wr_u8(&w, 0);
    zt_wr_u40(&w, t.root->id.addr);
    zt_wr_u16(&w, 9993);
    zt_wr_u8(&w, 4);
    zt_wr_bytes(&w, "\x09\x00\x00\x42", 4);
    say_verb(t.a, t.b, ZT_VERB_RENDEZVOUS, body, w.n);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_NOT_UPSTREAM), 1);

    memset(body, 0, sizeof body); /* ERROR: identity collision */
    body[0] = ZT_VERB_HELLO;
    body[9] = ZT_ERROR_IDENTITY_COLLISION;
    say_verb(t.a, t.b, ZT_VERB_ERROR, body, 10);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_NOT_UPSTREAM), 2);
    assert_int_equal(t.b->events[ZT_EVENT_COLLISION], 0);
    assert_int_equal(sim_link(t.b, t.root)->datagrams, sent);
    sim_free(t.s);
}

/* A root, or who makes an honest one believe that we talk to everybody, sends us anywhere. */
static void introductions_have_an_end(void **state)
{
    struct trio t = trio_connected(33);
    uint64_t sent = t.b->sent;
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t body[13];
        struct zt_wr w = zt_wr(body, sizeof body);
        zt_wr_u8(&w, 0);
        zt_wr_u40(&w, t.a->id.addr);
        zt_wr_u16(&w, 9993);
        zt_wr_u8(&w, 4);
        zt_wr_u8(&w, 9);
        zt_wr_u8(&w, 66);
        zt_wr_u16(&w, (uint16_t)i);
        say_verb(t.root, t.b, ZT_VERB_RENDEZVOUS, body, w.n);
    }
    sim_run(t.s, 100);
    sim_assert(t.s, dropped(t.b, ZT_DROP_RATE) >= 1000 - 256 - 10);
    sim_assert(t.s, t.b->sent - sent < 3 * 256);
    sim_free(t.s);
}

static void an_ok_must_answer_something(void **state)
{
    struct trio t = trio_connected(15);
    uint8_t body[100] = {ZT_VERB_WHOIS, 1, 2, 3, 4, 5, 6, 7, 8};
    for (unsigned verb = 0; verb < 32; verb++) {
        body[0] = (uint8_t)verb;
        say_verb(t.a, t.b, ZT_VERB_OK, body, sizeof body);
    }
    memset(body, 0, sizeof body); /* an id of zero matches no empty slot */
    say_verb(t.a, t.b, ZT_VERB_OK, body, sizeof body);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_UNEXPECTED_OK), 33);
    sim_free(t.s);
}

static void requests_are_rate_limited(void **state)
{
    struct trio t = trio_connected(16);
    uint8_t addr[5];
    zt_put40(addr, t.root->id.addr);
    uint64_t sent = sim_link(t.b, t.a)->datagrams;
    for (int i = 0; i < 10; i++)
        say_verb(t.a, t.b, ZT_VERB_WHOIS, addr, sizeof addr);
    sim_run(t.s, 50);
    assert_int_equal(dropped(t.b, ZT_DROP_RATE), 9);
    assert_int_equal(sim_link(t.b, t.a)->datagrams, sent + 1);
    sim_run(t.s, 100);
    say_verb(t.a, t.b, ZT_VERB_WHOIS, addr, sizeof addr);
    sim_run(t.s, 50);
    assert_int_equal(sim_link(t.b, t.a)->datagrams, sent + 2);

    for (int i = 0; i < 100; i++)
        say_verb(t.a, t.b, ZT_VERB_ECHO, "x", 1);
    sim_run(t.s, 50);
    assert_int_equal(dropped(t.b, ZT_DROP_RATE), 9 + 92);
    assert_int_equal(sim_link(t.b, t.a)->datagrams, sent + 2 + 8);
    sim_free(t.s);
}

static bool keep_hello(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n)
{
    struct record *r = user;
    if (r->n == 0 && from == r->from && to == r->to && zt_pkt_suite(p) == ZT_SUITE_POLY) {
        memcpy(r->p, p, n);
        r->n = n;
    }
    return true;
}

static void a_replayed_hello_makes_no_amplifier(void **state)
{
    struct trio t = trio_connected(24);
    struct record r = {.from = t.a, .to = t.root};
    sim_tap(t.s, keep_hello, &r);
    sim_run(t.s, 61000); /* the full HELLO of each minute */
    sim_assert(t.s, r.n > 0);
    struct zt_ep victim;
    zt_ep_parse("9.9.9.9/1", &victim);
    uint64_t sent = t.root->sent, before = state_of(t.root);
    for (int i = 0; i < 1000; i++) {
        victim.port = (uint16_t)(1 + i);
        sim_inject(t.root, &victim, r.p, r.n);
    }
    sim_assert(t.s, t.root->sent - sent < 50);
    sim_assert(t.s, dropped(t.root, ZT_DROP_RATE) > 960);
    assert_int_equal(state_of(t.root), before);
    sim_free(t.s);
}

/* Whom we sent a HELLO can't answer it as if it had been something else, nor can anybody else. */
static void an_ok_is_of_whom_was_asked_and_to_what_was_asked(void **state)
{
    struct trio t = trio_connected(25);
    struct record r = {.from = t.b, .to = t.a};
    sim_tap(t.s, keep_hello, &r);
    sim_run(t.s, 61000);
    sim_assert(t.s, r.n > 0);
    uint8_t body[100] = {0};
    memcpy(body + 1, r.p, 8); /* its id */
    for (unsigned verb = 0; verb < 32; verb++) {
        body[0] = (uint8_t)verb;
        if (verb != ZT_VERB_HELLO)
            say_verb(t.a, t.b, ZT_VERB_OK, body, sizeof body);
    }
    body[0] = ZT_VERB_HELLO;
    say_verb(t.root, t.b, ZT_VERB_OK, body, sizeof body);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_UNEXPECTED_OK), 32);
    say_verb(t.a, t.b, ZT_VERB_OK, body, 12); /* its own, and cut */
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_UNEXPECTED_OK), 32);
    assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), 1);
    sim_free(t.s);
}

static uint64_t bytes_out(struct sim_node *n)
{
    struct zt_status_info info = {0};
    zt_vl1_status(n->vl1, &info);
    return info.bytes_out;
}

/* A peer may name the source it likes; where it has shown to be, it gets all. */
static void questions_from_invented_sources_get_short_answers(void **state)
{
    struct trio t = trio_connected(29);
    uint8_t addrs[15];
    const struct sim_node *nodes[3] = {t.root, t.a, t.b};
    for (unsigned i = 0; i < 3; i++)
        zt_put40(addrs + 5 * i, nodes[i]->id.addr);
    struct zt_ep victim;
    zt_ep_parse("9.9.9.9/1", &victim);
    for (unsigned i = 0; i < 2; i++) {
        struct record r = {.from = t.a, .to = t.root};
        sim_tap(t.s, catch_first, &r);
        say_verb(t.a, t.root, ZT_VERB_WHOIS, addrs, sizeof addrs);
        sim_assert(t.s, r.n > 0);
        uint64_t before = bytes_out(t.root);
        sim_inject(t.root, i == 0 ? &victim : &t.a->ep, r.p, r.n);
        /* The victim, and the path that is in doubt now, also get a HELLO. */
        uint64_t most = i == 0 ? 400 : ZT_PKT_MIN + 9 + 3 * ZT_IDENTITY_WIRE;
        sim_assert(t.s, bytes_out(t.root) - before <= most);
        sim_assert(t.s, i == 0 || bytes_out(t.root) - before == most);
    }
    sim_free(t.s);
}

/* HELLO as a node might make it that has an older planet. */
static size_t hello_with_old_planet(const struct sim_node *from, const struct sim_node *to,
                                    uint64_t id, uint64_t planet, uint8_t p[200])
{
    uint8_t shared[ZT_SHARED_KEY];
    struct zt_keys keys;
    zt_pkt_init(p, id, to->id.addr, from->id.addr, ZT_VERB_HELLO);
    struct zt_wr w = zt_wr(p, 200);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_bytes(&w, "\x0c\x01\x0e\x00\x01", 5);
    zt_wr_u64(&w, 1);
    zt_wr_identity(&w, &from->id, false);
    zt_wr_u8(&w, 0);
    zt_wr_u64(&w, planet);
    zt_wr_u64(&w, 0);
    assert_int_equal(zt_identity_agree(&from->id, &to->id, shared), 0);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    assert_int_equal(zt_seal(&keys, ZT_SUITE_POLY, p, w.n), 0);
    zt_keys_fini(&keys);
    return w.n;
}

static void worlds_do_not_go_to_invented_sources_without_end(void **state)
{
    struct sim *s = sim_new(30);
    struct sim_node *root = sim_node(s, "9.0.0.1/9993"), *peers[4];
    for (unsigned i = 0; i < 4; i++) {
        char ep[40];
        snprintf(ep, sizeof ep, "9.0.0.%u/9993", i + 2);
        peers[i] = sim_node(s, ep);
    }
    sim_planet(s, 1, &root, 1);
    sim_start_all(s);
    sim_run(s, 5000);
    struct zt_status_info info = {0};
    zt_vl1_status(root->vl1, &info);
    uint64_t small = 0, large = 0;
    for (unsigned i = 0; i < 4 * 30; i++) {
        const struct zt_ep victim = {.family = 4, .port = 9993, .ip = {9, 9, 9, (uint8_t)i}};
        uint8_t p[200];
        uint64_t sent = root->sent, bytes = bytes_out(root);
        sim_inject(root, &victim, p, hello_with_old_planet(peers[i % 4], root, 1000 + i,
                                                           info.planet_id, p));
        sim_assert(s, root->sent > sent);
        *(bytes_out(root) - bytes > 200 ? &large : &small) += 1;
    }
    sim_assert(s, large >= 60 && large <= 66);
    /* The same from where they are. */
    for (unsigned i = 0; i < 8; i++) {
        uint8_t p[200];
        uint64_t bytes = bytes_out(root);
        sim_run(s, 400);
        sim_inject(root, &peers[i % 4]->ep, p, hello_with_old_planet(peers[i % 4], root, 2000 + i,
                                                                     info.planet_id, p));
        sim_assert(s, bytes_out(root) - bytes > 200);
    }
    sim_free(s);
}

/* Endpoints that peers name are tried, but who shares no network with us gets little done by it. */
static void pushes_of_strangers_have_an_end(void **state)
{
    struct trio t = trio_connected(31);
    uint8_t body[256];
    uint64_t tried = 0;
    for (unsigned k = 0; k < 8; k++) {
        struct zt_wr w = zt_wr(body, sizeof body);
        zt_wr_u16(&w, 16);
        for (uint8_t i = 0; i < 16; i++) {
            zt_wr_bytes(&w, "\0\0\0\x04\x06", 5);
            zt_wr_u8(&w, i < 8 ? 9 : 10);
            zt_wr_u8(&w, 77);
            zt_wr_u8(&w, (uint8_t)k);
            zt_wr_u8(&w, i);
            zt_wr_u16(&w, 9993);
        }
        uint64_t sent = t.root->sent;
        say_verb(t.a, t.root, ZT_VERB_PUSH_DIRECT_PATHS, body, w.n); /* no network there */
        sim_run(t.s, 12);
        tried += t.root->sent - sent;
    }
    sim_assert(t.s, tried >= 64 && tried <= 70);
    sim_assert(t.s, dropped(t.root, ZT_DROP_RATE) >= 128 - 70);
    sim_free(t.s);
}

static void pushed_paths_pass_the_filter_and_a_gate(void **state)
{
    struct trio t = trio_connected(17);
    sim_run(t.s, 40000);
    uint8_t body[256];
    struct zt_wr w = zt_wr(body, sizeof body);
    zt_wr_u16(&w, 3);
    static const uint8_t eps[3][4] = {{127, 0, 0, 1}, {169, 254, 1, 1}, {224, 0, 0, 1}};
    for (int i = 0; i < 3; i++) {
        zt_wr_u8(&w, 0);
        zt_wr_u16(&w, 0);
        zt_wr_u8(&w, 4);
        zt_wr_u8(&w, 6);
        zt_wr_bytes(&w, eps[i], 4);
        zt_wr_u16(&w, 9993);
    }
    uint64_t sent = t.b->sent;
    for (int i = 0; i < 20; i++)
        say_verb(t.a, t.b, ZT_VERB_PUSH_DIRECT_PATHS, body, w.n);
    sim_run(t.s, 15);
    assert_int_equal(dropped(t.b, ZT_DROP_PATH), 3 * 8);
    assert_int_equal(dropped(t.b, ZT_DROP_RATE), 12);
    assert_true(t.b->sent <= sent + 1); /* a asks whether the quiet path still works */
    sim_run(t.s, 31000);                /* the gate opens again after a pause */
    for (size_t n = 0; n < w.n; n++) {
        uint64_t bad = dropped(t.b, ZT_DROP_MALFORMED);
        say_verb(t.a, t.b, ZT_VERB_PUSH_DIRECT_PATHS, body, n);
        sim_run(t.s, 31000);
        assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), bad + 1);
    }
    sim_free(t.s);
}

static void unknown_and_broken_content_is_counted(void **state)
{
    struct trio t = trio_connected(18);
    say_verb(t.a, t.b, 0x1f, "x", 1);
    say_verb(t.a, t.b, ZT_VERB_USER_MESSAGE, "12345678x", 9);
    sim_run(t.s, 50);
    assert_int_equal(dropped(t.b, ZT_DROP_UNKNOWN_VERB), 1);
    assert_int_equal(t.b->messages[ZT_MESSAGE_USER], 1);
    say_verb(t.a, t.b, ZT_VERB_FRAME | ZT_VERB_COMPRESSED, "\xff\xff\xff", 3);
    sim_run(t.s, 50);
    assert_int_equal(dropped(t.b, ZT_DROP_DECOMPRESS), 1);
    for (size_t n = 0; n < 9; n++)
        say_verb(t.a, t.b, ZT_VERB_OK, "123456789", n);
    for (size_t n = 0; n < 10; n++)
        say_verb(t.a, t.b, ZT_VERB_ERROR, "123456789", n > 9 ? 9 : n);
    sim_run(t.s, 50);
    assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), 9 + 10);
    sim_free(t.s);
}

static void compressed_packets_arrive_whole(void **state)
{
    struct trio t = trio_connected(19);
    struct zt_now now = sim_now(t.s);
    uint8_t p[ZT_PKT_PAYLOAD + 4000];
    memset(p, 'a', sizeof p);
    uint64_t bytes = sim_link(t.a, t.b)->bytes;
    assert_int_equal(zt_vl1_send(t.a->vl1, &now, t.b->id.addr, ZT_VERB_FRAME, p + ZT_PKT_PAYLOAD,
                                 4000, ZT_TX_COMPRESS, NULL),
                     0);
    sim_run(t.s, 50);
    sim_assert(t.s, sim_link(t.a, t.b)->bytes - bytes < 200);
    assert_int_equal(t.b->nlast_frame, 4000);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(t.b->last_frame[i], 'a');
    sim_free(t.s);
}

static void weak_suites_carry_no_data(void **state)
{
    struct trio t = trio_connected(20);
    struct zt_keys keys;
    uint8_t shared[ZT_SHARED_KEY], p[40] = {0};
    assert_int_equal(zt_identity_agree(&t.a->id, &t.b->id, shared), 0);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    unsigned frames = t.b->frames;
    zt_pkt_init(p, 77, t.b->id.addr, t.a->id.addr, ZT_VERB_FRAME);
    assert_int_equal(zt_seal(&keys, ZT_SUITE_POLY, p, sizeof p), 0);
    sim_inject(t.b, &t.a->ep, p, sizeof p);
    assert_int_equal(dropped(t.b, ZT_DROP_CIPHER), 1);
    for (unsigned suite = 0; suite < 8; suite++) {
        if (suite <= 1 || suite == 3)
            continue;
        p[ZT_PKT_FLAGS] = (uint8_t)(suite << 3); /* 2: trusted path */
        sim_inject(t.b, &t.a->ep, p, sizeof p);
    }
    assert_int_equal(dropped(t.b, ZT_DROP_CIPHER), 1 + 4);
    assert_int_equal(dropped(t.b, ZT_DROP_TRUSTED_PATH), 1);
    assert_int_equal(t.b->frames, frames);
    zt_keys_fini(&keys);
    sim_free(t.s);
}

/* -- relaying -- */

static void relaying_has_its_limits(void **state)
{
    struct record r;
    struct trio t = recorded(21, &r);
    sim_inject(t.a, &t.b->ep, r.p, r.n); /* for b, but a is no root; and a is its source */
    assert_int_equal(dropped(t.a, ZT_DROP_RELAY_REFUSED), 1);
    uint64_t to_b = sim_link(t.root, t.b)->datagrams;
    for (uint8_t hops = 0; hops < 8; hops++) {
        r.p[ZT_PKT_FLAGS] = (uint8_t)((r.p[ZT_PKT_FLAGS] & ~ZT_FLAG_HOPS) | hops);
        sim_inject(t.root, &t.a->ep, r.p, r.n);
    }
    assert_int_equal(dropped(t.root, ZT_DROP_RELAY_HOPS), 5);
    sim_assert(t.s, sim_link(t.root, t.b)->datagrams - to_b <= 3 + 1);
    zt_put40(r.p + ZT_PKT_DEST, 0x1234567890);
    r.p[ZT_PKT_FLAGS] &= (uint8_t)~ZT_FLAG_HOPS;
    sim_inject(t.root, &t.a->ep, r.p, r.n);
    assert_int_equal(dropped(t.root, ZT_DROP_RELAY_NO_ROUTE), 1);
    sim_free(t.s);
}

/* For an address that nobody has, roots have each other; but not for the way back. */
static void roots_do_not_play_with_a_packet(void **state)
{
    struct sim *s = sim_new(32);
    struct sim_node *roots[2] = {sim_node(s, "9.0.0.1/9993"), sim_node(s, "9.0.1.1/9993")};
    sim_planet(s, 1, roots, 2);
    sim_start_all(s);
    sim_run(s, 5000);
    const struct zt_ep stranger = {.family = 4, .port = 999, .ip = {66, 6, 6, 6}};
    uint8_t p[60] = {0};
    zt_pkt_init(p, 12345, 0x1234567890, 0x1122334455, ZT_VERB_ECHO);
    sim_inject(roots[0], &stranger, p, sizeof p);
    sim_run(s, 1000);
    uint64_t relayed = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct zt_status_info info = {0};
        zt_vl1_status(roots[i]->vl1, &info);
        relayed += info.packets_relayed;
    }
    assert_int_equal(relayed, 1);
    assert_int_equal(dropped(roots[1], ZT_DROP_RELAY_NO_ROUTE), 1);
    sim_free(s);
}

static void introductions_become_rare(void **state)
{
    struct trio t = trio_make(22);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    for (int i = 0; i < 20; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 1000);
    }
    uint64_t tries = sim_link(t.a, t.b)->datagrams;
    for (int i = 0; i < 20; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 1000);
    }
    /* No more introductions; pushes come every 15 s and mean three tries each. */
    sim_assert(t.s, sim_link(t.a, t.b)->datagrams - tries <= 6);
    sim_free(t.s);
}

static void random_bytes_do_no_harm(void **state)
{
    struct trio t = trio_connected(23);
    uint64_t x = sim_seed(t.s);
    uint64_t before = state_of(t.b);
    unsigned frames = t.b->frames;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[2000];
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t n = (size_t)(x >> 33) % (i % 4 == 0 ? sizeof p : 200);
        for (size_t k = 0; k < n; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            p[k] = (uint8_t)(x >> 56);
        }
        if (n > 18 && i % 2 == 0)
            zt_put40(p + ZT_PKT_DEST, t.b->id.addr);
        if (n > 18 && i % 3 == 0)
            zt_put40(p + ZT_PKT_SRC, t.a->id.addr);
        uint64_t total = drops_total(t.b);
        sim_inject(t.b, &t.a->ep, p, n);
        bool may_wait = n > 16 && (p[13] == 0xff || (n > 18 && p[18] & ZT_FLAG_FRAGMENTED));
        sim_assert(t.s, may_wait || drops_total(t.b) > total);
    }
    assert_int_equal(t.b->frames, frames);
    assert_int_equal(state_of(t.b), before);
    sim_free(t.s);
}

/* One packet of a sender that nobody knows, and roots that ask each other: for a while, not forever
 * (found by the campaign). */
static void roots_do_not_keep_each_other_asking(void **state)
{
    struct sim *s = sim_new(1);
    struct sim_node *roots[3] = {sim_node(s, "9.0.0.1/9993"), sim_node(s, "9.0.1.1/9993"),
                                 sim_node(s, "9.0.2.1/9993")};
    sim_planet(s, 1, roots, 3);
    sim_all_links(s, (struct sim_link){.delay_ms = 30, .jitter_ms = 30});
    sim_start_all(s);
    sim_run(s, 5000);
    const struct zt_ep stranger = {.family = 4, .port = 999, .ip = {66, 6, 6, 6}};
    uint8_t p[60] = {0};
    zt_pkt_init(p, 12345, roots[0]->id.addr, 0x1122334455, ZT_VERB_ECHO);
    p[ZT_PKT_FLAGS] |= ZT_SUITE_SALSA << 3;
    for (unsigned i = 0; i < 10; i++) {
        zt_put40(p + 13, 0x1122334455 + i);
        sim_inject(roots[0], &stranger, p, sizeof p);
        sim_run(s, 130);
    }
    sim_assert(s, dropped(roots[0], ZT_DROP_UNKNOWN_SENDER) == 10);
    sim_run(s, 9000);
    uint64_t before = roots[0]->sent + roots[1]->sent + roots[2]->sent;
    sim_run(s, 30000);
    uint64_t sent = roots[0]->sent + roots[1]->sent + roots[2]->sent - before;
    sim_assert(s, sent < 60); /* HELLOs; it was more than 600 */
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replayed_packets_are_dropped),
        cmocka_unit_test(the_id_of_anothers_packet_is_not_taken),
        cmocka_unit_test(bit_flips_are_dropped_for_the_right_reason),
        cmocka_unit_test(truncated_packets_are_dropped),
        cmocka_unit_test(foreign_packets_wait_for_an_identity_and_go),
        cmocka_unit_test(invented_senders_fill_no_table),
        cmocka_unit_test(invented_senders_leave_room_for_our_own),
        cmocka_unit_test(an_invented_sender_that_stays_is_asked_for_rarely),
        cmocka_unit_test(fragments_of_strangers_fill_no_table),
        cmocka_unit_test(an_identity_without_proof_of_work_is_refused),
        cmocka_unit_test(a_known_identity_is_never_replaced),
        cmocka_unit_test(identity_checks_are_limited_by_prefix),
        cmocka_unit_test(strangers_of_all_prefixes_share_the_processor),
        cmocka_unit_test(an_identity_check_that_is_never_answered_holds_nothing_up),
        cmocka_unit_test(planet_updates_must_be_signed),
        cmocka_unit_test(only_roots_may_update_the_planet),
        cmocka_unit_test(damaged_planets_are_refused),
        cmocka_unit_test(verbs_that_only_a_root_may_send),
        cmocka_unit_test(introductions_have_an_end),
        cmocka_unit_test(an_ok_must_answer_something),
        cmocka_unit_test(requests_are_rate_limited),
        cmocka_unit_test(a_replayed_hello_makes_no_amplifier),
        cmocka_unit_test(an_ok_is_of_whom_was_asked_and_to_what_was_asked),
        cmocka_unit_test(questions_from_invented_sources_get_short_answers),
        cmocka_unit_test(worlds_do_not_go_to_invented_sources_without_end),
        cmocka_unit_test(pushes_of_strangers_have_an_end),
        cmocka_unit_test(pushed_paths_pass_the_filter_and_a_gate),
        cmocka_unit_test(unknown_and_broken_content_is_counted),
        cmocka_unit_test(compressed_packets_arrive_whole),
        cmocka_unit_test(weak_suites_carry_no_data),
        cmocka_unit_test(relaying_has_its_limits),
        cmocka_unit_test(roots_do_not_play_with_a_packet),
        cmocka_unit_test(introductions_become_rare),
        cmocka_unit_test(roots_do_not_keep_each_other_asking),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests_name("sim hostile", tests, NULL, NULL);
}
