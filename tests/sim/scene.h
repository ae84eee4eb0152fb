/* Common scenes of the scenario files. */
#ifndef ZT_TEST_SCENE_H
#define ZT_TEST_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"

/* A root and two nodes on the open net. */
struct trio {
    struct sim *s;
    struct sim_node *root, *a, *b;
};

static inline struct trio trio_make(uint64_t seed)
{
    struct trio t = {.s = sim_new(seed)};
    t.root = sim_node(t.s, "9.0.0.1/9993");
    t.a = sim_node(t.s, "9.0.0.2/9993");
    t.b = sim_node(t.s, "9.0.0.3/9993");
    sim_planet(t.s, 1, &t.root, 1);
    return t;
}

static inline bool trio_is_online(void *user)
{
    struct trio *t = user;
    return sim_online(t->a) && sim_online(t->b);
}

static inline bool trio_is_direct(void *user)
{
    struct trio *t = user;
    return sim_is_direct(t->a, t->b) && sim_is_direct(t->b, t->a);
}

static inline bool trio_has_pong(void *user)
{
    return ((struct trio *)user)->a->pongs > 0;
}

/* Started, online, and a and b have a direct path to each other. */
static inline struct trio trio_connected(uint64_t seed)
{
    struct trio t = trio_make(seed);
    sim_start_all(t.s);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 5000, trio_is_direct, &t));
    sim_run(t.s, 2000);
    return t;
}

static inline uint64_t drops_total(const struct sim_node *n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ZT_DROP_COUNT; i++)
        sum += sim_drops(n)->n[i];
    return sum;
}

#endif
