/* Hostile members, and a controller that means no good: what they send changes nothing, is counted,
 * and grows no table without bound. Who keeps out whom is in test_gates.c. */

#include "fake_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "vl2/config.h"

#define A 0x1122334455u
#define B 0x360273b27fu
#define C 0x5fa38da9deu
#define T 5000000
#define GROUP 0x01005e000001u
#define MEMBERS 6

static struct zt_vl1 *m[MEMBERS], *a, *b, *c;

/* All are members of one private network and know each other. */
static int setup(void **state)
{
    ctl_begin();
    for (unsigned i = 0; i < MEMBERS; i++) {
        m[i] = fake_node(i == 0 ? A : i == 1 ? B : i == 2 ? C : 0x7000000000u + i);
        ctl_join(m[i], &(struct ctl_plan){.timestamp = T});
    }
    a = m[0];
    b = m[1];
    c = m[2];
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct zt_com com = ctl_com(m[i], T);
        for (unsigned k = 0; k < MEMBERS; k++) {
            if (k != i)
                ctl_show_com(m[k], m[i]->addr, &com);
        }
    }
    fake_clear();
    fake_now.mono_ms += 20000;
    return 0;
}

static int teardown(void **state)
{
    fake_end();
    return 0;
}

static void a_while(void)
{
    fake_now.mono_ms += 10000;
}

/* ---- what members pass on dies out ---- */

static void fast_pieces_die_out(void **state)
{
    struct ctl_plan plan = {.timestamp = T + 1};
    uint8_t dict[4096], p[ZT_PAYLOAD_MAX];
    size_t total = ctl_dictionary(b, &plan, dict, sizeof dict);

    /* Known ids with other contents are refused and not passed on; new ones are, once. */
    size_t n = ctl_chunk(dict, total, 0, total, 1, ZT_CHUNK_FAST, p);
    fake_inject(a, CTL, ZT_VERB_NETWORK_CONFIG, p, n);
    assert_int_equal(fake_pump(), 0);
    for (uint64_t update = 1001; update <= 1002; update++) {
        n = ctl_chunk(dict, total, 0, total, update, ZT_CHUNK_FAST, p);
        fake_inject(a, CTL, ZT_VERB_NETWORK_CONFIG, p, n);
        unsigned sent = fake_pump();
        assert_true(sent >= MEMBERS - 1);
        assert_true(sent <= MEMBERS * MEMBERS + 1);      /* each to each, and b's answer */
        fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p, n); /* and again: known */
        assert_int_equal(fake_pump(), 0);
    }
    /* The one it was for has it. */
    assert_int_equal(ctl_net(b)->cfg->timestamp, T + 1);
    assert_int_equal(ctl_net(c)->cfg->timestamp, T);
    assert_true(c->drops.n[ZT_DROP_CONFIG] > 0);
}

static void fast_revocations_die_out(void **state)
{
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_COM, 0, T, ZT_REVOCATION_FAST);

    ctl_show_revocation(b, CTL, &rev);
    unsigned sent = fake_pump();
    assert_true(sent <= MEMBERS * MEMBERS);
    for (unsigned i = 1; i < MEMBERS; i++)
        assert_null(zt_network_gate(ctl_net(m[i]), &fake_now, A));
    a_while();
    for (unsigned i = 1; i < MEMBERS; i++)
        ctl_show_revocation(m[i], C, &rev);
    assert_int_equal(fake_pump(), 0);
}

static void a_flood_of_news_is_passed_on_within_limits(void **state)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < 200; i++) {
        struct zt_revocation rev = ctl_revocation(A, ZT_CRED_TAG, i, T, ZT_REVOCATION_FAST);
        ctl_show_revocation(b, 0x2000000000u + i, &rev); /* each from somebody else */
        sent += fake_count(b, ZT_VERB_NETWORK_CREDENTIALS);
        fake_clear();
    }
    assert_true(sent <= 64 * MEMBERS);
    assert_true(b->drops.n[ZT_DROP_RATE] > 0);
}

static void more_revocations_than_fit(void **state)
{
    uint64_t refused = 0;

    for (unsigned i = 0; i < ZT_MEMBER_REVOKED + 50; i++) {
        struct zt_revocation rev = ctl_revocation(A, ZT_CRED_TAG, i, T, ZT_REVOCATION_FAST);
        refused = b->drops.n[ZT_DROP_CREDENTIAL];
        ctl_show_revocation(b, 0x2000000000u + i, &rev);
    }
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], 50);
    assert_int_equal(refused, 49);
    /* Once they are too old to matter they make room. */
    a_while();
    ctl_configure(b, &(struct ctl_plan){.timestamp = T + CTL_DELTA + 2});
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_TAG, 9999, T + CTL_DELTA, 0);
    ctl_show_revocation(b, CTL, &rev);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], 50);
}

/* Who was put out keeps silent until everybody has forgotten it, and comes back with what it had. */
static void a_revocation_outlives_the_memory_of_its_node(void **state)
{
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_COM, 0, T, 0);
    struct zt_com com = ctl_com(a, T);

    assert_non_null(zt_network_gate(ctl_net(b), &fake_now, A));
    assert_non_null(zt_network_gate(ctl_net(b), &fake_now, C));
    ctl_show_revocation(b, CTL, &rev);
    assert_null(zt_network_gate(ctl_net(b), &fake_now, A));
    b->sees_nobody = true;
    fake_run(2 * ZT_LIKE_INTERVAL_MS);
    b->sees_nobody = false;
    ctl_show_com(b, A, &com);
    assert_null(zt_network_gate(ctl_net(b), &fake_now, A));
    assert_null(zt_member_find(ctl_net(b), C)); /* of others nothing is kept */
    /* Once such a certificate is too old in any case, it is forgotten too. */
    ctl_configure(b, &(struct ctl_plan){.timestamp = T + CTL_DELTA + 2});
    b->sees_nobody = true;
    fake_run(2 * ZT_LIKE_INTERVAL_MS);
    assert_null(zt_member_find(ctl_net(b), A));
}

/* The same in a network of more members than there are records. */
static void a_revocation_is_the_last_to_make_room(void **state)
{
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_TAG, 5, T, 0);
    struct zt_tag tag = ctl_tag(A, 5, 6, T);

    ctl_show_revocation(b, CTL, &rev);
    for (unsigned i = 0; i < 2 * ZT_MEMBERS_MAX; i++)
        assert_non_null(zt_member_get(ctl_net(b), 0x2000000000u + i));
    assert_int_equal(ctl_net(b)->members.count, ZT_MEMBERS_MAX);
    assert_null(zt_member_find(ctl_net(b), C));
    assert_int_equal(zt_member_tag(ctl_net(b), &fake_now, &tag), ZT_ACCEPT_REJECTED);
}

static void old_tags_make_room(void **state)
{
    for (uint32_t i = 0; i < ZT_MEMBER_TAGS; i++) {
        struct zt_tag tag = ctl_tag(A, 2 * i, 1, T);
        assert_int_equal(zt_member_tag(ctl_net(b), &fake_now, &tag), ZT_ACCEPT_NEW);
    }
    struct zt_tag tag = ctl_tag(A, 1, 1, T);
    assert_int_equal(zt_member_tag(ctl_net(b), &fake_now, &tag), ZT_ACCEPT_REJECTED);
    ctl_configure(b, &(struct ctl_plan){.timestamp = T + CTL_DELTA + 1});
    tag = ctl_tag(A, 1, 1, T + CTL_DELTA);
    assert_int_equal(zt_member_tag(ctl_net(b), &fake_now, &tag), ZT_ACCEPT_NEW);
    const struct zt_holdings *h = zt_member_holdings(ctl_net(b), zt_member_find(ctl_net(b), A));
    assert_int_equal(h->ntags, 1);
}

/* ---- credentials of others ---- */

static void showing_somebody_elses_credentials_earns_nothing(void **state)
{
    const uint64_t stranger = 0x3333333333u;
    struct zt_com com = ctl_com(a, T + 1);
    struct zt_tag tag = ctl_tag(A, 5, 6, T);
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_TAG, 5, T - 1, 0);

    assert_int_equal(ctl_show_com(b, stranger, &com), ZT_VERDICT_OK); /* true, and A's */
    assert_int_equal(ctl_show_tag(b, stranger, &tag), ZT_VERDICT_OK);
    assert_int_equal(ctl_show_revocation(b, stranger, &rev), ZT_VERDICT_OK);
    assert_null(zt_network_gate(ctl_net(b), &fake_now, stranger));
    assert_null(zt_member_find(ctl_net(b), stranger));
    assert_non_null(zt_network_gate(ctl_net(b), &fake_now, A));
}

static void nobody_tells_us_about_ourselves(void **state)
{
    struct zt_com com = ctl_com(b, T + 1);
    struct zt_tag tag = ctl_tag(B, 5, 6, T);
    struct zt_revocation rev = ctl_revocation(B, ZT_CRED_COM, 0, T + 1, ZT_REVOCATION_FAST);

    ctl_show_com(b, A, &com);
    ctl_show_tag(b, A, &tag);
    ctl_show_revocation(b, A, &rev);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], 3);
    assert_int_equal(fake_npackets, 0);
    assert_null(zt_member_find(ctl_net(b), B));
}

/* The answer goes to where the question seems to come from. */
static void a_gather_from_an_unproven_place_gets_few(void **state)
{
    uint8_t p[23] = {0};

    for (unsigned i = 0; i < 20; i++)
        zt_mcast_add(&b->vl2->mcast, &fake_now, (struct zt_group_id){CTL_NWID, GROUP, 0},
                     0x4400000000u + i);
    zt_put64(p, CTL_NWID);
    zt_put48(p + 9, GROUP);
    zt_put32(p + 19, 1000);
    for (unsigned i = 0; i < 2; i++) {
        fake_clear();
        fake_unproven = i == 0;
        fake_inject(b, A, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
        assert_int_equal(zt_be16(fake_find(b, ZT_VERB_OK)->p + 22), i == 0 ? 16 : 20);
    }
}

/* Each costs 60 us to check, and anybody may attach one to a frame. */
static void forged_signatures_have_an_end(void **state)
{
    const uint64_t stranger = 0x3333333333u;
    struct zt_com com = ctl_com(a, T + 1);
    uint8_t p[600], dict[4096], chunk[ZT_PAYLOAD_MAX];
    struct zt_wr w = zt_wr(p, sizeof p);

    com.sig[5] ^= 1;
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u8(&w, 0x01);
    zt_wr_com(&w, &com);
    zt_wr_u48(&w, zt_mac_of(B, CTL_NWID));
    zt_wr_u48(&w, zt_mac_of(stranger, CTL_NWID));
    zt_wr_u16(&w, 0x0800);
    for (unsigned i = 0; i < 100; i++)
        fake_inject(b, stranger, ZT_VERB_EXT_FRAME, p, w.n);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], ZT_FORGERIES);
    assert_int_equal(b->drops.n[ZT_DROP_RATE], 100 - ZT_FORGERIES);
    /* Of this node nothing is looked at now, of others all. */
    size_t total = ctl_dictionary(b, &(struct ctl_plan){.timestamp = T + 1}, dict, sizeof dict);
    size_t n = ctl_chunk(dict, total, 0, total, 77, 0, chunk);
    fake_inject(b, stranger, ZT_VERB_NETWORK_CONFIG, chunk, n);
    assert_int_equal(ctl_net(b)->cfg->timestamp, T);
    fake_inject(b, C, ZT_VERB_NETWORK_CONFIG, chunk, n);
    assert_int_equal(ctl_net(b)->cfg->timestamp, T + 1);
    fake_now.mono_ms += 3000;
    for (unsigned i = 0; i < 100; i++)
        fake_inject(b, stranger, ZT_VERB_EXT_FRAME, p, w.n);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], ZT_FORGERIES + 3);
}

/* ---- counts and times ---- */

static void counts_larger_than_the_packet(void **state)
{
    uint8_t p[64] = {0};
    uint64_t members = ctl_net(b)->members.count;
    struct zt_group_id group = {CTL_NWID, GROUP, 0};

    memset(p, 0xff, sizeof p);
    p[0] = 0; /* no certificates of membership, then 65535 capabilities */
    assert_int_equal(fake_inject(b, A, ZT_VERB_NETWORK_CREDENTIALS, p, sizeof p),
                     ZT_VERDICT_IGNORED);
    assert_int_equal(b->drops.n[ZT_DROP_MALFORMED], 1);
    /* 65535 members of a group, in 10 bytes. */
    zt_put64(p, CTL_NWID);
    zt_put48(p + 8, GROUP);
    zt_put32(p + 14, 0);
    zt_put32(p + 18, UINT32_MAX);
    zt_put16(p + 22, UINT16_MAX);
    zt_put40(p + 24, 0x4444444444u);
    zt_put40(p + 29, 0x4444444445u);
    zt_mcast_add(&b->vl2->mcast, &fake_now, group, C);
    fake_inject_ok(b, A, ZT_VERB_MULTICAST_GATHER, p, 36);
    assert_int_equal(b->drops.n[ZT_DROP_MALFORMED], 2);
    assert_int_equal(zt_mcast_count(&b->vl2->mcast, group), 3);
    assert_int_equal(ctl_net(b)->members.count, members);
}

/* Who is asked for members of a group may not make groups, nor name more members than were asked
 * for. */
static void answers_without_end(void **state)
{
    uint8_t p[24 + 5 * 1000];
    struct zt_group_id group = {CTL_NWID, GROUP, 0};

    zt_put64(p, CTL_NWID);
    zt_put48(p + 8, GROUP);
    zt_put32(p + 18, 1000);
    zt_put16(p + 22, 1000);
    for (unsigned i = 0; i < 1000; i++)
        zt_put40(p + 24 + 5 * i, 0x4400000000u + i);
    for (unsigned i = 0; i < 100; i++) {
        zt_put32(p + 14, 1 + i);
        fake_inject_ok(b, A, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    }
    assert_int_equal(b->vl2->mcast.ngroups, 0);
    assert_int_equal(b->drops.n[ZT_DROP_UNEXPECTED_OK], 100);
    zt_put32(p + 14, 0);
    zt_mcast_add(&b->vl2->mcast, &fake_now, group, C);
    fake_inject_ok(b, A, ZT_VERB_MULTICAST_GATHER, p, sizeof p);
    assert_int_equal(b->vl2->mcast.nmembers, 1 + ctl_net(b)->cfg->multicast_limit + 1);
    assert_int_equal(b->drops.n[ZT_DROP_TABLE_FULL], 1);
}

static void groups_without_end(void **state)
{
    uint8_t p[18 * 500];

    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 500; i++) {
            zt_put64(p + 18 * i, CTL_NWID);
            zt_put48(p + 18 * i + 8, GROUP);
            zt_put32(p + 18 * i + 14, round * 500 + i);
        }
        fake_inject(b, A, ZT_VERB_MULTICAST_LIKE, p, sizeof p);
    }
    assert_int_equal(b->vl2->mcast.nmembers, ZT_MCAST_PER_SENDER);
    assert_int_equal(b->drops.n[ZT_DROP_TABLE_FULL] + b->drops.n[ZT_DROP_RATE],
                     5000 - ZT_MCAST_PER_SENDER);
    assert_true(b->drops.n[ZT_DROP_TABLE_FULL] >= ZT_MCAST_PER_SENDER);
}

/* Compressed, the same group 500 times is a hundred bytes, and each is searched for. */
static void likes_without_end(void **state)
{
    uint8_t p[18 * 500];

    for (unsigned i = 0; i < 500; i++) {
        zt_put64(p + 18 * i, CTL_NWID);
        zt_put48(p + 18 * i + 8, GROUP);
        zt_put32(p + 18 * i + 14, i % 2);
    }
    for (unsigned i = 0; i < 20; i++)
        fake_inject(b, A, ZT_VERB_MULTICAST_LIKE, p, sizeof p);
    assert_int_equal(b->drops.n[ZT_DROP_RATE], 20 * 500 - 1 - 2 * ZT_MCAST_PER_SENDER);
    fake_now.mono_ms += 60000;
    uint64_t before = b->drops.n[ZT_DROP_RATE];
    for (unsigned i = 0; i < 5; i++)
        fake_inject(b, A, ZT_VERB_MULTICAST_LIKE, p, sizeof p);
    assert_true(b->drops.n[ZT_DROP_RATE] - before < 5 * 500 - ZT_MCAST_PER_SENDER + 1);
    assert_int_equal(b->vl2->mcast.nmembers, 2);
}

static void configurations_at_the_ends_of_time(void **state)
{
    static const int64_t times[] = {INT64_MAX, INT64_MAX - 1, 0, 1};
    struct zt_com com = ctl_com(a, T);

    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        ctl_configure(b, &(struct ctl_plan){.timestamp = times[i]});
        assert_int_equal(ctl_net(b)->cfg->timestamp, times[i]);
        ctl_show_com(b, A, &com);
        assert_null(zt_network_gate(ctl_net(b), &fake_now, A));
        struct zt_tag tag = ctl_tag(A, 5, 6, times[i] / 2);
        ctl_show_tag(b, A, &tag);
        zt_member_holdings(ctl_net(b), zt_member_find(ctl_net(b), A));
        a_while();
    }
    /* A later word of the controller puts it right. */
    ctl_configure(b, &(struct ctl_plan){.timestamp = T});
    assert_non_null(zt_network_gate(ctl_net(b), &fake_now, A));
}

static bool rules_out(const char *assigned, const char *endpoint)
{
    struct zt_ep ep;
    assert_int_equal(zt_ep_parse(assigned, &ctl_net(b)->cfg->addrs[0]), 0);
    assert_int_equal(zt_ep_parse(endpoint, &ep), 0);
    return b->upper.is_virtual(b->upper.user, &ep);
}

/* What a network assigns may keep paths out of itself, but not out of everything. */
static void addresses_that_cover_the_internet(void **state)
{
    assert_true(rules_out("10.147.20.5/24", "10.147.20.9/9993"));
    assert_true(rules_out("fd00::5/64", "fd00::9/9993"));
    assert_false(rules_out("9.0.0.5/8", "9.0.0.1/9993"));
    assert_false(rules_out("10.0.0.5/0", "9.0.0.1/9993"));
    assert_false(rules_out("10.0.0.5/0", "192.168.1.1/9993"));
    assert_false(rules_out("2001:db8::5/0", "2001:db9::1/9993"));
}

static void pieces_of_impossible_configurations(void **state)
{
    struct ctl_plan plan = {.timestamp = T + 1};
    uint8_t dict[4096], p[ZT_PAYLOAD_MAX];
    size_t total = ctl_dictionary(b, &plan, dict, sizeof dict);
    static const uint32_t totals[] = {0, ZT_NETCONF_MAX, UINT32_MAX};

    for (unsigned i = 0; i < 3; i++) {
        struct zt_wr w = zt_wr(p, sizeof p);
        uint8_t sig[ZT_SIG];
        zt_wr_chunk_text(&w, CTL_NWID, dict, total, 0, 900 + i, totals[i], 0);
        zt_identity_sign(&ctl_identity, p, w.n, sig);
        zt_wr_chunk_sig(&w, sig);
        fake_inject(b, CTL, ZT_VERB_NETWORK_CONFIG, p, w.n);
    }
    assert_int_equal(b->drops.n[ZT_DROP_MALFORMED], 3);
    assert_int_equal(ctl_net(b)->cfg->timestamp, T);
    assert_int_equal(fake_npackets, 0);
}

/* ---- asking ---- */

static void being_asked_for_credentials_is_limited(void **state)
{
    uint8_t body[8];

    zt_put64(body, CTL_NWID);
    for (unsigned i = 0; i < 50; i++) {
        fake_inject_error(b, A, ZT_VERB_FRAME, ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE, body, 8);
        fake_now.mono_ms += 100;
    }
    unsigned pushes = fake_count(b, ZT_VERB_NETWORK_CREDENTIALS);
    assert_true(pushes >= 4 && pushes <= 5);
}

static void a_revoked_node_is_asked_and_let_in_again(void **state)
{
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_COM, 0, T, 0);

    ctl_show_revocation(b, CTL, &rev);
    fake_clear();
    ctl_frame(b, A);
    ctl_frame(b, A);
    assert_int_equal(b->drops.n[ZT_DROP_RECIPIENT], 2);
    assert_int_equal(fake_count(b, ZT_VERB_ERROR), 1);
    assert_int_equal(fake_count(b, ZT_VERB_FRAME), 0);
    /* It answers with what it has: that was revoked. */
    fake_pump();
    assert_int_equal(a->nframes, 0);
    /* It has been authorised again: it shows that, and gets what waits. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = T + 5});
    fake_now.mono_ms += 2000;
    ctl_frame(b, A);
    fake_pump();
    assert_int_equal(a->nframes, 3);
}

/* Whoever asks a root for the members of a group may be told of somebody who is none. */
static void a_stranger_in_a_group_gets_nothing(void **state)
{
    struct zt_vl1 *stranger = fake_node(0x3333333333u);
    struct zt_group_id id = {CTL_NWID, GROUP, 0};
    uint8_t p[30] = {0x45};

    ctl_join(stranger, NULL);
    zt_mcast_add(&b->vl2->mcast, &fake_now, id, stranger->addr);
    zt_mcast_add(&b->vl2->mcast, &fake_now, id, A);
    fake_clear();
    assert_int_equal(
        fake_frame_out(b, CTL_NWID, GROUP, zt_mac_of(B, CTL_NWID), 0x0800, p, sizeof p), 0);
    assert_int_equal(fake_count(b, ZT_VERB_MULTICAST_FRAME), 1);
    fake_pump();
    assert_int_equal(a->nframes, 1);
    ctl_frame(b, stranger->addr);
    fake_now.mono_ms += 2000;
    ctl_frame(b, stranger->addr);
    fake_pump();
    assert_int_equal(stranger->drops.n[ZT_DROP_NO_CONFIG], 0); /* not even came */
    assert_int_equal(stranger->nframes, 0);
}

/* A new configuration for which there is no memory leaves none, while multicasts wait. */
static void a_multicast_that_waits_without_a_configuration(void **state)
{
    uint8_t p[30] = {0x45};

    assert_int_equal(
        fake_frame_out(b, CTL_NWID, GROUP, zt_mac_of(B, CTL_NWID), 0x0800, p, sizeof p), 0);
    assert_int_equal(b->vl2->mcast.waiting_bytes, sizeof p);
    zt_config_drop(ctl_net(b));
    fake_run(ZT_MCAST_WAIT_MS);
    assert_int_equal(b->vl2->mcast.waiting_bytes, 0);
}

#define T_(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_(fast_pieces_die_out),
        T_(fast_revocations_die_out),
        T_(a_flood_of_news_is_passed_on_within_limits),
        T_(more_revocations_than_fit),
        T_(a_revocation_outlives_the_memory_of_its_node),
        T_(a_revocation_is_the_last_to_make_room),
        T_(old_tags_make_room),
        T_(showing_somebody_elses_credentials_earns_nothing),
        T_(nobody_tells_us_about_ourselves),
        T_(a_gather_from_an_unproven_place_gets_few),
        T_(forged_signatures_have_an_end),
        T_(counts_larger_than_the_packet),
        T_(answers_without_end),
        T_(groups_without_end),
        T_(likes_without_end),
        T_(configurations_at_the_ends_of_time),
        T_(addresses_that_cover_the_internet),
        T_(pieces_of_impossible_configurations),
        T_(being_asked_for_credentials_is_limited),
        T_(a_revoked_node_is_asked_and_let_in_again),
        T_(a_stranger_in_a_group_gets_nothing),
        T_(a_multicast_that_waits_without_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
