/* Worlds: several roots, planets that are replaced, moons; and senders that lie about them. */
#include "scene.h"

#include "base/err.h"
#include "crypto/sign.h"
#include "vl1/state.h"

#define MOON 0x1122334455

static uint64_t dropped(const struct sim_node *n, enum zt_drop d)
{
    return sim_drops(n)->n[d];
}

static int say_verb(struct sim_node *from, struct sim_node *to, uint8_t verb, const void *body,
                    size_t n)
{
    static uint8_t p[ZT_PKT_MAX];
    struct zt_now now = sim_now(from->sim);
    memcpy(p + ZT_PKT_PAYLOAD, body, n);
    return zt_vl1_send(from->vl1, &now, to->id.addr, verb, p + ZT_PKT_PAYLOAD, n, 0, NULL);
}

static enum zt_role role_of(struct sim_node *at, struct sim_node *peer)
{
    struct zt_now now = sim_now(at->sim);
    struct zt_peer_info info;
    assert_int_equal(zt_vl1_peer(at->vl1, &now, peer->id.addr, &info), 0);
    return info.role;
}

static uint64_t best_of(struct sim_node *n)
{
    struct zt_now now = sim_now(n->sim);
    return zt_vl1_best_upstream(n->vl1, &now);
}

/* Everybody's HELLOs go out each minute: after this a world has been through a root and back. */
#define DISTRIBUTED_MS 130000

/* -- making worlds -- */

enum key { RIGHT_KEY, OTHER_KEY };

static struct zt_identity key_pair(enum key which)
{
    struct zt_identity key;
    uint64_t state = 0x5eed + (uint64_t)which;
    zt_keypair_generate(sim_random, &state, &key);
    return key;
}

struct plan {
    enum zt_world_type type;
    uint64_t id, timestamp;
    struct sim_node *roots[ZT_WORLD_ROOTS]; /* NULL: no more */
    enum key signer, next;
};

static struct zt_world make(const struct plan *plan)
{
    struct zt_world w = {
        .type = plan->type, .id = plan->id, .timestamp_ms = plan->timestamp, .nroots = 0};
    struct zt_identity signer = key_pair(plan->signer), next = key_pair(plan->next);
    memcpy(w.update_key, next.pub, sizeof w.update_key);
    for (unsigned i = 0; i < ZT_WORLD_ROOTS && plan->roots[i] != NULL; i++) {
        w.roots[i].id = plan->roots[i]->id;
        w.roots[i].neps = 1;
        w.roots[i].eps[0] = plan->roots[i]->ep;
        w.nroots++;
    }
    assert_int_equal(zt_world_sign(&w, &signer), 0);
    return w;
}

static struct zt_wr wire_of(const struct zt_world *w, uint8_t *out)
{
    struct zt_wr wr = zt_wr(out, ZT_WORLD_WIRE_MAX);
    zt_wr_world(&wr, w);
    assert_false(wr.bad);
    return wr;
}

static int load(struct sim_node *n, const struct zt_world *w)
{
    uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_now now = sim_now(n->sim);
    struct zt_wr wr = wire_of(w, wire);
    return zt_vl1_load_moon(n->vl1, &now, w->id, wire, wr.n);
}

static int orbit(struct sim_node *n, uint64_t id, struct sim_node *seed)
{
    struct zt_now now = sim_now(n->sim);
    return zt_vl1_orbit(n->vl1, &now, id, seed->id.addr);
}

/* Timestamp of the moon as n holds it; 0: not held. */
static uint64_t held(struct sim_node *n, uint64_t id)
{
    struct zt_moon_info info;
    if (zt_vl1_moon(n->vl1, id, &info) != 0 || info.is_waiting)
        return 0;
    return info.world.timestamp_ms;
}

static uint64_t planet_of(struct sim_node *n)
{
    struct zt_status_info info = {0};
    zt_vl1_status(n->vl1, &info);
    return (uint64_t)info.planet_timestamp_ms;
}

/* -- a town: planet roots r and q, leaves a and b, and m, which a moon names -- */

struct town {
    struct sim *s;
    struct sim_node *r, *q, *a, *b, *m;
    uint64_t hello_id[8]; /* of the last HELLO of a to each of them */
};

static bool watch(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n)
{
    struct town *t = user;
    if (from == t->a && n > ZT_PKT_PAYLOAD && p[ZT_PKT_VERB] == ZT_VERB_HELLO &&
        zt_pkt_suite(p) == ZT_SUITE_POLY && to->no < 8 && zt_pkt_dest(p) == to->id.addr)
        t->hello_id[to->no] = zt_pkt_id(p);
    return true;
}

static void town_build(struct town *t, uint64_t seed, unsigned roots)
{
    *t = (struct town){.s = sim_new(seed)};
    t->r = sim_node(t->s, "9.0.0.1/9993");
    t->q = sim_node(t->s, "9.0.0.2/9993");
    t->a = sim_node(t->s, "9.0.0.3/9993");
    t->b = sim_node(t->s, "9.0.0.4/9993");
    t->m = sim_node(t->s, "9.0.0.5/9993");
    sim_planet(t->s, 1, (struct sim_node *[]){t->r, t->q}, roots);
    sim_tap(t->s, watch, t);
}

static bool town_online(void *user)
{
    struct town *t = user;
    return sim_online(t->a) && sim_online(t->b) && sim_online(t->m);
}

static void town_start(struct town *t)
{
    sim_start_all(t->s);
    sim_assert(t->s, sim_run_until(t->s, 2000, town_online, t));
    sim_run(t->s, 1000);
}

static struct zt_world town_moon(const struct town *t, uint64_t timestamp)
{
    return make(
        &(struct plan){.type = ZT_WORLD_MOON, .id = MOON, .timestamp = timestamp, .roots = {t->m}});
}

/* An answer to the last HELLO of a, by `from`, with these bytes where worlds are. */
static void answer_hello(struct town *t, struct sim_node *from, const void *worlds, size_t n)
{
    static uint8_t body[ZT_PKT_MAX];
    struct zt_wr w = zt_wr(body, sizeof body);
    assert_int_not_equal(t->hello_id[from->no], 0);
    zt_wr_u8(&w, ZT_VERB_HELLO);
    zt_wr_u64(&w, t->hello_id[from->no]);
    zt_wr_u64(&w, 1);
    zt_wr_u8(&w, 12);
    zt_wr_u8(&w, 1);
    zt_wr_u8(&w, 14);
    zt_wr_u16(&w, 1);
    zt_wr_u8(&w, 0); /* seen from: not said */
    zt_wr_u16(&w, (uint16_t)n);
    zt_wr_bytes(&w, worlds, n);
    assert_false(w.bad);
    assert_int_equal(say_verb(from, t->a, ZT_VERB_OK, body, w.n), 0);
    sim_run(t->s, 200);
}

static void offer(struct town *t, struct sim_node *from, const struct zt_world *world)
{
    uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_wr w = wire_of(world, wire);
    answer_hello(t, from, wire, w.n);
}

/* -- several roots -- */

static void slow(struct sim_node *a, struct sim_node *b, int delay_ms)
{
    sim_link(a, b)->delay_ms = sim_link(b, a)->delay_ms = delay_ms;
}

static void the_nearest_root_is_asked(void **state)
{
    struct town t;
    for (int near = 0; near < 2; near++) {
        town_build(&t, 1, 2);
        slow(t.a, near == 0 ? t.q : t.r, 80);
        town_start(&t);
        assert_int_equal(best_of(t.a), near == 0 ? t.r->id.addr : t.q->id.addr);
        assert_int_equal(role_of(t.a, t.r), ZT_ROLE_PLANET);
        assert_int_equal(role_of(t.a, t.q), ZT_ROLE_PLANET);
        assert_int_equal(role_of(t.r, t.q), ZT_ROLE_PLANET);
        sim_free(t.s);
    }
}

/* a and b can't reach each other directly; t->r is nearer to both. */
static void town_relayed(struct town *t, uint64_t seed)
{
    town_build(t, seed, 2);
    sim_block(t->a, t->b);
    slow(t->a, t->q, 40);
    slow(t->b, t->q, 40);
    town_start(t);
}

/* One question a tenth of a second for so long; how many were answered? */
static unsigned talk(struct town *t, int ms)
{
    unsigned before = t->a->pongs;
    for (int at = 0; at < ms; at += 100) {
        sim_say(t->a, t->b, "?", 1);
        sim_run(t->s, 100);
    }
    sim_run(t->s, 200);
    return t->a->pongs - before;
}

static void traffic_survives_the_best_root(void **state)
{
    struct town t;
    for (uint64_t seed = 10; seed < 15; seed++) {
        town_relayed(&t, seed);
        sim_assert(t.s, talk(&t, 5000) == 50);
        assert_int_equal(best_of(t.a), t.r->id.addr);

        sim_stop(t.r);
        /* 3 s of silence make it suspect, and two probes more make the other one better. */
        sim_assert(t.s, talk(&t, 6000) >= 5);
        assert_int_equal(best_of(t.a), t.q->id.addr);
        sim_assert(t.s, talk(&t, 10000) == 100);
        sim_assert(t.s, t.a->events[ZT_EVENT_OFFLINE] == 0);

        sim_start(t.r);
        sim_run(t.s, 10000);
        assert_int_equal(best_of(t.a), t.r->id.addr);
        uint64_t relayed = sim_link(t.a, t.q)->datagrams;
        sim_assert(t.s, talk(&t, 5000) == 50);
        sim_assert(t.s, sim_link(t.a, t.q)->datagrams - relayed < 10); /* heartbeats */
        sim_free(t.s);
    }
}

static void roots_that_come_and_go_by_turns(void **state)
{
    struct town t;
    town_relayed(&t, 20);
    talk(&t, 1000);
    for (int i = 0; i < 6; i++) {
        struct sim_node *victim = i % 2 == 0 ? t.r : t.q;
        sim_stop(victim);
        talk(&t, 8000);
        sim_assert(t.s, talk(&t, 3000) == 30);
        sim_start(victim);
        sim_run(t.s, 15000);
    }
    assert_int_equal(t.a->events[ZT_EVENT_OFFLINE], 0);
    assert_int_equal(t.b->events[ZT_EVENT_OFFLINE], 0);
    sim_free(t.s);
}

static void a_root_dead_from_the_start_costs_nothing(void **state)
{
    struct town t;
    town_build(&t, 30, 2);
    sim_block(t.a, t.b);
    for (unsigned i = 1; i < 5; i++)
        sim_start(sim_node_no(t.s, i)); /* all but r */
    sim_assert(t.s, sim_run_until(t.s, 500, town_online, &t));
    sim_assert(t.s, talk(&t, 2000) == 20);
    sim_free(t.s);
}

static void a_question_goes_to_another_root_when_the_best_is_silent(void **state)
{
    struct town t;
    town_relayed(&t, 40);
    /* From now on r hears nothing from a; a can't know it yet when it asks who b is. */
    sim_link(t.a, t.r)->blocked = true;
    assert_int_equal(best_of(t.a), t.r->id.addr);
    assert_null(zt_vl1_identity_of(t.a->vl1, t.b->id.addr));
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 150 + 2 * 40 + 20);
    assert_non_null(zt_vl1_identity_of(t.a->vl1, t.b->id.addr));
    sim_free(t.s);
}

static void a_leaf_known_to_one_root_only_is_found_through_the_other(void **state)
{
    struct town t;
    town_build(&t, 50, 2);
    sim_block(t.a, t.b);
    sim_block(t.a, t.q); /* a has r alone, b has q alone; the roots have each other */
    sim_block(t.b, t.r);
    town_start(&t);
    sim_assert(t.s, talk(&t, 3000) >= 25);
    assert_int_equal(t.b->direct_frames, 0);
    sim_free(t.s);
}

/* -- planets -- */

static struct zt_world planet_with(struct town *t, uint64_t timestamp, struct sim_node **roots,
                                   unsigned n)
{
    struct zt_world w;
    sim_make_planet(t->s, timestamp, roots, n, &w);
    return w;
}

static void a_planet_moves_to_another_root(void **state)
{
    struct town t;
    town_build(&t, 60, 1); /* r alone */
    town_start(&t);
    assert_int_equal(role_of(t.a, t.r), ZT_ROLE_PLANET);
    /* The operator starts q, and gives r the revision that names both, later the one without r. */
    for (unsigned revision = 2; revision <= 3; revision++) {
        struct sim_node *roots[] = {t.q, t.r};
        sim_planet(t.s, revision, roots, revision == 2 ? 2 : 1);
        sim_stop(t.q);
        sim_start(t.q);
        if (revision == 2) {
            sim_stop(t.r);
            sim_start(t.r);
        }
        sim_run(t.s, DISTRIBUTED_MS);
        assert_int_equal(planet_of(t.a), revision);
        assert_int_equal(planet_of(t.b), revision);
        assert_int_equal(planet_of(t.r), revision);
    }
    assert_int_equal(t.a->events[ZT_EVENT_PLANET], 2);
    struct zt_rd rd = zt_rd(t.a->planet, t.a->nplanet);
    struct zt_world saved;
    zt_rd_world(&rd, &saved);
    assert_true(!rd.bad && saved.timestamp_ms == 3);

    /* r is a leaf like any other now, and can go. */
    assert_false(zt_vl1_is_root(t.r->vl1));
    sim_assert(t.s, sim_online(t.r)); /* by q */
    assert_int_equal(best_of(t.a), t.q->id.addr);
    sim_stop(t.r);
    sim_block(t.a, t.b);
    sim_assert(t.s, talk(&t, 3000) == 30);
    sim_run(t.s, 60000);
    sim_assert(t.s, sim_online(t.a) && sim_online(t.b));
    sim_free(t.s);
}

static size_t upstreams(const struct sim_node *n)
{
    uint64_t out[ZT_UPSTREAMS_MAX];
    return zt_vl1_upstreams(n->vl1, out, ZT_UPSTREAMS_MAX);
}

static void a_root_cannot_change_the_planet_by_itself(void **state)
{
    struct town t;
    town_build(&t, 70, 2);
    sim_planet(t.s, 5, (struct sim_node *[]){t.r, t.q}, 2);
    town_start(&t);
    struct zt_world good = planet_with(&t, 6, &t.b, 1), w;
    uint64_t refused = dropped(t.a, ZT_DROP_WORLD);

    /* Signed by somebody else, with and without the right key inside. */
    w = make(
        &(struct plan){.type = ZT_WORLD_PLANET, .id = good.id, .timestamp = 6, .roots = {t.b}});
    offer(&t, t.r, &w);
    memcpy(w.update_key, good.update_key, sizeof w.update_key);
    offer(&t, t.r, &w);
    /* Another id, another type; the very bytes that were signed, but one. */
    w = good;
    w.id++;
    offer(&t, t.r, &w);
    w = good;
    w.type = ZT_WORLD_NULL;
    offer(&t, t.r, &w);
    w = good;
    w.roots[0].eps[0].port ^= 1;
    offer(&t, t.r, &w);
    w = good;
    w.timestamp_ms++;
    offer(&t, t.r, &w);
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 6);
    assert_int_equal(planet_of(t.a), 5);

    /* Signed rightly but older, or the same: no news, and no offence. */
    for (uint64_t timestamp = 4; timestamp <= 5; timestamp++) {
        w = planet_with(&t, timestamp, &t.b, 1);
        offer(&t, t.r, &w);
    }
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 6);
    assert_int_equal(planet_of(t.a), 5);
    assert_int_equal(upstreams(t.a), 2);
    assert_int_equal(t.a->events[ZT_EVENT_PLANET], 0);

    /* A leaf may say what it likes: even the right thing is not taken from it. */
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 1000);
    uint64_t believed = dropped(t.a, ZT_DROP_NOT_UPSTREAM);
    offer(&t, t.b, &good);
    assert_int_equal(dropped(t.a, ZT_DROP_NOT_UPSTREAM), believed + 1);
    assert_int_equal(planet_of(t.a), 5);
    assert_int_equal(t.a->nplanet, 0);

    offer(&t, t.r, &good); /* the test itself: this is how it looks when it is taken */
    assert_int_equal(planet_of(t.a), 6);
    assert_int_equal(upstreams(t.a), 1);
    sim_free(t.s);
}

static void damaged_worlds_spoil_the_good_one_with_them(void **state)
{
    struct town t;
    town_build(&t, 80, 2);
    town_start(&t);
    static uint8_t bytes[ZT_PKT_MAX];
    struct zt_world good = planet_with(&t, 2, &t.b, 1);
    struct zt_wr w = wire_of(&good, bytes);
    size_t n = w.n;
    uint64_t refused = dropped(t.a, ZT_DROP_WORLD);

    for (size_t cut = 1; cut < n; cut++) /* every shorter length */
        answer_hello(&t, t.r, bytes, cut);
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + n - 1);

    memset(bytes + n, 0xff, 300); /* garbage behind it */
    answer_hello(&t, t.r, bytes, n + 1);
    answer_hello(&t, t.r, bytes, n + 300);
    /* More roots, and more endpoints, than a world can have. */
    bytes[n] = 1;
    memset(bytes + n + 1, 0, 16 + 64 + 96);
    bytes[n + 1 + 16 + 64 + 96] = 5;
    answer_hello(&t, t.r, bytes, n + 300);
    memcpy(bytes + n, bytes, n);
    bytes[n + 1 + 16 + 64 + 96 + 1 + ZT_IDENTITY_WIRE] = 33;
    answer_hello(&t, t.r, bytes, 2 * n);
    /* As much as a packet holds. */
    memset(bytes + n, 1, sizeof bytes - n);
    answer_hello(&t, t.r, bytes, 9500);
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + n - 1 + 5);
    assert_int_equal(planet_of(t.a), 1);
    assert_int_equal(t.a->events[ZT_EVENT_PLANET], 0);

    answer_hello(&t, t.r, bytes, n);
    assert_int_equal(planet_of(t.a), 2);
    sim_free(t.s);
}

/* -- moons -- */

static bool a_holds_it(void *user)
{
    return held(((struct town *)user)->a, MOON) != 0;
}

static void a_moon_comes_from_its_seed(void **state)
{
    struct town t;
    for (int direct = 0; direct < 2; direct++) {
        town_build(&t, 90, 1);
        if (!direct)
            sim_block(t.a, t.m); /* WHOIS, HELLO and OK by way of r */
        town_start(&t);
        struct zt_world moon = town_moon(&t, 7);
        assert_int_equal(load(t.m, &moon), 0);
        assert_true(zt_vl1_is_root(t.m->vl1));
        assert_int_equal(t.m->nmoons, 0); /* it came from a file, so it is not written */

        assert_int_equal(orbit(t.a, MOON, t.m), 0);
        struct zt_moon_info info;
        assert_int_equal(zt_vl1_moon(t.a->vl1, MOON, &info), 0);
        assert_true(info.is_waiting && info.seed == t.m->id.addr);
        sim_assert(t.s, sim_run_until(t.s, 600, a_holds_it, &t));
        assert_int_equal(t.a->events[ZT_EVENT_MOON], 1);
        assert_int_equal(zt_vl1_moon(t.a->vl1, MOON, &info), 0);
        assert_true(!info.is_waiting && info.seed == 0 && info.world.nroots == 1);
        assert_int_equal(t.a->nmoons, 1);
        uint8_t wire[ZT_WORLD_WIRE_MAX];
        struct zt_wr w = wire_of(&moon, wire);
        assert_int_equal(t.a->moons[0].n, w.n);
        assert_memory_equal(t.a->moons[0].file, wire, w.n);

        assert_int_equal(role_of(t.a, t.m), ZT_ROLE_MOON);
        assert_int_equal(role_of(t.a, t.r), ZT_ROLE_PLANET);
        assert_int_equal(upstreams(t.a), 2);
        assert_int_equal(upstreams(t.b), 1); /* b never heard of it */
        sim_run(t.s, 1000);
        sim_assert(t.s, sim_is_direct(t.a, t.m) == (direct == 1));
        sim_free(t.s);
    }
}

static void a_moon_keeps_its_nodes_together_without_the_planet(void **state)
{
    struct town t;
    town_build(&t, 100, 1);
    sim_block(t.a, t.b);
    town_start(&t);
    struct zt_world moon = town_moon(&t, 1);
    load(t.m, &moon);
    load(t.a, &moon);
    orbit(t.b, MOON, t.m);
    sim_run(t.s, 3000);
    assert_int_equal(held(t.b, MOON), 1);
    sim_stop(t.r);
    talk(&t, 8000);
    sim_assert(t.s, talk(&t, 3000) == 30);
    sim_run(t.s, 60000);
    sim_assert(t.s, sim_online(t.a) && sim_online(t.b));
    sim_free(t.s);
}

static void moons_are_updated_by_signature(void **state)
{
    struct town t;
    town_build(&t, 110, 1);
    town_start(&t);
    struct zt_world moon = town_moon(&t, 1);
    load(t.m, &moon);
    orbit(t.a, MOON, t.m);
    sim_assert(t.s, sim_run_until(t.s, 1000, a_holds_it, &t));

    /* The next revision names b too, and hands on to another key; the one after uses it. */
    moon = make(&(struct plan){
        .type = ZT_WORLD_MOON, .id = MOON, .timestamp = 2, .roots = {t.m, t.b}, .next = OTHER_KEY});
    assert_int_equal(load(t.m, &moon), 0);
    sim_run(t.s, DISTRIBUTED_MS);
    assert_int_equal(held(t.a, MOON), 2);
    assert_int_equal(role_of(t.a, t.b), ZT_ROLE_MOON);
    uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_wr wr = wire_of(&moon, wire);
    assert_int_equal(t.a->moons[0].n, wr.n);
    assert_memory_equal(t.a->moons[0].file, wire, wr.n);

    uint64_t refused = dropped(t.a, ZT_DROP_WORLD);
    moon = make(&(struct plan){
        .type = ZT_WORLD_MOON, .id = MOON, .timestamp = 3, .roots = {t.m}, .signer = RIGHT_KEY});
    offer(&t, t.m, &moon); /* by the key that was handed on from */
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 1);
    assert_int_equal(held(t.a, MOON), 2);
    assert_int_equal(load(t.a, &moon), ZT_E_EXIST); /* not by a file either */
    moon = make(&(struct plan){
        .type = ZT_WORLD_MOON, .id = MOON, .timestamp = 3, .roots = {t.m}, .signer = OTHER_KEY});
    offer(&t, t.m, &moon);
    assert_int_equal(held(t.a, MOON), 3);
    assert_int_equal(role_of(t.a, t.b), ZT_ROLE_LEAF);
    assert_int_equal(t.a->nmoons, 1);
    sim_free(t.s);
}

static void deorbit_takes_everything_back(void **state)
{
    struct town t;
    struct zt_now now;
    town_build(&t, 120, 1);
    town_start(&t);
    struct zt_world moon = town_moon(&t, 1);
    load(t.m, &moon);
    orbit(t.a, MOON, t.m);
    sim_assert(t.s, sim_run_until(t.s, 1000, a_holds_it, &t));
    now = sim_now(t.s);
    assert_int_equal(zt_vl1_deorbit(t.a->vl1, &now, MOON), 0);
    assert_int_equal(t.a->nmoons, 0);
    assert_int_equal(t.a->events[ZT_EVENT_MOON], 2);
    assert_int_equal(role_of(t.a, t.m), ZT_ROLE_LEAF);
    assert_int_equal(upstreams(t.a), 1);
    assert_int_equal(zt_vl1_moons(t.a->vl1, NULL, 0), 0);
    assert_int_equal(zt_vl1_deorbit(t.a->vl1, &now, MOON), ZT_E_NOENT);
    sim_run(t.s, DISTRIBUTED_MS);
    assert_int_equal(held(t.a, MOON), 0);

    /* The moon's own root stops being one, and asks the planet's whether it is online. */
    now = sim_now(t.s);
    assert_int_equal(zt_vl1_deorbit(t.m->vl1, &now, MOON), 0);
    assert_false(zt_vl1_is_root(t.m->vl1));
    sim_run(t.s, 60000);
    sim_assert(t.s, sim_online(t.m));
    sim_stop(t.r);
    sim_run(t.s, 60000);
    sim_assert(t.s, !sim_online(t.m));
    sim_free(t.s);
}

static void nobody_slips_in_a_moon(void **state)
{
    struct town t;
    town_build(&t, 130, 2);
    town_start(&t);
    struct zt_world moon = town_moon(&t, 5);
    uint64_t refused = dropped(t.a, ZT_DROP_WORLD);
    offer(&t, t.r, &moon); /* an upstream, but we want none */
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 1);
    assert_int_equal(zt_vl1_moons(t.a->vl1, NULL, 0), 0);

    assert_int_equal(orbit(t.a, MOON, t.m), 0);
    sim_run(t.s, 1000); /* m has no moon to give */
    uint64_t other = dropped(t.a, ZT_DROP_NOT_UPSTREAM);
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 1000);
    offer(&t, t.b, &moon); /* the right moon from a stranger */
    assert_int_equal(dropped(t.a, ZT_DROP_NOT_UPSTREAM), other + 1);

    refused = dropped(t.a, ZT_DROP_WORLD);
    struct zt_world w =
        make(&(struct plan){.type = ZT_WORLD_MOON, .id = MOON, .timestamp = 9, .roots = {t.b}});
    offer(&t, t.r, &w); /* the seed is not among its roots */
    w = make(&(struct plan){.type = ZT_WORLD_MOON, .id = MOON + 1, .timestamp = 9, .roots = {t.m}});
    offer(&t, t.m, &w); /* another moon of the same seed */
    w = make(&(struct plan){.type = ZT_WORLD_PLANET, .id = MOON, .timestamp = 9, .roots = {t.m}});
    offer(&t, t.m, &w); /* a seed is asked for its moon, not for a planet */
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 3);
    assert_int_equal(held(t.a, MOON), 0);
    assert_int_equal(planet_of(t.a), 1);
    assert_int_equal(upstreams(t.a), 2);
    assert_int_equal(t.a->nmoons, 0);

    offer(&t, t.m, &moon);
    assert_int_equal(held(t.a, MOON), 5);
    assert_int_equal(upstreams(t.a), 3);

    /* Now that it is held its root is believed, yet can't go back or sideways. */
    refused = dropped(t.a, ZT_DROP_WORLD);
    w = town_moon(&t, 4);
    offer(&t, t.m, &w);
    w = make(&(struct plan){.type = ZT_WORLD_MOON,
                            .id = MOON,
                            .timestamp = 6,
                            .roots = {t.m, t.b},
                            .signer = OTHER_KEY,
                            .next = OTHER_KEY});
    offer(&t, t.m, &w);
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), refused + 1); /* the older one is no offence */
    assert_int_equal(held(t.a, MOON), 5);
    sim_free(t.s);
}

static void a_moon_cannot_take_an_address_or_an_endpoint(void **state)
{
    struct town t;
    town_build(&t, 140, 1);
    town_start(&t);
    /* A moon that has r's address with another key, and names an endpoint for it. */
    struct zt_world moon = town_moon(&t, 1);
    moon.roots[1] = moon.roots[0];
    moon.roots[1].id.addr = t.r->id.addr;
    moon.roots[1].eps[0] = t.b->ep;
    moon.nroots = 2;
    assert_int_equal(load(t.a, &moon), 0);
    assert_int_equal(upstreams(t.a), 2); /* r, as the planet has it, and m */
    const struct zt_identity *r = zt_vl1_identity_of(t.a->vl1, t.r->id.addr);
    assert_memory_equal(r->pub, t.r->id.pub, sizeof r->pub);
    struct zt_peer *peer = zt_peer_get(t.a->vl1, t.r->id.addr);
    assert_true(zt_roots_endpoint_fits(t.a->vl1, peer, &t.r->ep));
    assert_false(zt_roots_endpoint_fits(t.a->vl1, peer, &t.b->ep));
    peer = zt_peer_get(t.a->vl1, t.m->id.addr);
    assert_true(zt_roots_endpoint_fits(t.a->vl1, peer, &t.m->ep));
    assert_false(zt_roots_endpoint_fits(t.a->vl1, peer, &t.b->ep));

    /* Our own address with another key is nobody; a root that both name counts once, with the
     * endpoints of both. */
    moon.id++;
    moon.roots[0].id.addr = t.a->id.addr;
    moon.roots[1].id = t.r->id;
    assert_int_equal(load(t.a, &moon), 0);
    assert_false(zt_vl1_is_root(t.a->vl1));
    assert_int_equal(upstreams(t.a), 2);
    assert_int_equal(role_of(t.a, t.r), ZT_ROLE_PLANET);
    peer = zt_peer_get(t.a->vl1, t.r->id.addr);
    assert_true(zt_roots_endpoint_fits(t.a->vl1, peer, &t.b->ep));
    sim_run(t.s, 120000);
    sim_assert(t.s, sim_online(t.a));
    sim_free(t.s);
}

static void files_and_wishes_have_their_bounds(void **state)
{
    struct town t;
    struct zt_now now;
    town_build(&t, 150, 1);
    town_start(&t);
    now = sim_now(t.s);
    uint8_t wire[ZT_WORLD_WIRE_MAX + 1];
    struct zt_world moon = town_moon(&t, 1);
    struct zt_wr w = wire_of(&moon, wire);
    for (size_t n = 0; n < w.n; n++)
        assert_int_equal(zt_vl1_load_moon(t.a->vl1, &now, MOON, wire, n), ZT_E_FORMAT);
    assert_int_equal(zt_vl1_load_moon(t.a->vl1, &now, MOON, wire, w.n + 1), ZT_E_FORMAT);
    assert_int_equal(zt_vl1_load_moon(t.a->vl1, &now, MOON + 1, wire, w.n), ZT_E_FORMAT);
    wire[0] = ZT_WORLD_PLANET;
    assert_int_equal(zt_vl1_load_moon(t.a->vl1, &now, MOON, wire, w.n - 2), ZT_E_FORMAT);
    assert_int_equal(zt_vl1_moons(t.a->vl1, NULL, 0), 0);

    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, 0, t.m->id.addr), ZT_E_INVAL);
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, MOON, 0), ZT_E_INVAL);
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, MOON, 0xff00000001), ZT_E_INVAL);
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, MOON, 1ull << 40 | 5), ZT_E_INVAL);
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, MOON, t.a->id.addr), ZT_E_INVAL);
    assert_int_equal(zt_vl1_moons(t.a->vl1, NULL, 0), 0);

    for (unsigned i = 0; i < ZT_MOONS_MAX; i++)
        assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, 100 + i, 0x1234567890), 0);
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, 100, 0x1234567891), 0); /* another seed */
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &now, 99, 0x1234567890), ZT_E_LIMIT);
    assert_int_equal(load(t.a, &moon), ZT_E_LIMIT);
    /* Seeds that nobody knows: asked for quickly at first, then hardly ever. */
    sim_run(t.s, 100000);
    uint64_t sent = t.a->sent;
    sim_run(t.s, 600000);
    sim_assert(t.s, t.a->sent - sent < 600);
    now = sim_now(t.s);
    for (unsigned i = 0; i < ZT_MOONS_MAX; i++)
        assert_int_equal(zt_vl1_deorbit(t.a->vl1, &now, 100 + i), 0);
    assert_int_equal(t.a->nmoons, 0);
    sim_free(t.s);
}

/* Worlds of the greatest size, more than an answer can carry: they come one by one. */
static void many_large_moons_arrive_in_the_end(void **state)
{
    struct town t;
    town_build(&t, 160, 1);
    town_start(&t);
    struct zt_world moon = town_moon(&t, 1);
    moon.roots[0].neps = ZT_WORLD_ENDPOINTS;
    for (unsigned i = 1; i < ZT_WORLD_ENDPOINTS; i++) {
        moon.roots[0].eps[i] = moon.roots[0].eps[0];
        moon.roots[0].eps[i].port = (uint16_t)(20000 + i);
    }
    for (unsigned i = 1; i < ZT_WORLD_ROOTS; i++) {
        moon.roots[i] = moon.roots[0];
        sim_identity(40 + i, &moon.roots[i].id);
        moon.roots[i].neps = ZT_WORLD_ENDPOINTS;
        for (unsigned k = 0; k < ZT_WORLD_ENDPOINTS; k++) {
            moon.roots[i].eps[k] = moon.roots[0].eps[k];
            moon.roots[i].eps[k].family = 6;
            moon.roots[i].eps[k].ip[0] = 0x20;
        }
    }
    moon.nroots = ZT_WORLD_ROOTS;
    for (unsigned i = 0; i < 8; i++) {
        moon.id = MOON + i;
        assert_int_equal(load(t.m, &moon), 0);
        assert_int_equal(orbit(t.a, MOON + i, t.m), 0);
    }
    sim_run(t.s, 300000);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(held(t.a, MOON + i), 1);
    assert_int_equal(t.a->nmoons, 8);
    assert_int_equal(dropped(t.a, ZT_DROP_WORLD), 0);
    sim_free(t.s);
}

static void a_list_of_moons_may_be_cut_anywhere(void **state)
{
    struct town t;
    town_build(&t, 170, 1);
    town_start(&t);
    for (unsigned i = 0; i < 3; i++) {
        struct zt_world moon = town_moon(&t, 10 + i);
        moon.id = MOON + i;
        assert_int_equal(load(t.a, &moon), 0);
    }
    assert_int_equal(zt_vl1_orbit(t.a->vl1, &(struct zt_now){0}, MOON + 9, t.m->id.addr), 0);
    uint8_t list[ZT_MOONS_LIST_MAX];
    struct zt_wr w = zt_wr(list, sizeof list);
    zt_moons_write_list(t.a->vl1, &w);
    assert_int_equal(w.n, 2 + 4 * 17);
    struct zt_rd r = zt_rd(list, w.n);
    assert_int_equal(zt_moons_read_list(t.a->vl1, &r), 0); /* what we have is not newer than it */
    assert_int_equal(r.pos, w.n);
    for (unsigned i = 0; i < 3; i++)
        list[2 + 17 * i + 16]--; /* timestamps */
    for (size_t n = 0; n <= w.n; n++) {
        r = zt_rd(list, n);
        size_t whole = n < 2 ? 0 : (n - 2) / 17;
        assert_int_equal(zt_moons_read_list(t.a->vl1, &r), (1u << (whole > 3 ? 3 : whole)) - 1);
    }
    list[2] = ZT_WORLD_PLANET; /* not a moon: skipped */
    r = zt_rd(list, w.n);
    assert_int_equal(zt_moons_read_list(t.a->vl1, &r), 6);
    list[0] = list[1] = 0xff; /* says more than there are */
    r = zt_rd(list, w.n);
    assert_int_equal(zt_moons_read_list(t.a->vl1, &r), 6);
    sim_free(t.s);
}

/* -- the verbs that are for the application, and those that are for nobody -- */

static void messages_reach_the_application(void **state)
{
    struct trio t = trio_connected(180);
    struct zt_now now = sim_now(t.s);
    uint8_t data[9000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    static const size_t sizes[] = {0, 1, 1000, 9000};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(zt_vl1_send_message(t.a->vl1, &now, t.b->id.addr, 0x1000000000000001 + i,
                                             data, sizes[i]),
                         0);
        sim_run(t.s, 100);
        assert_int_equal(t.b->messages[ZT_MESSAGE_USER], i + 1);
        assert_int_equal(t.b->message.type, 0x1000000000000001 + i);
        assert_int_equal(t.b->message.from, t.a->id.addr);
        assert_int_equal(t.b->message.n, sizes[i]);
        assert_memory_equal(t.b->message.p, data, sizes[i]);
        now = sim_now(t.s);
    }
    uint8_t large[ZT_PKT_MAX_SENT] = {0};
    assert_int_equal(
        zt_vl1_send_message(t.a->vl1, &now, t.b->id.addr, 70000, large, sizeof large - 28 - 7),
        ZT_E_SPACE);
    assert_int_equal(
        zt_vl1_send_message(t.a->vl1, &now, t.b->id.addr, 70000, large, sizeof large - 28 - 8), 0);
    assert_int_equal(zt_vl1_send_message(t.a->vl1, &now, t.a->id.addr, 70000, large, 1),
                     ZT_E_INVAL);
    sim_run(t.s, 100);
    assert_int_equal(t.b->messages[ZT_MESSAGE_USER], 5);

    uint64_t malformed = dropped(t.b, ZT_DROP_MALFORMED);
    for (size_t n = 0; n < 8; n++)
        say_verb(t.a, t.b, ZT_VERB_USER_MESSAGE, data, n);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), malformed + 8);
    assert_int_equal(t.b->messages[ZT_MESSAGE_USER], 5);

    sim_stop(t.b); /* an application that does not listen */
    t.b->host.message = NULL;
    sim_start(t.b);
    sim_run(t.s, 2000);
    zt_vl1_send_message(t.a->vl1, &now, t.b->id.addr, 70000, data, 10);
    sim_run(t.s, 2000);
    assert_int_equal(dropped(t.b, ZT_DROP_UNHEARD), 1);
    sim_free(t.s);
}

static void traces_are_taken_apart(void **state)
{
    struct trio t = trio_connected(181);
    static const char two[] = "a=1\nb=2\0\0\0c=3"; /* the last zero is the literal's */
    say_verb(t.a, t.b, ZT_VERB_REMOTE_TRACE, two, sizeof two);
    sim_run(t.s, 100);
    assert_int_equal(t.b->messages[ZT_MESSAGE_TRACE], 2);
    assert_int_equal(t.b->message.n, 3);
    assert_memory_equal(t.b->message.p, "c=3", 3);
    assert_int_equal(t.b->message.from, t.a->id.addr);
    uint64_t malformed = dropped(t.b, ZT_DROP_MALFORMED);
    say_verb(t.a, t.b, ZT_VERB_REMOTE_TRACE, two, sizeof two - 1); /* no end */
    say_verb(t.a, t.b, ZT_VERB_REMOTE_TRACE, two, 0);
    sim_run(t.s, 100);
    assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), malformed + 1);
    assert_int_equal(t.b->messages[ZT_MESSAGE_TRACE], 3); /* the first of the two was whole */
    sim_free(t.s);
}

static void measurements_of_bonds_are_no_sign_of_life(void **state)
{
    struct trio t = trio_connected(182);
    const struct zt_peer *peer = zt_peer_get(t.b->vl1, t.a->id.addr);
    int64_t heard = peer->last_receive_ms;
    static const struct {
        uint8_t verb;
        size_t min, max;
    } verbs[] = {{ZT_VERB_ACK, 4, 4},
                 {ZT_VERB_PATH_NEGOTIATION_REQUEST, 2, 2},
                 {ZT_VERB_QOS_MEASUREMENT, 9, 1400}};
    uint64_t bond = 0, malformed = dropped(t.b, ZT_DROP_MALFORMED);
    static const uint8_t zeros[2000];
    for (unsigned i = 0; i < 3; i++) {
        for (size_t n = 0; n < 12; n++) {
            say_verb(t.a, t.b, verbs[i].verb, zeros, n);
            bool fits = n >= verbs[i].min && n <= verbs[i].max;
            bond += fits;
            malformed += !fits;
        }
        say_verb(t.a, t.b, verbs[i].verb, zeros, 1401);
        malformed++;
    }
    sim_run(t.s, 20);
    assert_int_equal(dropped(t.b, ZT_DROP_NO_BOND), bond);
    assert_int_equal(dropped(t.b, ZT_DROP_MALFORMED), malformed);
    assert_int_equal(peer->last_receive_ms, heard);
    sim_free(t.s);
}

static void an_old_collision_does_not_cost_our_identity(void **state)
{
    struct town t;
    town_build(&t, 183, 1);
    town_start(&t);
    uint8_t body[10] = {ZT_VERB_HELLO, 1, 2, 3, 4, 5, 6, 7, 8, ZT_ERROR_IDENTITY_COLLISION};
    say_verb(t.r, t.a, ZT_VERB_ERROR, body, sizeof body);
    zt_put64(body + 1, t.hello_id[t.r->no]);
    body[0] = ZT_VERB_WHOIS;
    say_verb(t.r, t.a, ZT_VERB_ERROR, body, sizeof body);
    sim_run(t.s, 100);
    assert_int_equal(t.a->events[ZT_EVENT_COLLISION], 0);
    assert_int_equal(dropped(t.a, ZT_DROP_UNEXPECTED_ERROR), 2);
    body[0] = ZT_VERB_HELLO;
    say_verb(t.r, t.a, ZT_VERB_ERROR, body, sizeof body);
    sim_run(t.s, 100);
    assert_int_equal(t.a->events[ZT_EVENT_COLLISION], 1);
    sim_free(t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_root_is_asked),
        cmocka_unit_test(traffic_survives_the_best_root),
        cmocka_unit_test(roots_that_come_and_go_by_turns),
        cmocka_unit_test(a_root_dead_from_the_start_costs_nothing),
        cmocka_unit_test(a_question_goes_to_another_root_when_the_best_is_silent),
        cmocka_unit_test(a_leaf_known_to_one_root_only_is_found_through_the_other),
        cmocka_unit_test(a_planet_moves_to_another_root),
        cmocka_unit_test(a_root_cannot_change_the_planet_by_itself),
        cmocka_unit_test(damaged_worlds_spoil_the_good_one_with_them),
        cmocka_unit_test(a_moon_comes_from_its_seed),
        cmocka_unit_test(a_moon_keeps_its_nodes_together_without_the_planet),
        cmocka_unit_test(moons_are_updated_by_signature),
        cmocka_unit_test(deorbit_takes_everything_back),
        cmocka_unit_test(nobody_slips_in_a_moon),
        cmocka_unit_test(a_moon_cannot_take_an_address_or_an_endpoint),
        cmocka_unit_test(files_and_wishes_have_their_bounds),
        cmocka_unit_test(many_large_moons_arrive_in_the_end),
        cmocka_unit_test(a_list_of_moons_may_be_cut_anywhere),
        cmocka_unit_test(messages_reach_the_application),
        cmocka_unit_test(traces_are_taken_apart),
        cmocka_unit_test(measurements_of_bonds_are_no_sign_of_life),
        cmocka_unit_test(an_old_collision_does_not_cost_our_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
