/* What the settings change: suites, trusted paths, blacklists, hints, sizes. */
#include "scene.h"

#include "vl1/peer.h"
#include "vl1/state.h"

static struct zt_ep ep(const char *text)
{
    struct zt_ep e;
    assert_int_equal(zt_ep_parse(text, &e), 0);
    return e;
}

static void set(struct sim_node *n, const struct zt_settings *s)
{
    struct zt_now now = sim_now(n->sim);
    zt_vl1_configure(sim_vl1(n), &now, s);
}

/* What went over the wire, by sender and suite; fragments don't show theirs. */
struct wire {
    unsigned suite[SIM_NODES][8];
    unsigned direct_plain; /* suite 2, between the two nodes watched */
    bool shown;            /* the word was seen in the clear */
    size_t largest;
};

static bool watch(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n)
{
    struct wire *w = user;
    if (n > w->largest)
        w->largest = n;
    for (size_t i = 0; i + 6 <= n; i++)
        w->shown = w->shown || memcmp(p + i, "secret", 6) == 0;
    if (n >= ZT_PKT_MIN && p[ZT_FRAG_INDICATOR_AT] != ZT_FRAG_INDICATOR)
        w->suite[from->no][zt_pkt_suite(p)]++;
    return true;
}

static void talk(struct trio *t, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 5; i++) {
        sim_say(t->a, t->b, "?", 1);
        sim_run(t->s, 200);
    }
}

static void a_node_held_to_suite_1_announces_11_and_meets_no_suite_3(void **state)
{
    struct trio t = trio_make(31);
    struct wire w = {0};
    sim_start_all(t.s);
    set(t.a, &(struct zt_settings){.suites = ZT_SUITES_SALSA});
    sim_tap(t.s, watch, &w);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    talk(&t, 10);
    sim_assert(t.s, trio_is_direct(&t) && t.a->pongs == 50);
    struct zt_peer_info info;
    struct zt_now now = sim_now(t.s);
    assert_int_equal(zt_vl1_peer(sim_vl1(t.b), &now, t.a->id.addr, &info), 0);
    assert_int_equal(info.version_proto, 11);
    assert_int_equal(w.suite[t.a->no][ZT_SUITE_AES], 0);
    assert_int_equal(w.suite[t.b->no][ZT_SUITE_AES] > 0, 1); /* with the root */
    assert_int_equal(sim_drops(t.a)->n[ZT_DROP_CIPHER], 0);
    sim_free(t.s);
}

static void a_node_held_to_suite_3_sends_and_takes_nothing_else(void **state)
{
    struct trio t = trio_make(32);
    struct wire w = {0};
    sim_start_all(t.s);
    set(t.a, &(struct zt_settings){.suites = ZT_SUITES_AES});
    sim_tap(t.s, watch, &w);
    sim_assert(t.s, sim_run_until(t.s, 5000, trio_is_online, &t));
    talk(&t, 10);
    sim_assert(t.s, trio_is_direct(&t) && t.a->pongs > 40);
    assert_int_equal(w.suite[t.a->no][ZT_SUITE_SALSA], 0);
    /* The root's first answer, before it knew our version. */
    assert_int_not_equal(sim_drops(t.a)->n[ZT_DROP_CIPHER], 0);
    sim_free(t.s);
}

static void nodes_without_a_common_suite_do_not_talk(void **state)
{
    struct trio t = trio_make(33);
    sim_start_all(t.s);
    set(t.a, &(struct zt_settings){.suites = ZT_SUITES_AES});
    set(t.b, &(struct zt_settings){.suites = ZT_SUITES_SALSA});
    sim_assert(t.s, sim_run_until(t.s, 5000, trio_is_online, &t));
    talk(&t, 10);
    assert_int_equal(t.a->pongs, 0);
    assert_int_equal(t.b->frames, 0);
    assert_int_not_equal(sim_drops(t.b)->n[ZT_DROP_CIPHER], 0);
    sim_free(t.s);
}

static struct zt_settings trusting(const char *net, uint64_t id)
{
    struct zt_settings s = {.nphysical = 1};
    s.physical[0] = (struct zt_set_physical){.net = ep(net), .trusted_path = id};
    return s;
}

static void a_trusted_path_carries_plaintext_both_ways(void **state)
{
    struct trio t = trio_connected(34);
    struct zt_settings s = trusting("9.0.0.0/24", 0x123456789abcdef0);
    struct wire w = {0};
    set(t.a, &s);
    set(t.b, &s);
    sim_tap(t.s, watch, &w);
    unsigned pongs = t.a->pongs;
    sim_say(t.a, t.b, "?secret", 7);
    sim_run(t.s, 100);
    assert_int_equal(t.a->pongs, pongs + 1);
    assert_int_equal(w.suite[t.a->no][ZT_SUITE_TRUSTED], 1);
    assert_int_equal(w.suite[t.b->no][ZT_SUITE_TRUSTED], 1);
    assert_true(w.shown);
    /* Heartbeats too, and a packet of several pieces. */
    static uint8_t big[4000];
    big[0] = '?';
    sim_say(t.a, t.b, big, sizeof big);
    sim_run(t.s, 100);
    assert_int_equal(t.a->pongs, pongs + 2);
    sim_run(t.s, 120000);
    sim_assert(t.s, trio_is_direct(&t));
    sim_free(t.s);
}

static void a_relay_is_never_shown_plaintext(void **state)
{
    struct trio t = trio_make(35);
    struct zt_settings s = trusting("9.0.0.0/24", 7);
    struct wire w = {0};
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    set(t.root, &s);
    set(t.a, &s);
    set(t.b, &s);
    sim_tap(t.s, watch, &w);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    for (int i = 0; i < 20; i++) {
        sim_say(t.a, t.b, "?secret", 7);
        sim_run(t.s, 100);
    }
    assert_int_equal(t.a->pongs, 20);
    assert_false(w.shown);
    sim_free(t.s);
}

static void plaintext_needs_the_network_and_its_id(void **state)
{
    static const struct {
        const char *net;
        uint64_t id;
    } row[] = {{"9.0.0.0/24", 8}, {"9.0.1.0/24", 7}, {"9.0.0.0/24", 0}};
    for (unsigned i = 0; i < 3; i++) {
        struct trio t = trio_connected(36 + i);
        struct zt_settings mine = trusting("9.0.0.0/24", 7),
                           theirs = trusting(row[i].net, row[i].id);
        set(t.a, &mine);
        set(t.b, &theirs);
        unsigned frames = t.b->frames;
        sim_say(t.a, t.b, "x", 1);
        sim_run(t.s, 100);
        assert_int_equal(t.b->frames, frames);
        assert_int_equal(sim_drops(t.b)->n[ZT_DROP_TRUSTED_PATH], 1);
        /* Nobody who trusts no network takes it either. */
        set(t.b, &(struct zt_settings){0});
        sim_say(t.a, t.b, "x", 1);
        sim_run(t.s, 100);
        assert_int_equal(t.b->frames, frames);
        assert_int_equal(sim_drops(t.b)->n[ZT_DROP_TRUSTED_PATH], 2);
        sim_free(t.s);
    }
}

static void the_longest_prefix_decides(void **state)
{
    struct zt_settings s = trusting("9.0.0.0/8", 7);
    s.physical[s.nphysical++] = (struct zt_set_physical){.net = ep("9.0.0.0/24"), .mtu = 1400};
    s.physical[s.nphysical++] =
        (struct zt_set_physical){.net = ep("9.0.0.3/32"), .blacklist = true};
    struct zt_ep in = ep("9.0.0.2/1"), wide = ep("9.9.0.2/1"), out = ep("8.0.0.1/1"),
                 one = ep("9.0.0.3/1");
    assert_int_equal(zt_settings_physical(&s, &in)->mtu, 1400);
    assert_int_equal(zt_settings_physical(&s, &wide)->trusted_path, 7);
    assert_null(zt_settings_physical(&s, &out));
    assert_true(zt_settings_forbid(&s, 0, &one));
    assert_false(zt_settings_forbid(&s, 0, &in));
    s.nnodes = 1;
    s.nodes[0] = (struct zt_set_node){.addr = 5, .nblacklist = 1, .blacklist = {ep("8.0.0.0/8")}};
    assert_true(zt_settings_forbid(&s, 5, &out));
    assert_false(zt_settings_forbid(&s, 6, &out));
    assert_false(zt_settings_forbid(&s, 5, &in));
}

static void datagrams_take_the_size_of_the_network(void **state)
{
    static const size_t mtus[] = {1400, 1432, 2000, 10324};
    for (unsigned i = 0; i < 4; i++) {
        struct trio t = trio_connected(40 + i);
        struct zt_settings s = {.nphysical = 1};
        struct wire w = {0};
        s.physical[0] = (struct zt_set_physical){.net = ep("9.0.0.0/8"), .mtu = (uint16_t)mtus[i]};
        set(t.a, &s);
        sim_tap(t.s, watch, &w);
        static uint8_t big[4000];
        big[0] = 'x';
        unsigned frames = t.b->frames;
        sim_say(t.a, t.b, big, sizeof big);
        sim_run(t.s, 100);
        assert_int_equal(t.b->frames, frames + 1);
        assert_true(w.largest <= mtus[i]);
        unsigned total = (unsigned)((4000 + ZT_PKT_PAYLOAD + mtus[i] - 1) / mtus[i]);
        assert_int_equal(w.largest > 4028 / (total + 1), 1); /* no more pieces than needed */
        sim_free(t.s);
    }
}

static void a_blacklisted_network_is_left_at_once_and_not_entered(void **state)
{
    struct trio t = trio_connected(50);
    struct zt_settings s = {.nphysical = 1};
    s.physical[0] = (struct zt_set_physical){.net = ep("9.0.0.3/32"), .blacklist = true};
    set(t.a, &s);
    sim_assert(t.s, !sim_is_direct(t.a, t.b));
    unsigned pongs = t.a->pongs, direct = t.b->direct_frames;
    talk(&t, 20);
    assert_int_equal(t.a->pongs, pongs + 100);    /* through the root */
    assert_int_equal(t.b->direct_frames, direct); /* but what b asks there is answered there */
    sim_assert(t.s, !sim_is_direct(t.a, t.b));
    assert_int_not_equal(sim_drops(t.a)->n[ZT_DROP_PATH], 0);

    set(t.a, &(struct zt_settings){0});
    for (int i = 0; i < 200 && !trio_is_direct(&t); i++)
        talk(&t, 1);
    sim_assert(t.s, trio_is_direct(&t));
    sim_free(t.s);
}

static void a_node_can_have_a_blacklist_of_its_own(void **state)
{
    struct trio t = trio_connected(51);
    struct zt_settings s = {.nnodes = 1};
    s.nodes[0] =
        (struct zt_set_node){.addr = t.b->id.addr, .nblacklist = 1, .blacklist = {ep("9.0.0.0/8")}};
    set(t.a, &s);
    talk(&t, 10);
    sim_assert(t.s, !sim_is_direct(t.a, t.b) && sim_is_direct(t.a, t.root));
    sim_free(t.s);
}

static void a_root_in_a_blacklisted_network_is_not_called(void **state)
{
    struct trio t = trio_make(52);
    struct zt_settings s = {.nphysical = 1};
    s.physical[0] = (struct zt_set_physical){.net = ep("9.0.0.1/32"), .blacklist = true};
    sim_start_all(t.s);
    set(t.a, &s);
    sim_run(t.s, 20000);
    assert_int_equal(sim_link(t.a, t.root)->datagrams, 0);
    sim_free(t.s);
}

/* They know each other's identity; the root, which relayed, is gone, and so are the paths. */
static void endpoints_named_for_a_node_are_tried_each_30_s(void **state)
{
    struct trio t = trio_make(53);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 10000);
    sim_stop(t.root);
    sim_run(t.s, 243000); /* the paths to the root expire */

    struct zt_settings s = {.nnodes = 1};
    s.nodes[0] = (struct zt_set_node){
        .addr = t.b->id.addr, .ntry = 2, .try_at = {ep("9.0.0.77/1"), ep("9.0.0.3/9993")}};
    set(t.a, &s);
    uint64_t before = sim_link(t.a, t.b)->datagrams;
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 3000);
    uint64_t one_try = sim_link(t.a, t.b)->datagrams - before;
    assert_true(one_try >= 1 && one_try <= ZT_PROBE_TRIES);
    for (int i = 0; i < 53; i++) { /* until 29.5 s after the first */
        sim_say(t.a, t.b, "x", 1);
        sim_run(t.s, 500);
    }
    assert_int_equal(sim_link(t.a, t.b)->datagrams - before, one_try);

    sim_link(t.a, t.b)->blocked = sim_link(t.b, t.a)->blocked = false;
    for (int i = 0; i < 4; i++) {
        sim_say(t.a, t.b, "x", 1);
        sim_run(t.s, 500);
    }
    sim_assert(t.s, sim_is_direct(t.a, t.b));
    sim_free(t.s);
}

/* The node's only socket is closed and another is made: simulated ones have no numbers, so what is
 * learned again is a path over the socket that took its place. */
static void paths_of_a_closed_socket_are_found_again_in_a_round_trip(void **state)
{
    struct trio t = trio_connected(54);
    /* Talking makes it a peer that is worth the effort. */
    talk(&t, 1);
    struct zt_now now = sim_now(t.s);
    zt_vl1_socket_gone(sim_vl1(t.a), &now, 0);
    sim_assert(t.s, !sim_is_direct(t.a, t.b) && !sim_is_direct(t.a, t.root));
    sim_run(t.s, 21);
    sim_assert(t.s, sim_is_direct(t.a, t.b) && sim_is_direct(t.a, t.root));
    struct zt_peer *peer = zt_peer_get(sim_vl1(t.a), t.b->id.addr);
    assert_int_equal(peer->npaths, 1); /* in place of the note */
    assert_int_equal(peer->paths[0].link.sock, 0);
    sim_free(t.s);
}

static void new_endpoints_are_shown_to_roots_and_busy_peers(void **state)
{
    struct trio t = trio_connected(55);
    talk(&t, 1);
    struct zt_ep eps[2] = {t.a->ep, ep("9.0.0.2/20001")};
    struct zt_now now = sim_now(t.s);
    uint64_t to_root = sim_link(t.a, t.root)->datagrams, to_b = sim_link(t.a, t.b)->datagrams;
    zt_vl1_set_local(sim_vl1(t.a), &now, eps, 2);
    assert_int_equal(sim_link(t.a, t.root)->datagrams, to_root + 1);
    assert_int_equal(sim_link(t.a, t.b)->datagrams, to_b + 1);
    zt_vl1_set_local(sim_vl1(t.a), &now, eps, 2); /* the same again */
    assert_int_equal(sim_link(t.a, t.root)->datagrams, to_root + 1);
    sim_free(t.s);
}

/* A leaf that gets a datagram for somebody else. */
static void a_leaf_relays_as_its_policy_says(void **state)
{
    struct trio t = trio_connected(56);
    struct zt_ep stranger = ep("9.0.0.99/1");
    uint8_t p[40], copy[40];
    zt_pkt_init(p, 1, t.b->id.addr, t.root->id.addr, ZT_VERB_NOP);
    memset(p + ZT_PKT_PAYLOAD, 0, sizeof p - ZT_PKT_PAYLOAD);
    sim_say(t.root, t.a, "x", 1); /* makes the root's link one of a member */
    sim_run(t.s, 100);
    static const struct {
        enum zt_set_relay policy;
        unsigned from_stranger, from_member;
    } row[] = {{ZT_RELAY_NEVER, 0, 0}, {ZT_RELAY_TRUSTED, 0, 1}, {ZT_RELAY_ALWAYS, 1, 1}};
    for (unsigned i = 0; i < 3; i++) {
        set(t.a, &(struct zt_settings){.relay = row[i].policy});
        uint64_t sent = sim_link(t.a, t.b)->datagrams,
                 refused = sim_drops(t.a)->n[ZT_DROP_RELAY_REFUSED];
        memcpy(copy, p, sizeof p);
        sim_inject(t.a, &stranger, copy, sizeof copy);
        assert_int_equal(sim_link(t.a, t.b)->datagrams, sent + row[i].from_stranger);
        memcpy(copy, p, sizeof p);
        sim_inject(t.a, &t.root->ep, copy, sizeof copy);
        assert_int_equal(sim_link(t.a, t.b)->datagrams,
                         sent + row[i].from_stranger + row[i].from_member);
        assert_int_equal(sim_drops(t.a)->n[ZT_DROP_RELAY_REFUSED],
                         refused + 2 - row[i].from_stranger - row[i].from_member);
    }
    /* Trust ends ten minutes after the last proof. */
    set(t.a, &(struct zt_settings){.relay = ZT_RELAY_TRUSTED});
    sim_run(t.s, 600000);
    uint64_t refused = sim_drops(t.a)->n[ZT_DROP_RELAY_REFUSED];
    memcpy(copy, p, sizeof p);
    sim_inject(t.a, &t.root->ep, copy, sizeof copy);
    assert_int_equal(sim_drops(t.a)->n[ZT_DROP_RELAY_REFUSED], refused + 1);
    sim_free(t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_held_to_suite_1_announces_11_and_meets_no_suite_3),
        cmocka_unit_test(a_node_held_to_suite_3_sends_and_takes_nothing_else),
        cmocka_unit_test(nodes_without_a_common_suite_do_not_talk),
        cmocka_unit_test(a_trusted_path_carries_plaintext_both_ways),
        cmocka_unit_test(a_relay_is_never_shown_plaintext),
        cmocka_unit_test(plaintext_needs_the_network_and_its_id),
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(datagrams_take_the_size_of_the_network),
        cmocka_unit_test(a_blacklisted_network_is_left_at_once_and_not_entered),
        cmocka_unit_test(a_node_can_have_a_blacklist_of_its_own),
        cmocka_unit_test(a_root_in_a_blacklisted_network_is_not_called),
        cmocka_unit_test(endpoints_named_for_a_node_are_tried_each_30_s),
        cmocka_unit_test(paths_of_a_closed_socket_are_found_again_in_a_round_trip),
        cmocka_unit_test(new_endpoints_are_shown_to_roots_and_busy_peers),
        cmocka_unit_test(a_leaf_relays_as_its_policy_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
