/* Many members on one network for a long time: nodes stop, come back and move, datagrams are lost,
 * and in the end every pair that may talk has talked both ways and no node holds more than an hour
 * before.
 *
 * 40 nodes and 24 minutes by default; 200 nodes and two hours of virtual time when $ZT_TEST_ALL
 * is set. $ZT_SIM_NODES and $ZT_SIM_MINUTES override. */
#include <malloc.h>
#include <stdio.h>

#include "scene.h"

#include "base/buf.h"

#define NET 0xff0a000000000001u /* ad-hoc, form B: everybody may talk to everybody */
#define ETH 14
#define TYPE 0x88b5 /* for local experiments (IEEE 802) */
#define ROOTS 2

struct crowd {
    struct sim *s;
    unsigned n; /* members; node numbers ROOTS .. ROOTS + n - 1 */
    uint64_t chance;
    bool *heard;           /* [from * n + to] */
    unsigned nheard;       /* of n * (n - 1) */
    bool *down;            /* by member */
    int64_t *back_ms;      /* when a stopped member starts again */
    unsigned stops, moves; /* that happened */
};

static unsigned pick(struct crowd *c, unsigned below)
{
    uint64_t r;
    sim_random(&c->chance, &r, sizeof r);
    return (unsigned)(r % below);
}

static struct sim_node *member(struct crowd *c, unsigned i)
{
    return sim_node_no(c->s, ROOTS + i);
}

/* A frame's payload is the sender's number; it must arrive from the sender's MAC. */
static void on_frame(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct crowd *c = user;
    if (n < ETH + 4 || zt_be16(eth + 12) != TYPE)
        return;
    unsigned from = zt_be32(eth + ETH), at = to->no - ROOTS;
    assert_true(nwid == NET && from < c->n && at < c->n);
    assert_true(zt_be48(eth + 6) == zt_mac_of(member(c, from)->id.addr, NET));
    bool *heard = &c->heard[from * c->n + at];
    c->nheard += !*heard;
    *heard = true;
}

static void say(struct crowd *c, unsigned from, unsigned to)
{
    struct zt_now now = sim_now(c->s);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 64] = {0}, *eth = p + ZT_FRAME_HEADROOM;
    zt_put48(eth, zt_mac_of(member(c, to)->id.addr, NET));
    zt_put48(eth + 6, zt_mac_of(member(c, from)->id.addr, NET));
    zt_put16(eth + 12, TYPE);
    zt_put32(eth + ETH, from);
    (void)zt_core_frame(member(c, from)->core, &now, NET, eth, ETH + 64);
}

static void start(struct crowd *c, unsigned i)
{
    struct sim_node *m = member(c, i);
    sim_start(m);
    struct zt_now now = sim_now(c->s);
    for (unsigned k = 0; k < m->npeers; k++) /* as a node's peer cache would */
        assert_int_equal(zt_core_restore_peer(m->core, &now, m->peers[k].file, m->peers[k].n), 0);
    assert_int_equal(zt_core_join(m->core, &now, NET, NULL, 0), 0);
    c->down[i] = false;
}

static void stop(struct crowd *c, unsigned i)
{
    zt_core_save_peers(member(c, i)->core);
    sim_stop(member(c, i));
    c->down[i] = true;
    c->back_ms[i] = sim_now(c->s).mono_ms + 1000 + pick(c, 120000);
    c->stops++;
}

/* Another address, as after a change of network. */
static void move(struct crowd *c, unsigned i)
{
    struct sim_node *m = member(c, i);
    struct zt_now now = sim_now(c->s);
    m->ep.ip[1] = (uint8_t)(m->ep.ip[1] + 1);
    zt_core_set_local(m->core, &now, &m->ep, 1);
    c->moves++;
}

/* One second in the life of the crowd: some pairs that have not talked try to, a few nodes stop,
 * come back or move. */
static void second(struct crowd *c, bool churn)
{
    int64_t now_ms = sim_now(c->s).mono_ms;
    for (unsigned i = 0; i < c->n; i++)
        if (c->down[i] && now_ms >= c->back_ms[i])
            start(c, i);
    if (churn && pick(c, 4) == 0) {
        unsigned i = pick(c, c->n);
        if (!c->down[i])
            pick(c, 2) ? stop(c, i) : move(c, i);
    }
    /* Enough that all pairs have their turn in two thirds of the time, a failed one again soon. */
    unsigned tries = 2 + c->n / 16;
    for (unsigned k = 0; k < tries; k++) {
        unsigned from = pick(c, c->n), to = pick(c, c->n - 1);
        to += to >= from;
        for (unsigned skip = 0; skip < c->n && c->heard[from * c->n + to]; skip++) {
            to = (to + 1) % c->n;
            to = to == from ? (to + 1) % c->n : to;
        }
        if (!c->down[from] && !c->down[to])
            say(c, from, to);
    }
    sim_run(c->s, 1000);
}

static struct crowd crowd_new(uint64_t seed, unsigned n)
{
    struct crowd c = {.s = sim_new(seed), .n = n, .chance = seed};
    sim_with_core(c.s);
    c.heard = calloc((size_t)n * n, sizeof *c.heard);
    c.down = calloc(n, sizeof *c.down);
    c.back_ms = calloc(n, sizeof *c.back_ms);
    assert_true(c.heard != NULL && c.down != NULL && c.back_ms != NULL);
    struct sim_node *roots[ROOTS];
    for (unsigned i = 0; i < ROOTS + n; i++) {
        char ep[32];
        snprintf(ep, sizeof ep, "%u.0.%u.1/9993", 9 + i % 2, i);
        struct sim_node *node = sim_node(c.s, ep);
        if (i < ROOTS)
            roots[i] = node;
    }
    sim_planet(c.s, 1, roots, ROOTS);
    sim_all_links(c.s, (struct sim_link){.delay_ms = 15, .jitter_ms = 20, .loss_permille = 20});
    return c;
}

static void crowd_free(struct crowd *c)
{
    sim_free(c->s);
    free(c->heard);
    free(c->down);
    free(c->back_ms);
}

static unsigned from_env(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : otherwise;
}

/* What the nodes hold: everything else on the heap is constant. */
static size_t held(struct crowd *c)
{
    sim_run(c->s, 30000); /* nothing on its way */
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void every_pair_talks_and_nothing_grows(void **state)
{
    bool all = getenv("ZT_TEST_ALL") != NULL;
    unsigned n = from_env("ZT_SIM_NODES", all ? 200 : 40);
    unsigned minutes = from_env("ZT_SIM_MINUTES", all ? 120 : 24);
    assert_true(n > 1 && ROOTS + n <= SIM_NODES);
    struct crowd c = crowd_new(11, n);
    for (unsigned i = 0; i < ROOTS; i++)
        sim_start(sim_node_no(c.s, i));
    for (unsigned i = 0; i < n; i++)
        start(&c, i);
    sim_on_frame(c.s, on_frame, &c);

    size_t early = 0;
    for (unsigned t = 0; t < minutes * 60; t++) {
        second(&c, true);
        if (t == minutes * 30)
            early = held(&c);
        if (t % 600 == 599)
            print_message("%u min: %u of %u pairs, %u stops, %u moves\n", (t + 1) / 60, c.nheard,
                          n * (n - 1), c.stops, c.moves);
    }
    size_t late = held(&c);
    print_message("held: %zu kB at half time, %zu kB at the end\n", early / 1024, late / 1024);
    if (early > 0) /* a sanitizer's heap counts nothing here, and looks for leaks at the end */
        sim_assert(c.s, late < early + early / 5);

    /* In peace the last ones have no excuse. */
    for (unsigned t = 0; t < 300; t++)
        second(&c, false);
    sim_assert(c.s, c.nheard == n * (n - 1));

    /* Peers that are not talked to any more are forgotten. */
    sim_run(c.s, 3600 * 1000);
    for (unsigned i = 0; i < n; i++) {
        struct zt_status_info info;
        zt_core_status(member(&c, i)->core, &info);
        sim_assert(c.s, info.npeers <= ROOTS);
        sim_assert(c.s, info.online);
    }
    crowd_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_talks_and_nothing_grows),
    };
    return cmocka_run_group_tests_name("sim many", tests, NULL, NULL);
}
