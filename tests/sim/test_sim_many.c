/* Many members on one network for a long time: nodes stop, come back and move, datagrams are lost,
 * and in the end every pair that may talk has talked both ways, no other has, and no node holds
 * more than an hour before. Once on an open network without controller, where all may talk, and
 * once on a private one, with members in three teams, some who may talk to all teams, some who were
 * never let in, some who are thrown out, and a controller that is away at times.
 *
 * 40 nodes and 24 minutes by default; 200 nodes and two hours of virtual time when $ZT_TEST_ALL
 * is set. $ZT_SIM_NODES and $ZT_SIM_MINUTES override. */
#include <malloc.h>
#include <stdio.h>

#include "scene.h"

#include "base/buf.h"
#include "vl2/controller.h"

#define ADHOC 0xff0a000000000001u /* form B: everybody may talk to everybody */
#define ETH 14
#define TYPE 0x88b5 /* for local experiments (IEEE 802) */
#define ROOTS 2
#define FIRST (ROOTS + 1) /* node number of the first member; before it comes the controller */

#define TEAM 1 /* a tag: only members with equal values talk */
#define TEAMS 3
#define TO_ALL 7         /* a capability: its holders talk to other teams, too */
#define WINDOW_MS 300000 /* how far certificates may be apart */
/* When the last one has heard that a member was thrown out: revocations get lost, and a node that
 * was down never sees one, but certificates that are renewed soon disagree with one that isn't. */
#define OUT_MS (WINDOW_MS + 120000)

struct crowd {
    struct sim *s;
    uint64_t nwid;
    bool is_private;
    unsigned n; /* members */
    uint64_t chance;
    bool *heard;            /* [from * n + to] */
    unsigned nheard, nmust; /* of the pairs that must */
    bool *down;             /* by member */
    int64_t *back_ms;       /* when a stopped member starts again */
    int64_t out_ms;         /* when some were thrown out; 0: not yet */
    int64_t away_ms;        /* when the controller comes back; 0: it is there */
    unsigned nout;          /* frames of or to those thrown out, before */
    unsigned stops, moves;  /* that happened */
};

static struct sim_node *member(const struct crowd *c, unsigned i)
{
    return sim_node_no(c->s, FIRST + i);
}

static struct sim_node *controller(const struct crowd *c)
{
    return sim_node_no(c->s, ROOTS);
}

static bool is_stranger(const struct crowd *c, unsigned i)
{
    return c->is_private && i % 10 == 3;
}

static bool is_thrown_out(const struct crowd *c, unsigned i)
{
    return c->is_private && i % 10 == 6;
}

static bool fits(const struct crowd *c, unsigned from, unsigned to)
{
    return !c->is_private || from % TEAMS == to % TEAMS || from % 16 == 1;
}

/* May be heard now. Two who were both thrown out, and never heard of the other, have certificates
 * that agree: they may go on among themselves. */
static bool may(const struct crowd *c, unsigned from, unsigned to)
{
    bool out = c->out_ms > 0 && sim_now(c->s).mono_ms >= c->out_ms + OUT_MS &&
               is_thrown_out(c, from) != is_thrown_out(c, to);
    return !is_stranger(c, from) && !is_stranger(c, to) && !out && fits(c, from, to);
}

/* Has to be heard by the end. */
static bool must(const struct crowd *c, unsigned from, unsigned to)
{
    return from != to && may(c, from, to) && !is_thrown_out(c, from) && !is_thrown_out(c, to);
}

static unsigned pick(struct crowd *c, unsigned below)
{
    uint64_t r;
    sim_random(&c->chance, &r, sizeof r);
    return (unsigned)(r % below);
}

/* A frame's payload is the sender's number; it must arrive from the sender's MAC. */
static void on_frame(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct crowd *c = user;
    if (n < ETH + 4 || zt_be16(eth + 12) != TYPE)
        return;
    unsigned from = zt_be32(eth + ETH), at = to->no - FIRST;
    assert_true(nwid == c->nwid && from < c->n && at < c->n);
    assert_true(zt_be48(eth + 6) == zt_mac_of(member(c, from)->id.addr, nwid));
    if (!may(c, from, at))
        print_error("%u was heard by %u\n", from, at);
    sim_assert(c->s, may(c, from, at));
    bool *heard = &c->heard[from * c->n + at];
    c->nheard += !*heard && must(c, from, at);
    *heard = true;
    c->nout += is_thrown_out(c, from) || is_thrown_out(c, at);
}

static void say(struct crowd *c, unsigned from, unsigned to)
{
    struct zt_now now = sim_now(c->s);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 64] = {0}, *eth = p + ZT_FRAME_HEADROOM;
    zt_put48(eth, zt_mac_of(member(c, to)->id.addr, c->nwid));
    zt_put48(eth + 6, zt_mac_of(member(c, from)->id.addr, c->nwid));
    zt_put16(eth + 12, TYPE);
    zt_put32(eth + ETH, from);
    (void)zt_core_frame(member(c, from)->core, &now, c->nwid, eth, ETH + 64);
}

static void start(struct crowd *c, unsigned i)
{
    struct sim_node *m = member(c, i);
    sim_start(m);
    struct zt_now now = sim_now(c->s);
    for (unsigned k = 0; k < m->npeers; k++) /* as a node's peer cache would */
        assert_int_equal(zt_core_restore_peer(m->core, &now, m->peers[k].file, m->peers[k].n), 0);
    assert_int_equal(zt_core_join(m->core, &now, c->nwid, NULL, 0), 0);
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

static void throw_out(struct crowd *c)
{
    c->out_ms = sim_now(c->s).mono_ms;
    if (c->away_ms > 0)
        sim_start(controller(c));
    c->away_ms = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (is_thrown_out(c, i))
            sim_ctl_member(controller(c), c->nwid, member(c, i), false);
}

/* The controller is away for a minute each ten or so. */
static void controller_comes_and_goes(struct crowd *c, bool churn)
{
    int64_t now_ms = sim_now(c->s).mono_ms;
    if (c->away_ms > 0 && now_ms >= c->away_ms) {
        sim_start(controller(c));
        c->away_ms = 0;
    } else if (c->away_ms == 0 && churn && pick(c, 600) == 0) {
        sim_stop(controller(c));
        c->away_ms = now_ms + 1000 + pick(c, 120000);
    }
}

/* One second in the life of the crowd: some pairs that have not talked try to, and some others; a
 * few nodes stop, come back or move. */
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
    if (c->is_private)
        controller_comes_and_goes(c, churn);
    /* Enough that all pairs have their turn in two thirds of the time, a failed one again soon. */
    unsigned tries = 2 + c->n / 16;
    for (unsigned k = 0; k < tries; k++) {
        unsigned from = pick(c, c->n), to = pick(c, c->n - 1);
        to += to >= from;
        bool any = c->is_private && k % 4 == 0; /* also one that must not get through */
        for (unsigned skip = 0;
             skip < c->n && !any && (c->heard[from * c->n + to] || !must(c, from, to)); skip++)
            to = (to + 1) % c->n;
        if (from != to && !c->down[from] && !c->down[to])
            say(c, from, to);
    }
    sim_run(c->s, 1000);
}

/* A private network: teams by a tag, a capability to talk to all. */
static void make_network(struct crowd *c)
{
    static const uint8_t same_team[] = {ZT_RULE_MATCH_TAGS_DIFFERENCE, 8, 0, 0, 0, TEAM, 0, 0, 0, 0,
                                        ZT_RULE_ACTION_ACCEPT,         0};
    static const uint8_t all[] = {ZT_RULE_ACTION_ACCEPT, 0};
    struct zt_ctl_cap cap = {.id = TO_ALL, .nrules = 1, .rules = {all, sizeof all}};
    struct zt_ctl_network net = {
        .nwid = controller(c)->id.addr << 24 | 1,
        .is_private = true,
        .window_ms = WINDOW_MS,
        .ncaps = 1,
        .caps = &cap,
        .nrules = 2,
        .rules = {same_team, sizeof same_team},
    };
    sim_start(controller(c));
    c->nwid = sim_ctl_set_network(controller(c), &net);
}

static void let_in(struct crowd *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        sim_ctl_equip(controller(c), c->nwid, member(c, i), TEAM, i % TEAMS,
                      i % 16 == 1 ? TO_ALL : 0);
        if (!is_stranger(c, i))
            sim_ctl_member(controller(c), c->nwid, member(c, i), true);
    }
}

static struct crowd crowd_new(uint64_t seed, unsigned n, bool is_private)
{
    struct crowd c = {.s = sim_new(seed), .nwid = ADHOC, .n = n, .chance = seed};
    c.is_private = is_private;
    sim_with_core(c.s);
    c.heard = calloc((size_t)n * n, sizeof *c.heard);
    c.down = calloc(n, sizeof *c.down);
    c.back_ms = calloc(n, sizeof *c.back_ms);
    assert_true(c.heard != NULL && c.down != NULL && c.back_ms != NULL);
    struct sim_node *roots[ROOTS];
    for (unsigned i = 0; i < FIRST + n; i++) {
        char ep[32];
        snprintf(ep, sizeof ep, "%u.0.%u.1/9993", 9 + i % 2, i);
        struct sim_node *node = sim_node(c.s, ep);
        if (i < ROOTS)
            roots[i] = node;
    }
    sim_planet(c.s, 1, roots, ROOTS);
    sim_all_links(c.s, (struct sim_link){.delay_ms = 15, .jitter_ms = 20, .loss_permille = 20});
    for (unsigned i = 0; i < ROOTS; i++)
        sim_start(sim_node_no(c.s, i));
    if (is_private)
        make_network(&c);
    for (unsigned i = 0; i < n * n; i++)
        c.nmust += must(&c, i / n, i % n);
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

static void campaign(uint64_t seed, bool is_private)
{
    bool all = getenv("ZT_TEST_ALL") != NULL;
    unsigned n = from_env("ZT_SIM_NODES", all ? 200 : 40);
    unsigned minutes = from_env("ZT_SIM_MINUTES", all ? 120 : 24);
    assert_true(n > 1 && FIRST + n <= SIM_NODES);
    struct crowd c = crowd_new(seed, n, is_private);
    for (unsigned i = 0; i < n; i++)
        start(&c, i);
    if (is_private)
        let_in(&c);
    sim_on_frame(c.s, on_frame, &c);

    size_t early = 0;
    for (unsigned t = 0; t < minutes * 60; t++) {
        second(&c, true);
        if (is_private && t == minutes * 20)
            throw_out(&c);
        if (t == minutes * 30)
            early = held(&c);
        if (t % 600 == 599)
            print_message("%u min: %u of %u pairs, %u stops, %u moves\n", (t + 1) / 60, c.nheard,
                          c.nmust, c.stops, c.moves);
    }
    size_t late = held(&c);
    print_message("held: %zu kB at half time, %zu kB at the end\n", early / 1024, late / 1024);
    if (early > 0) /* a sanitizer's heap counts nothing here, and looks for leaks at the end */
        sim_assert(c.s, late < early + early / 5);

    /* In peace the last ones have no excuse. */
    for (unsigned t = 0; t < 300; t++)
        second(&c, false);
    sim_assert(c.s, c.nheard == c.nmust);
    sim_assert(c.s, c.nout > 0 || !is_private);

    /* Peers that are not talked to any more are forgotten. (Those thrown out go on with what they
     * have, and announce their groups to whom they knew.) */
    for (unsigned i = 0; i < n; i++)
        if (is_thrown_out(&c, i) && !c.down[i])
            stop(&c, i);
    sim_run(c.s, 3600 * 1000);
    for (unsigned i = 0; i < n; i++) {
        struct zt_status_info info;
        if (is_thrown_out(&c, i))
            continue;
        zt_core_status(member(&c, i)->core, &info);
        sim_assert(c.s, info.npeers <= (is_private ? ROOTS + 1 : ROOTS));
        sim_assert(c.s, info.online);
    }
    crowd_free(&c);
}

static void every_pair_talks_and_nothing_grows(void **state)
{
    campaign(11, false);
}

static void pairs_that_may_talk_do_and_no_others(void **state)
{
    campaign(12, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_talks_and_nothing_grows),
        cmocka_unit_test(pairs_that_may_talk_do_and_no_others),
    };
    return cmocka_run_group_tests_name("sim many", tests, NULL, NULL);
}
