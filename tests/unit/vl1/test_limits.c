/* Rate limits and periods of vl1.md 7, each just before and at its limit. One node stands alone;
 * the test speaks for the other side, so that nothing happens but what it sends and when. */
#include "ztest.h"

#include <stdio.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "vl1/peer.h"
#include "vl1/state.h"
#include "vl1/tx.h"

static const char id_a[] =
    "8e4df28b72:0:ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa2e16f9418bbd97"
    "02cae365f2af5fb4c420908b803a681d4daef6114d78a2d7:bd8dd6e4ce7022d2f812797a80c6ee8ad180dc4ebf30"
    "1dec8b06d1be08832bddd63a2f1cfa7b2c504474c75bdc8898ba476ef92e8e2d0509f8441985171ff16e";
static const char id_b[] =
    "7041523d0f:0:b5def5d76b2596d2da15fd480b49841bf09763ee5af17014e641758c546a132149a9b44928c5d781"
    "449567c319bcb2acd386be0b6e5424bd470f18020a4186f6:ccdd369f7158b79be56f642c612a835ac3ea28405322"
    "1c366fcab133bb24e86e4a185071290f9a6a60f1d0ee244ecedb3866700949be0a7165ae587ad9bf42ef";

/* What left, by verb, and the last of each. */
static unsigned sent[32];
static uint64_t last_id[32];
static struct zt_link last_to;
static unsigned saved;
static size_t last_saved;
static struct zt_keys keys;
static struct zt_drops drops;
static uint64_t next_id;
static struct zt_identity a, b;
static struct zt_now now;
static struct zt_vl1 *v;
static struct zt_peer *peer;
static struct zt_link link_a;

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    uint8_t p[2000];
    if (nhead < ZT_PKT_MIN || nbody != 0 || nhead > sizeof p)
        return;
    memcpy(p, head, nhead);
    uint64_t id = zt_pkt_id(p);
    bool hello = zt_pkt_suite(p) == ZT_SUITE_POLY;
    if (!hello)
        assert_int_equal(zt_open(&keys, p, nhead), 0);
    unsigned verb = p[ZT_PKT_VERB] & ZT_VERB_MASK;
    sent[verb]++;
    last_id[verb] = id;
    last_to = *to;
}

static void on_random(void *user, void *p, size_t n)
{
    next_id = next_id * 6364136223846793005u + 1442695040888963407u;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)(next_id >> (i % 8 * 8)) ^ (uint8_t)(i / 8);
}

static bool on_check(void *user, const struct zt_identity *id)
{
    return true;
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    saved += what == ZT_OBJECT_PEER;
    last_saved = n;
}

static const struct zt_host host = {
    .send = on_send, .random = on_random, .check_identity = on_check, .save = on_save};

static enum zt_verdict on_packet(void *user, const struct zt_now *t, const struct zt_rx *rx)
{
    return ZT_VERDICT_TRUSTED; /* FRAME: from a member */
}

static struct zt_link link_of(const char *text)
{
    struct zt_link link = {.sock = 0};
    assert_int_equal(zt_ep_parse(text, &link.ep), 0);
    return link;
}

static int setup(void **state)
{
    memset(sent, 0, sizeof sent);
    memset(&drops, 0, sizeof drops);
    saved = 0;
    next_id = 1;
    now = (struct zt_now){.mono_ms = 1000000, .wall_ms = 1700000000000};
    assert_int_equal(zt_crypto_init(), 0);
    assert_int_equal(zt_identity_parse(id_a, strlen(id_a), &a), 0);
    assert_int_equal(zt_identity_parse(id_b, strlen(id_b), &b), 0);
    uint8_t shared[ZT_SHARED_KEY];
    assert_int_equal(zt_identity_agree(&a, &b, shared), 0);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    assert_int_equal(
        zt_vl1_new(&(struct zt_vl1_config){.identity = &b, .host = &host, .drops = &drops}, &now,
                   &v),
        0);
    zt_vl1_set_upper(v, &(struct zt_vl1_upper){.packet = on_packet});
    zt_vl1_tick(v, &now);
    assert_int_equal(zt_peer_add(v, &now, &a, NULL, &peer), 0);
    link_a = link_of("9.0.0.1/9993");
    return 0;
}

static int teardown(void **state)
{
    zt_vl1_free(v);
    zt_keys_fini(&keys);
    return 0;
}

static void say_from(const struct zt_link *from, uint8_t verb, const void *body, size_t n,
                     unsigned hops)
{
    uint8_t p[1500];
    uint64_t id;
    on_random(NULL, &id, sizeof id);
    zt_pkt_init(p, id, b.addr, a.addr, verb);
    if (n > 0)
        memcpy(p + ZT_PKT_PAYLOAD, body, n);
    assert_int_equal(zt_seal(&keys, ZT_SUITE_SALSA, p, ZT_PKT_PAYLOAD + n), 0);
    p[ZT_PKT_FLAGS] |= (uint8_t)hops;
    zt_vl1_datagram(v, &now, from, p, ZT_PKT_PAYLOAD + n);
}

static void say(uint8_t verb, const void *body, size_t n)
{
    say_from(&link_a, verb, body, n, 0);
}

/* Answer the last packet of this verb from where it was sent to. */
static void ok_to(uint8_t verb, const struct zt_link *from)
{
    uint8_t body[9];
    body[0] = verb;
    zt_put64(body + 1, last_id[verb]);
    if (verb == ZT_VERB_HELLO) {
        uint8_t p[9 + 13 + 1] = {0};
        memcpy(p, body, 9);
        p[17] = 11; /* keeps to suite 1, which the test speaks */
        p[18] = 1;
        say_from(from, ZT_VERB_OK, p, sizeof p, 0);
    } else {
        say_from(from, ZT_VERB_OK, body, sizeof body, 0);
    }
}

static void make_path(const struct zt_link *link)
{
    zt_tx_hello(v, &now, peer, link, false);
    ok_to(ZT_VERB_HELLO, link);
    assert_non_null(zt_peer_path(peer, link));
}

static void tick_at(int64_t ms)
{
    now.mono_ms = ms;
    zt_vl1_tick(v, &now);
}

/* Let time pass as a loop does: at every deadline. */
static void run_to(int64_t ms)
{
    for (int64_t at; (at = zt_vl1_deadline(v)) <= ms;)
        tick_at(at > now.mono_ms ? at : now.mono_ms);
    now.mono_ms = ms;
}

/* ---- what others may ask ---- */

static void whois_once_per_100_ms_and_peer(void **state)
{
    uint8_t want[5];
    zt_put40(want, a.addr);
    say(ZT_VERB_WHOIS, want, 5);
    assert_int_equal(sent[ZT_VERB_OK], 1);
    now.mono_ms += 99;
    say(ZT_VERB_WHOIS, want, 5);
    assert_int_equal(sent[ZT_VERB_OK], 1);
    assert_int_equal(drops.n[ZT_DROP_RATE], 1);
    now.mono_ms += 1;
    say(ZT_VERB_WHOIS, want, 5);
    assert_int_equal(sent[ZT_VERB_OK], 2);
}

static void echo_once_per_166_ms_after_a_burst(void **state)
{
    for (unsigned i = 0; i < 9; i++)
        say(ZT_VERB_ECHO, NULL, 0);
    assert_int_equal(sent[ZT_VERB_OK], 8);
    assert_int_equal(drops.n[ZT_DROP_RATE], 1);
    now.mono_ms += 165;
    say(ZT_VERB_ECHO, NULL, 0);
    assert_int_equal(sent[ZT_VERB_OK], 8);
    now.mono_ms += 1;
    say(ZT_VERB_ECHO, NULL, 0);
    say(ZT_VERB_ECHO, NULL, 0);
    assert_int_equal(sent[ZT_VERB_OK], 9);
}

static void pushes_beyond_eight_in_a_row_are_refused(void **state)
{
    uint8_t none[2] = {0};
    for (unsigned i = 0; i < 8; i++) {
        say(ZT_VERB_PUSH_DIRECT_PATHS, none, 2);
        now.mono_ms += 30000; /* still one row */
    }
    assert_int_equal(drops.n[ZT_DROP_RATE], 1 - 1);
    say(ZT_VERB_PUSH_DIRECT_PATHS, none, 2);
    assert_int_equal(drops.n[ZT_DROP_RATE], 1);
    now.mono_ms += 30001;
    say(ZT_VERB_PUSH_DIRECT_PATHS, none, 2);
    assert_int_equal(drops.n[ZT_DROP_RATE], 1);
}

static void a_push_is_followed_to_eight_endpoints_of_a_kind(void **state)
{
    uint8_t body[2 + 20 * 11];
    struct zt_wr w = zt_wr(body, sizeof body);
    zt_wr_u16(&w, 20);
    for (unsigned i = 0; i < 20; i++) {
        zt_wr_u8(&w, 0);
        zt_wr_u16(&w, 0);
        zt_wr_u8(&w, 4);
        zt_wr_u8(&w, 6);
        const uint8_t ip[4] = {i < 10 ? 10 : 9, 0, 1, (uint8_t)i};
        zt_wr_bytes(&w, ip, 4);
        zt_wr_u16(&w, 9993);
    }
    say(ZT_VERB_PUSH_DIRECT_PATHS, body, w.n);
    /* One of them is the HELLO to where the push came from. */
    assert_int_equal(sent[ZT_VERB_HELLO] + sent[ZT_VERB_ECHO], 8 + 8 + 1);
}

static void beacons_once_per_2500_ms(void **state)
{
    uint8_t p[ZT_BEACON_SIZE] = {0};
    zt_put40(p + 8, a.addr);
    zt_vl1_datagram(v, &now, &link_a, p, sizeof p);
    assert_int_equal(sent[ZT_VERB_NOP], 1);
    assert_true(zt_link_equal(&last_to, &link_a));
    now.mono_ms += 2499;
    zt_vl1_datagram(v, &now, &link_a, p, sizeof p);
    assert_int_equal(sent[ZT_VERB_NOP], 1);
    assert_int_equal(drops.n[ZT_DROP_BEACON], 1);
    now.mono_ms += 1;
    zt_vl1_datagram(v, &now, &link_a, p, sizeof p);
    assert_int_equal(sent[ZT_VERB_NOP], 2);

    now.mono_ms += 2500;
    struct zt_link lo = link_of("127.0.0.1/9993"); /* no path may be there */
    zt_vl1_datagram(v, &now, &lo, p, sizeof p);
    zt_put40(p + 8, b.addr); /* ourselves */
    zt_vl1_datagram(v, &now, &link_a, p, sizeof p);
    zt_put40(p + 8, 0x0123456789);
    zt_vl1_datagram(v, &now, &link_a, p, sizeof p);
    assert_int_equal(sent[ZT_VERB_NOP], 2);
    assert_int_equal(drops.n[ZT_DROP_BEACON], 4);
}

/* ---- what we do by ourselves ---- */

static void an_unknown_link_is_asked_once_a_second(void **state)
{
    say(ZT_VERB_NOP, NULL, 0);
    unsigned first = sent[ZT_VERB_HELLO];
    assert_int_equal(first, 1);
    run_to(now.mono_ms + 999); /* the probe's own repeats */
    unsigned repeats = sent[ZT_VERB_HELLO];
    say(ZT_VERB_NOP, NULL, 0);
    assert_int_equal(sent[ZT_VERB_HELLO], repeats);
    now.mono_ms += 1;
    run_to(now.mono_ms);
    repeats = sent[ZT_VERB_HELLO];
    say(ZT_VERB_NOP, NULL, 0);
    assert_int_equal(sent[ZT_VERB_HELLO], repeats + 1);
}

static void our_endpoints_are_pushed_each_120_s_directly_15_s_relayed(void **state)
{
    static const struct {
        unsigned hops;
        bool low;
        int64_t pause;
    } row[] = {{0, false, 120000}, {1, false, 15000}, {0, true, 16 * 120000}, {1, true, 15000}};
    struct zt_ep own = link_of("9.0.0.2/1").ep;
    zt_vl1_set_local(v, &now, &own, 1);
    for (unsigned i = 0; i < 4; i++) {
        struct zt_settings s = {.low_bandwidth = row[i].low};
        zt_vl1_configure(v, &now, &s);
        now.mono_ms += 10000000;
        unsigned n = sent[ZT_VERB_PUSH_DIRECT_PATHS];
        say_from(&link_a, ZT_VERB_FRAME, "x", 1, row[i].hops);
        assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], n + 1);
        now.mono_ms += row[i].pause - 1;
        say_from(&link_a, ZT_VERB_FRAME, "x", 1, row[i].hops);
        assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], n + 1);
        now.mono_ms += 1;
        say_from(&link_a, ZT_VERB_FRAME, "x", 1, row[i].hops);
        assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], n + 2);
    }
}

static void trust_lasts_600_s(void **state)
{
    struct zt_ep own = link_of("9.0.0.2/1").ep;
    zt_vl1_set_local(v, &now, &own, 1);
    say(ZT_VERB_NOP, NULL, 0);
    assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], 0); /* no member of anything */
    say(ZT_VERB_FRAME, "x", 1);
    assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], 1);
    now.mono_ms += 599999;
    say(ZT_VERB_NOP, NULL, 0);
    assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], 2);
    now.mono_ms += 120001;
    say(ZT_VERB_NOP, NULL, 0);
    assert_int_equal(sent[ZT_VERB_PUSH_DIRECT_PATHS], 2);
}

/* A heartbeat waits for the whole second, so that those of many peers share a wake-up. */
static void a_path_in_use_gets_an_echo_after_14_s_of_silence(void **state)
{
    for (unsigned low = 0; low < 2; low++) {
        struct zt_settings s = {.low_bandwidth = low};
        int64_t pause = low ? 25000 : 14000;
        zt_vl1_configure(v, &now, &s);
        now.mono_ms += 1000 - now.mono_ms % 1000;
        if (low == 0)
            make_path(&link_a);
        run_to(now.mono_ms + 2000); /* measured, and quiet */
        say(ZT_VERB_FRAME, "x", 1);
        peer->last_full_hello_ms = now.mono_ms;
        struct zt_path *path = zt_peer_path(peer, &link_a);
        path->last_out_ms = now.mono_ms;
        zt_peer_wake(v, peer, now.mono_ms);
        int64_t from = now.mono_ms;
        tick_at(from);
        unsigned n = sent[ZT_VERB_ECHO];
        run_to(from + pause - 1);
        assert_int_equal(sent[ZT_VERB_ECHO], n);
        run_to(from + pause);
        assert_int_equal(sent[ZT_VERB_ECHO], n + 1);
        ok_to(ZT_VERB_ECHO, &link_a);
    }
}

static void an_idle_peer_gets_no_heartbeat(void **state)
{
    make_path(&link_a);
    run_to(now.mono_ms + 2000);
    unsigned n = sent[ZT_VERB_ECHO] + sent[ZT_VERB_HELLO];
    run_to(now.mono_ms + 200000);
    assert_int_equal(sent[ZT_VERB_ECHO] + sent[ZT_VERB_HELLO], n);
}

static void a_full_hello_each_60_s(void **state)
{
    make_path(&link_a);
    say(ZT_VERB_FRAME, "x", 1);
    peer->last_full_hello_ms = now.mono_ms;
    int64_t from = now.mono_ms;
    unsigned n = sent[ZT_VERB_HELLO];
    for (int64_t t = from + 1000; t < from + 60000; t += 1000) {
        run_to(t);
        say(ZT_VERB_FRAME, "x", 1);
    }
    run_to(from + 59999);
    assert_int_equal(sent[ZT_VERB_HELLO], n);
    run_to(from + 60000);
    assert_int_equal(sent[ZT_VERB_HELLO], n + 1);
}

static void a_path_is_forgotten_243_s_after_the_last_packet(void **state)
{
    make_path(&link_a);
    int64_t from = now.mono_ms;
    run_to(from + 242999);
    assert_int_equal(peer->npaths, 1);
    run_to(from + 243000);
    assert_int_equal(peer->npaths, 0);
}

static void a_peer_is_forgotten_500_s_after_the_last_packet(void **state)
{
    say(ZT_VERB_NOP, NULL, 0);
    int64_t from = now.mono_ms;
    run_to(from + 499999);
    assert_ptr_equal(zt_peer_get(v, a.addr), peer);
    run_to(from + 500000);
    assert_null(zt_peer_get(v, a.addr));
}

/* What a member says of our endpoint is told to others for ten minutes. */
static void a_surface_is_told_for_600_s(void **state)
{
    struct zt_ep seen[4];
    struct zt_ep own = link_of("9.0.0.2/77").ep;
    zt_nat_seen(v, &now, peer, &link_a, &own);
    assert_int_equal(zt_vl1_surface(v, &now, seen, 4), 0); /* it is none yet */
    say(ZT_VERB_FRAME, "x", 1);
    zt_nat_seen(v, &now, peer, &link_a, &own);
    now.mono_ms += 599999;
    assert_int_equal(zt_vl1_surface(v, &now, seen, 4), 1);
    assert_true(zt_ep_equal(&seen[0], &own));
    now.mono_ms += 1;
    assert_int_equal(zt_vl1_surface(v, &now, seen, 4), 0);
}

/* The wall clock is told to others and compared with nothing: set wrong by years either way, no
 * timer moves. */
static void steps_of_the_wall_clock_change_nothing(void **state)
{
    make_path(&link_a);
    say(ZT_VERB_FRAME, "x", 1);
    int64_t from = now.mono_ms, deadline = zt_vl1_deadline(v);
    for (unsigned i = 0; i < 2; i++) {
        now.wall_ms = i == 0 ? 1 : 4000000000000;
        tick_at(now.mono_ms);
        assert_int_equal(zt_vl1_deadline(v), deadline);
        assert_int_equal(peer->npaths, 1);
    }
    run_to(from + 242999);
    assert_int_equal(peer->npaths, 1);
    run_to(from + 243000);
    assert_int_equal(peer->npaths, 0);
}

/* ---- paths ---- */

static struct zt_link numbered(unsigned i)
{
    char text[ZT_EP_STR];
    snprintf(text, sizeof text, "9.%u.%u.7/9993", i / 250, i % 250 + 1);
    return link_of(text);
}

/* Each path learned put the earlier ones in doubt: they have been heard since. */
static void all_heard(void)
{
    now.mono_ms += 20;
    for (unsigned i = 0; i < peer->npaths; i++)
        zt_path_heard(&peer->paths[i], now.mono_ms);
}

static void a_peer_has_up_to_64_paths_and_the_worst_makes_room(void **state)
{
    for (unsigned i = 0; i < ZT_PEER_PATHS; i++) {
        struct zt_link link = numbered(i);
        make_path(&link);
        /* Each is worse than the one before it; all were heard in the same second. */
        struct zt_path *path = zt_peer_path(peer, &link);
        path->rough = false;
        path->latency_ms = (uint16_t)(10 + i);
    }
    assert_int_equal(peer->npaths, ZT_PEER_PATHS);
    all_heard();
    struct zt_link best = numbered(0), worst = numbered(63), more = numbered(64);
    assert_ptr_equal(zt_peer_best(peer, now.mono_ms, false), zt_peer_path(peer, &best));
    make_path(&more);
    assert_int_equal(peer->npaths, ZT_PEER_PATHS);
    assert_null(zt_peer_path(peer, &worst));
    for (unsigned i = 0; i < 63; i++) {
        struct zt_link link = numbered(i);
        assert_non_null(zt_peer_path(peer, &link));
    }
    /* A silent one goes before all others, however good it was. */
    zt_peer_path(peer, &best)->silent = true;
    worst = numbered(65);
    make_path(&worst);
    assert_null(zt_peer_path(peer, &best));
    struct zt_peer_info info;
    assert_int_equal(zt_vl1_peer(v, &now, a.addr, &info), 0);
    assert_int_equal(info.npaths, ZT_INFO_PATHS);
    assert_true(info.paths[0].preferred && !info.paths[1].preferred);
}

static void among_many_paths_the_best_is_found_anew_when_it_fails(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        struct zt_link link = numbered(i);
        make_path(&link);
        zt_peer_path(peer, &link)->rough = false;
        zt_peer_path(peer, &link)->latency_ms = (uint16_t)(10 + i);
    }
    struct zt_link one = numbered(0), two = numbered(1), three = numbered(2);
    all_heard();
    int64_t t = now.mono_ms;
    assert_ptr_equal(zt_peer_best(peer, t, false), zt_peer_path(peer, &one));
    zt_peer_path(peer, &three)->latency_ms = 1; /* better; that may wait */
    assert_ptr_equal(zt_peer_best(peer, t + 19, false), zt_peer_path(peer, &one));
    assert_ptr_equal(zt_peer_best(peer, t + 20, false), zt_peer_path(peer, &three));
    zt_peer_path(peer, &three)->doubted = true; /* that may not */
    assert_ptr_equal(zt_peer_best(peer, t + 20, false), zt_peer_path(peer, &one));
    zt_peer_path(peer, &one)->silent = true;
    assert_ptr_equal(zt_peer_best(peer, t + 20, false), zt_peer_path(peer, &two));
    zt_vl1_socket_gone(v, &now, 0);
    assert_null(zt_peer_best(peer, t + 20, false));
}

static void a_peer_file_is_written_a_minute_after_a_change_and_once_a_day(void **state)
{
    make_path(&link_a);
    int64_t from = now.mono_ms;
    struct zt_link other = link_of("10.0.0.1/9993");
    run_to(from + 30000);
    make_path(&other);
    run_to(from + 59999);
    assert_int_equal(saved, 0);
    run_to(from + 60000);
    assert_int_equal(saved, 1);
    assert_int_equal(last_saved, 1 + ZT_IDENTITY_WIRE + 10 + 2 * 7);
    /* Kept alive for a day, without anything new. */
    int64_t day = 24 * 3600 * 1000;
    for (int64_t t = from + 61000; t < from + 60000 + day; t += 60000) {
        run_to(t);
        say(ZT_VERB_FRAME, "x", 1);
        say_from(&other, ZT_VERB_FRAME, "x", 1, 0);
    }
    assert_int_equal(saved, 1);
    for (int64_t t = from + 60000 + day; t < from + day + 300000; t += 60000) {
        run_to(t);
        say(ZT_VERB_FRAME, "x", 1);
        say_from(&other, ZT_VERB_FRAME, "x", 1, 0);
    }
    assert_int_equal(saved, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(whois_once_per_100_ms_and_peer),
        T(echo_once_per_166_ms_after_a_burst),
        T(pushes_beyond_eight_in_a_row_are_refused),
        T(a_push_is_followed_to_eight_endpoints_of_a_kind),
        T(beacons_once_per_2500_ms),
        T(an_unknown_link_is_asked_once_a_second),
        T(our_endpoints_are_pushed_each_120_s_directly_15_s_relayed),
        T(trust_lasts_600_s),
        T(a_path_in_use_gets_an_echo_after_14_s_of_silence),
        T(an_idle_peer_gets_no_heartbeat),
        T(a_full_hello_each_60_s),
        T(a_path_is_forgotten_243_s_after_the_last_packet),
        T(a_peer_is_forgotten_500_s_after_the_last_packet),
        T(a_surface_is_told_for_600_s),
        T(steps_of_the_wall_clock_change_nothing),
        T(a_peer_has_up_to_64_paths_and_the_worst_makes_room),
        T(among_many_paths_the_best_is_found_anew_when_it_fails),
        T(a_peer_file_is_written_a_minute_after_a_change_and_once_a_day),
    };
    return cmocka_run_group_tests_name("vl1/limits", tests, NULL, NULL);
}
