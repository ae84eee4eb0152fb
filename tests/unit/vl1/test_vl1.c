/* The face of VL1, against the recorded packets of vl1.md 9. */
#include "ztest.h"

#include "base/err.h"
#include "crypto/cipher.h"
#include "crypto/sign.h"
#include "vl1/vl1.h"

static const char id_a[] =
    "8e4df28b72:0:ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa2e16f9418bbd97"
    "02cae365f2af5fb4c420908b803a681d4daef6114d78a2d7:bd8dd6e4ce7022d2f812797a80c6ee8ad180dc4ebf30"
    "1dec8b06d1be08832bddd63a2f1cfa7b2c504474c75bdc8898ba476ef92e8e2d0509f8441985171ff16e";
static const char id_b[] =
    "7041523d0f:0:b5def5d76b2596d2da15fd480b49841bf09763ee5af17014e641758c546a132149a9b44928c5d781"
    "449567c319bcb2acd386be0b6e5424bd470f18020a4186f6:ccdd369f7158b79be56f642c612a835ac3ea28405322"
    "1c366fcab133bb24e86e4a185071290f9a6a60f1d0ee244ecedb3866700949be0a7165ae587ad9bf42ef";

/* HELLO from A to B with planet 0x08eac90a and one wanted moon, before masking (vl1.md 9.6). */
static const char hello_plain[] =
    "01020304050607ff7041523d0f8e4df28b72000000000000000000010c010e000100000180000000"
    "008e4df28b7200ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa"
    "2e16f9418bbd9702cae365f2af5fb4c420908b803a681d4daef6114d78a2d700040a010203270900"
    "00000008eac90a0000017ee95760cd00017f00000000deadbeef0000000000000000";
static const char hello_wire[] =
    "01020304050607ff7041523d0f8e4df28b7200922a0c9fe94346de010c010e000100000180000000"
    "008e4df28b7200ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa"
    "2e16f9418bbd9702cae365f2af5fb4c420908b803a681d4daef6114d78a2d700040a010203270900"
    "00000008eac90a0000017ee95760cdbf89d515b461a7429dba539bdb2c30958e3966";
static const char hello_ok_wire[] =
    "09090909090909098e4df28b727041523d0f88a4450bf762b99481e4a85c2d3019228d1e14c954deba"
    "e43a99f431e1017a2bdc8e93ed0364977fe5";

/* The world around one node. */
static struct {
    uint8_t sent[8][2000];
    size_t n[8];
    struct zt_link to[8];
    unsigned nsent;
    uint8_t random; /* every random byte */
    struct zt_identity checked;
    unsigned nchecked;
    bool busy;
    unsigned peer_events;
    uint64_t peer_told; /* the last of them */
} out;

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    unsigned i = out.nsent++ % 8;
    assert_true(nhead + nbody <= sizeof out.sent[i]);
    memcpy(out.sent[i], head, nhead);
    if (nbody > 0)
        memcpy(out.sent[i] + nhead, body, nbody);
    out.n[i] = nhead + nbody;
    out.to[i] = *to;
}

static void on_random(void *user, void *p, size_t n)
{
    memset(p, out.random, n);
}

static bool on_check(void *user, const struct zt_identity *id)
{
    out.checked = *id;
    out.nchecked++;
    return !out.busy;
}

static void on_event(void *user, const struct zt_event *ev)
{
    if (ev->kind != ZT_EVENT_PEER)
        return;
    out.peer_events++;
    out.peer_told = ev->id;
}

static const struct zt_host host = {
    .send = on_send, .random = on_random, .check_identity = on_check, .event = on_event};
static struct zt_drops drops;

static struct zt_vl1 *make(const char *text, const struct zt_now *now, const uint8_t *planet,
                           size_t n)
{
    struct zt_identity id;
    struct zt_vl1 *v = NULL;
    assert_int_equal(zt_crypto_init(), 0);
    assert_int_equal(zt_identity_parse(text, strlen(text), &id), 0);
    memset(&out, 0, sizeof out);
    memset(&drops, 0, sizeof drops);
    out.random = 9;
    assert_int_equal(
        zt_vl1_new(
            &(struct zt_vl1_config){
                .identity = &id, .host = &host, .drops = &drops, .planet = planet, .nplanet = n},
            now, &v),
        0);
    return v;
}

static size_t unhex(const char *hex, uint8_t *p)
{
    assert_int_equal(zt_hex_decode(hex, p, strlen(hex) / 2), 0);
    return strlen(hex) / 2;
}

static struct zt_link link_of(const char *ep)
{
    struct zt_link link = {.sock = 0};
    assert_int_equal(zt_ep_parse(ep, &link.ep), 0);
    return link;
}

static void a_stranger_is_answered_as_recorded(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 0x18000000010};
    struct zt_vl1 *v = make(id_b, &now, NULL, 0);
    struct zt_link in = link_of("10.9.8.7/45678");
    uint8_t p[400], want[100];
    size_t n = unhex(hello_wire, p);
    zt_vl1_datagram(v, &now, &in, p, n);
    assert_int_equal(out.nsent, 0); /* first the proof of work */
    assert_int_equal(out.nchecked, 1);
    assert_int_equal(zt_vl1_peers(v, NULL, 0), 0);

    struct zt_identity id = out.checked;
    zt_vl1_identity_checked(v, &now, &id, true);
    assert_int_equal(zt_vl1_peers(v, NULL, 0), 1);
    assert_int_equal(out.nsent, 2); /* the answer, and our HELLO to try the way back */
    n = unhex(hello_ok_wire, want);
    assert_int_equal(out.n[0], n);
    assert_memory_equal(out.sent[0], want, n);
    assert_true(zt_ep_equal(&out.to[0].ep, &in.ep));
    assert_int_equal(out.sent[1][ZT_PKT_VERB], ZT_VERB_HELLO);

    struct zt_peer_info info;
    assert_int_equal(zt_vl1_peer(v, &now, id.addr, &info), 0);
    assert_int_equal(info.version_proto, 12);
    assert_int_equal(info.version_minor, 14);
    assert_int_equal(info.npaths, 0); /* a HELLO alone makes no path */
    zt_vl1_free(v);
}

static void a_peer_that_falls_silent_is_told_once(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 0x18000000010};
    struct zt_vl1 *v = make(id_b, &now, NULL, 0);
    struct zt_link in = link_of("10.9.8.7/45678");
    uint8_t p[400];
    size_t n = unhex(hello_wire, p);
    zt_vl1_datagram(v, &now, &in, p, n);
    assert_int_equal(out.peer_events, 0); /* a stranger still */
    struct zt_identity id = out.checked;
    zt_vl1_identity_checked(v, &now, &id, true);
    assert_int_equal(out.peer_events, 1); /* heard, no path yet */
    assert_int_equal(out.peer_told, id.addr);

    struct zt_peer_info info;
    unsigned ticks = 0;
    int64_t heard_ms = now.mono_ms;
    while (zt_vl1_deadline(v) < heard_ms + 500000) {
        now.mono_ms = zt_vl1_deadline(v);
        zt_vl1_tick(v, &now);
        assert_true(ticks++ < 10); /* its deadline, no polling */
    }
    assert_int_equal(zt_vl1_peer(v, &now, id.addr, &info), 0);
    assert_true(info.is_alive);
    assert_int_equal(out.peer_events, 1);
    assert_int_equal(zt_vl1_deadline(v), heard_ms + 500000);
    now.mono_ms = heard_ms + 500000;
    zt_vl1_tick(v, &now);
    assert_int_equal(out.peer_events, 2);
    assert_int_equal(out.peer_told, id.addr);
    assert_int_equal(zt_vl1_peer(v, &now, id.addr, &info), ZT_E_NOENT);
    assert_int_equal(zt_vl1_deadline(v), ZT_NEVER);
    zt_vl1_free(v);
}

static void a_failed_check_leaves_nothing(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 1};
    struct zt_vl1 *v = make(id_b, &now, NULL, 0);
    struct zt_link in = link_of("10.9.8.7/45678");
    uint8_t p[400];
    size_t n = unhex(hello_wire, p);
    zt_vl1_datagram(v, &now, &in, p, n);
    struct zt_identity id = out.checked;
    zt_vl1_identity_checked(v, &now, &id, false);
    assert_int_equal(drops.n[ZT_DROP_IDENTITY], 1);
    zt_vl1_identity_checked(v, &now, &id, true); /* nobody waits for this any more */
    assert_int_equal(zt_vl1_peers(v, NULL, 0), 0);
    assert_int_equal(out.nsent, 0);

    out.busy = true; /* the worker has no room */
    n = unhex(hello_wire, p);
    zt_vl1_datagram(v, &now, &in, p, n);
    assert_int_equal(drops.n[ZT_DROP_TABLE_FULL], 1);
    zt_vl1_free(v);
}

static void a_hello_is_parsed_at_every_length(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 1};
    struct zt_link in = link_of("10.9.8.7/45678");
    uint8_t full[400];
    size_t n = unhex(hello_wire, full);
    struct zt_vl1 *v = make(id_b, &now, NULL, 0);
    for (size_t k = 0; k < n; k++) {
        uint8_t *p = exact_copy(full, k);
        zt_vl1_datagram(v, &now, &in, p, k);
        free(p);
        now.mono_ms += 1000;
    }
    assert_int_equal(out.nchecked, 0); /* the MAC covers the length */
    assert_int_equal(drops.n[ZT_DROP_SHORT], ZT_PKT_MIN - 1);
    assert_int_equal(drops.n[ZT_DROP_BEACON], 1); /* 13 bytes mean something else */
    assert_int_equal(drops.n[ZT_DROP_MALFORMED] + drops.n[ZT_DROP_MAC], n - ZT_PKT_MIN);
    zt_vl1_free(v);
}

static void our_hello_is_the_recorded_one(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 0x18000000000};
    static struct zt_world w = {
        .type = ZT_WORLD_PLANET, .id = 0x8eac90a, .timestamp_ms = 0x17ee95760cd, .nroots = 1};
    struct zt_identity b;
    assert_int_equal(zt_identity_parse(id_b, strlen(id_b), &b), 0);
    w.roots[0].id = b;
    w.roots[0].id.has_priv = false;
    w.roots[0].neps = 1;
    assert_int_equal(zt_ep_parse("10.1.2.3/9993", &w.roots[0].eps[0]), 0);
    uint8_t planet[ZT_WORLD_WIRE_MAX], want[400];
    struct zt_wr wr = zt_wr(planet, sizeof planet);
    zt_wr_world(&wr, &w);
    assert_false(wr.bad);
    struct zt_vl1 *v = make(id_a, &now, planet, wr.n);
    assert_int_equal(zt_vl1_deadline(v), 1000);
    zt_vl1_tick(v, &now);
    assert_int_equal(out.nsent, 1);
    assert_int_equal(out.to[0].sock, -1);
    assert_int_equal(out.to[0].ep.port, 9993);
    assert_int_equal(out.n[0], 137); /* the recorded one has 17 bytes more: a moon */

    /* Everything between the MAC and the masked tail; then the tail: no moons. */
    unhex(hello_plain, want);
    assert_memory_equal(out.sent[0] + 8, want + 8, ZT_PKT_MAC - 8);
    assert_memory_equal(out.sent[0] + ZT_PKT_VERB, want + ZT_PKT_VERB, 135 - ZT_PKT_VERB);
    struct zt_keys keys;
    uint8_t shared[ZT_SHARED_KEY], none[2] = {0};
    struct zt_identity a;
    assert_int_equal(zt_identity_parse(id_a, strlen(id_a), &a), 0);
    assert_int_equal(zt_identity_agree(&b, &a, shared), 0);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    assert_int_equal(zt_open(&keys, out.sent[0], out.n[0]), 0);
    zt_hello_mask(&keys, out.sent[0], out.n[0], 135);
    assert_memory_equal(out.sent[0] + 135, none, 2);
    zt_keys_fini(&keys);

    /* The schedule of calling a root that does not answer. */
    const int64_t after[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        assert_int_equal(zt_vl1_deadline(v), now.mono_ms + after[i]);
        now.mono_ms += after[i];
        zt_vl1_tick(v, &now);
        assert_int_equal(out.nsent, i + 2);
    }
    zt_vl1_free(v);
}

static void send_refuses_what_can_never_go(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 1};
    struct zt_vl1 *v = make(id_a, &now, NULL, 0);
    static uint8_t p[ZT_PKT_MAX + 100];
    uint8_t *payload = p + ZT_PKT_PAYLOAD;
    uint64_t id = 1;
    assert_int_equal(zt_vl1_send(v, &now, zt_vl1_address(v), 6, payload, 1, 0, &id), ZT_E_INVAL);
    assert_int_equal(zt_vl1_send(v, &now, 0, 6, payload, 1, 0, &id), ZT_E_INVAL);
    assert_int_equal(zt_vl1_send(v, &now, 0xff00000001, 6, payload, 1, 0, &id), ZT_E_INVAL);
    assert_int_equal(zt_vl1_send(v, &now, 0x10000000001, 6, payload, 1, 0, &id), ZT_E_INVAL);
    assert_int_equal(
        zt_vl1_send(v, &now, 5, 6, payload, ZT_PKT_MAX_SENT - ZT_PKT_PAYLOAD + 1, 0, &id),
        ZT_E_SPACE);
    assert_int_equal(id, 0);
    zt_vl1_free(v);
}

static void waiting_packets_are_bounded_and_expire(void **state)
{
    struct zt_now now = {.mono_ms = 1000, .wall_ms = 1};
    struct zt_vl1 *v = make(id_a, &now, NULL, 0);
    zt_vl1_tick(v, &now);
    uint8_t p[ZT_PKT_PAYLOAD + 1000] = {0};
    unsigned kept = 0;
    for (uint64_t dest = 1; dest <= 1000; dest++)
        for (int i = 0; i < 100; i++)
            kept += zt_vl1_send(v, &now, dest, 6, p + ZT_PKT_PAYLOAD, 1000, 0, NULL) == 0;
    assert_in_range(kept, 1000, (2u << 20) / 1000);
    assert_int_equal(drops.n[ZT_DROP_QUEUE_FULL], 100000 - kept);
    while (zt_vl1_deadline(v) <= 1000 + 6000) {
        now.mono_ms = zt_vl1_deadline(v);
        zt_vl1_tick(v, &now);
    }
    assert_int_equal(drops.n[ZT_DROP_QUEUE_EXPIRED], kept);
    assert_int_equal(zt_vl1_deadline(v), ZT_NEVER); /* nothing is left to do */
    zt_vl1_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_is_answered_as_recorded),
        cmocka_unit_test(a_peer_that_falls_silent_is_told_once),
        cmocka_unit_test(a_failed_check_leaves_nothing),
        cmocka_unit_test(a_hello_is_parsed_at_every_length),
        cmocka_unit_test(our_hello_is_the_recorded_one),
        cmocka_unit_test(send_refuses_what_can_never_go),
        cmocka_unit_test(waiting_packets_are_bounded_and_expire),
    };
    return cmocka_run_group_tests_name("vl1/vl1", tests, NULL, NULL);
}
