/* VL1 through NATs: every kind with every kind, mappings that are forgotten after 30 s, NATs that
 * restart in mid-transfer, neighbours behind one NAT, and direct paths that break and heal. The
 * same in real namespaces: tests/netns/nat.sh. */
#include "scene.h"

#include <stdio.h>

#define HOLD_MS 30000

enum place { OPEN, FULL_CONE, ADDR_RESTRICTED, PORT_RESTRICTED, SYMMETRIC, PLACES };

static struct sim_node *put(struct sim *s, enum place place, unsigned no)
{
    static const enum sim_nat_kind kinds[PLACES] = {
        [FULL_CONE] = SIM_NAT_FULL_CONE,
        [ADDR_RESTRICTED] = SIM_NAT_ADDR_RESTRICTED,
        [PORT_RESTRICTED] = SIM_NAT_PORT_RESTRICTED,
        [SYMMETRIC] = SIM_NAT_SYMMETRIC,
    };
    char outside[32];
    snprintf(outside, sizeof outside, "9.1.0.%u%s", no, place == OPEN ? "/9993" : "");
    if (place == OPEN)
        return sim_node(s, outside);
    struct sim_nat *nat = sim_nat(s, kinds[place], outside);
    nat->hold_ms = HOLD_MS;
    /* All insides have the same addresses. */
    return sim_node_behind(s, nat, "192.168.1.2/9993");
}

static struct trio make(uint64_t seed, enum place a, enum place b)
{
    struct trio t = {.s = sim_new(seed)};
    t.root = sim_node(t.s, "9.0.0.1/9993");
    t.a = put(t.s, a, 1);
    t.b = put(t.s, b, 2);
    sim_planet(t.s, 1, &t.root, 1);
    return t;
}

static void begin(struct trio *t)
{
    sim_start_all(t->s);
    sim_assert(t->s, sim_run_until(t->s, 2000, trio_is_online, t));
    sim_say(t->a, t->b, "?", 1);
    sim_assert(t->s, sim_run_until(t->s, 2000, trio_has_pong, t));
}

static struct trio begun(uint64_t seed, enum place a, enum place b)
{
    struct trio t = make(seed, a, b);
    begin(&t);
    return t;
}

static struct trio direct(uint64_t seed, enum place a, enum place b)
{
    struct trio t = begun(seed, a, b);
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));
    return t;
}

/* The port of a symmetric NAT is known to nobody before it is used, so it can't be called, and
 * where only known ports may come in it can't call either. */
static bool can_meet(enum place a, enum place b)
{
    enum place low = a < b ? a : b, high = a < b ? b : a;
    return high != SYMMETRIC || low < PORT_RESTRICTED;
}

static void every_kind_with_every_kind(void **state)
{
    for (unsigned a = OPEN; a < PLACES; a++)
        for (unsigned b = OPEN; b < PLACES; b++)
            for (uint64_t seed = 20; seed < 24; seed++) {
                struct trio t = begun(seed, a, b);
                if (can_meet(a, b))
                    sim_assert(t.s, sim_run_until(t.s, 1500, trio_is_direct, &t));
                unsigned pongs = t.a->pongs;
                for (int i = 0; i < 50; i++) {
                    sim_say(t.a, t.b, "?", 1);
                    sim_run(t.s, 200);
                }
                sim_assert(t.s, t.a->pongs == pongs + 50);
                sim_assert(t.s, trio_is_direct(&t) == can_meet(a, b));
                sim_free(t.s);
            }
}

static void a_lost_introduction_is_made_good_soon(void **state)
{
    for (uint64_t seed = 70; seed < 90; seed++) {
        struct trio t = make(seed, PORT_RESTRICTED, PORT_RESTRICTED);
        sim_all_links(t.s, (struct sim_link){.delay_ms = 20, .loss_permille = 100});
        sim_start_all(t.s);
        sim_assert(t.s, sim_run_until(t.s, 5000, trio_is_online, &t));
        for (int i = 0; i < 80 && !trio_is_direct(&t); i++) {
            sim_say(t.a, t.b, "?", 1);
            sim_run(t.s, 100);
        }
        sim_assert(t.s, trio_is_direct(&t));
        sim_free(t.s);
    }
}

/* Nothing but heartbeats for minutes, more than once the time that a mapping lasts: then a packet
 * each way arrives directly. */
static void heartbeats_hold_mappings_of_30_s(void **state)
{
    for (unsigned a = FULL_CONE; a < PLACES; a++) {
        struct trio t = direct(30 + a, a, a == SYMMETRIC ? FULL_CONE : a);
        for (int i = 0; i < 3; i++) {
            sim_run(t.s, 101000);
            unsigned at_a = t.a->direct_frames, at_b = t.b->direct_frames;
            sim_say(t.b, t.a, "x", 1);
            sim_say(t.a, t.b, "y", 1);
            sim_run(t.s, 11);
            sim_assert(t.s, t.a->direct_frames == at_a + 1 && t.b->direct_frames == at_b + 1);
        }
        sim_free(t.s);
    }
}

/* After a long time without any traffic of ours the root still has a way in. */
static void a_node_behind_a_nat_stays_reachable_through_its_root(void **state)
{
    for (unsigned a = FULL_CONE; a < PLACES; a++) {
        struct trio t = make(40 + a, OPEN, a);
        sim_start_all(t.s);
        sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
        sim_run(t.s, 1800000);
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 200);
        sim_assert(t.s, t.a->pongs == 1);
        sim_free(t.s);
    }
}

/* Without heartbeats the NAT forgets: so the tests above can fail. */
/* Both NATs lose everything while the two talk: neither can be reached where the other saw it, so
 * the root has to introduce them again. Meanwhile it relays. */
static void forget_both(enum place a, enum place b, bool two_sockets)
{
    struct trio t = make(60 + a * PLACES + b, a, b);
    if (two_sockets) {
        sim_second_socket(t.a, 20001);
        sim_second_socket(t.b, 20002);
    }
    begin(&t);
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));
    for (int i = 0; i < 200; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_say(t.b, t.a, "?", 1);
        sim_run(t.s, 100);
    }
    unsigned before = t.b->direct_frames, pongs = t.a->pongs;
    t.a->nat->n = t.b->nat->n = 0;
    /* The new ways are slower: where they were seen before is no better for that. */
    sim_all_links(t.s, (struct sim_link){.delay_ms = 30});
    int64_t forgot = sim_now(t.s).mono_ms, again = 0, silent = 0;
    for (int i = 0; i < 900 && again == 0; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_say(t.b, t.a, "?", 1);
        sim_run(t.s, 100);
        if (silent == 0 && t.a->pongs > pongs)
            silent = sim_now(t.s).mono_ms - forgot;
        if (t.b->direct_frames > before + 5 && trio_is_direct(&t))
            again = sim_now(t.s).mono_ms - forgot;
    }
    print_message("  kinds %d and %d, %s, forget: answers after %lld ms, direct after %lld ms\n",
                  (int)a, (int)b, two_sockets ? "two sockets" : "one socket", (long long)silent,
                  (long long)again);
    sim_assert(t.s, silent > 0 && silent <= 4000);
    sim_assert(t.s, again > 0 && again <= 10000);
    sim_free(t.s);
}

static void both_nats_forget_in_mid_transfer(void **state)
{
    for (int two = 0; two < 2; two++)
        for (enum place a = FULL_CONE; a < PLACES; a++)
            for (enum place b = a; b < PLACES; b++)
                if (b != SYMMETRIC || a < PORT_RESTRICTED) /* else never direct */
                    forget_both(a, b, two);
}

static void mappings_are_forgotten(void **state)
{
    struct trio t = direct(50, PORT_RESTRICTED, OPEN);
    struct zt_ep outside = t.a->nat->outside;
    assert_true(t.a->nat->n > 0);
    outside.port = t.a->nat->map[0].port;
    sim_stop(t.a);
    sim_run(t.s, HOLD_MS);
    sim_start(t.a);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    assert_int_not_equal(t.a->nat->map[0].port, outside.port);
    sim_free(t.s);
}

static void nodes_behind_one_nat_use_the_inside(void **state)
{
    struct trio t = {.s = sim_new(29)};
    struct sim_nat *nat = sim_nat(t.s, SIM_NAT_PORT_RESTRICTED, "9.1.0.1");
    t.root = sim_node(t.s, "9.0.0.1/9993");
    t.a = sim_node_behind(t.s, nat, "192.168.1.2/9993");
    t.b = sim_node_behind(t.s, nat, "192.168.1.3/9993");
    sim_planet(t.s, 1, &t.root, 1);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_say(t.a, t.b, "?", 1); /* both push their endpoints when trust is established */
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));
    sim_free(t.s);
}

/* -- breaking and healing -- */

/* Both send every 5 ms for so long; the longest time in which nothing came to b. */
static int longest_gap(struct trio *t, int ms)
{
    unsigned got = t->b->frames;
    int since = 0, gap = 0;
    for (int i = 0; i < ms; i += 5) {
        sim_say(t->a, t->b, "x", 1);
        sim_say(t->b, t->a, "y", 1);
        sim_run(t->s, 5);
        if (t->b->frames != got)
            since = i;
        else if (i - since > gap)
            gap = i - since;
        got = t->b->frames;
    }
    return gap;
}

/* The network between breaks and heals. With two sockets each there are several paths, which all
 * die together; finding that out must not take as many times as long. */
static void break_and_heal(uint64_t seed, enum place a, enum place b, bool two_sockets)
{
    struct trio t = make(seed, a, b);
    if (two_sockets) {
        sim_second_socket(t.a, 31001);
        sim_second_socket(t.b, 31002);
    }
    begin(&t);
    (void)longest_gap(&t, 3000);
    sim_assert(t.s, trio_is_direct(&t));
    sim_block(t.a, t.b);
    int gap = longest_gap(&t, 5000);
    print_message("  places %d and %d, %s: broken for %d ms\n", a, b,
                  two_sockets ? "two sockets" : "one socket", gap);
    sim_assert(t.s, gap < 2500);
    sim_assert(t.s, !sim_is_direct(t.a, t.b) && !sim_is_direct(t.b, t.a));
    (void)longest_gap(&t, 2 * HOLD_MS); /* the NATs forget each other's endpoints, unless asked */
    sim_unblock(t.a, t.b);
    sim_assert(t.s, longest_gap(&t, 6000) < 100);
    sim_assert(t.s, trio_is_direct(&t));
    unsigned before = t.b->direct_frames, frames = t.b->frames;
    (void)longest_gap(&t, 100);
    assert_int_equal(t.b->direct_frames - before, t.b->frames - frames);
    sim_free(t.s);
}

static void a_broken_network_is_bypassed_and_taken_again(void **state)
{
    for (unsigned two = 0; two < 2; two++)
        for (uint64_t seed = 60; seed < 63; seed++) {
            break_and_heal(seed, OPEN, OPEN, two);
            break_and_heal(seed, PORT_RESTRICTED, PORT_RESTRICTED, two);
            break_and_heal(seed, ADDR_RESTRICTED, FULL_CONE, two);
        }
}

/* One way only: the receiver never answers, and the path is good. It costs a probe a second, and
 * nothing takes the relay. */
static void silence_of_the_receiver_is_no_break(void **state)
{
    struct trio t = direct(65, PORT_RESTRICTED, PORT_RESTRICTED);
    sim_run(t.s, 1000);
    uint64_t relayed = sim_link(t.a, t.root)->datagrams, back = sim_link(t.b, t.a)->datagrams;
    unsigned frames = t.b->direct_frames;
    for (int i = 0; i < 10000; i += 10) {
        sim_say(t.a, t.b, "x", 1);
        sim_run(t.s, 10);
    }
    sim_run(t.s, 20);
    assert_int_equal(t.b->direct_frames, frames + 1000);
    assert_true(sim_link(t.a, t.root)->datagrams - relayed <= 4); /* its heartbeat */
    assert_true(sim_link(t.b, t.a)->datagrams - back < 20);
    sim_free(t.s);
}

/* A question now and then, answered at once, is no reason for a probe. */
static void answered_questions_need_no_probes(void **state)
{
    struct trio t = direct(66, OPEN, OPEN);
    sim_run(t.s, 1000);
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 100);
    uint64_t before = sim_link(t.a, t.b)->datagrams;
    for (int i = 0; i < 5; i++) { /* of 1.5 s each: a heartbeat comes only after 14 s */
        sim_run(t.s, 1500);
        sim_say(t.a, t.b, "?", 1);
    }
    sim_run(t.s, 100);
    assert_int_equal(sim_link(t.a, t.b)->datagrams, before + 5);
    sim_free(t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_with_every_kind),
        cmocka_unit_test(a_lost_introduction_is_made_good_soon),
        cmocka_unit_test(heartbeats_hold_mappings_of_30_s),
        cmocka_unit_test(a_node_behind_a_nat_stays_reachable_through_its_root),
        cmocka_unit_test(mappings_are_forgotten),
        cmocka_unit_test(both_nats_forget_in_mid_transfer),
        cmocka_unit_test(nodes_behind_one_nat_use_the_inside),
        cmocka_unit_test(a_broken_network_is_bypassed_and_taken_again),
        cmocka_unit_test(silence_of_the_receiver_is_no_break),
        cmocka_unit_test(answered_questions_need_no_probes),
    };
    return cmocka_run_group_tests_name("sim nat", tests, NULL, NULL);
}
