/* Moons: worlds beside the planet, chosen by the user, whose roots are upstreams too. */
#ifndef ZT_VL1_MOONS_H
#define ZT_VL1_MOONS_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/host.h"
#include "vl1/vl1.h"

struct zt_peer;

struct zt_moon {
    uint64_t id;
    uint64_t seed;          /* wanted: the node that is asked for it */
    struct zt_world *world; /* NULL while it is only wanted; own allocation */
    unsigned step;          /* wanted: place in the schedule of questions */
    int64_t ask_at_ms;
};

struct zt_moons {
    unsigned n;
    struct zt_moon m[ZT_MOONS_MAX];
    struct zt_timer timer; /* the next question to a seed */
};

void zt_moons_init(struct zt_vl1 *v);
void zt_moons_fini(struct zt_vl1 *v);

/* A moon offered by an upstream or a seed, vl1.md 5.4. */
void zt_moons_offer(struct zt_vl1 *v, const struct zt_now *now, const struct zt_world *world);
/* Is this node the seed of a moon that we still want? */
bool zt_moons_is_seed(const struct zt_vl1 *v, uint64_t addr);

/* The list in HELLO: what we hold, with its timestamp, and what we want, with 0. */
#define ZT_MOONS_LIST_MAX (2 + 17 * ZT_MOONS_MAX)
void zt_moons_write_list(const struct zt_vl1 *v, struct zt_wr *w);
/* Read the list in somebody's HELLO; bit i of the result: our moon i is newer than theirs. */
uint32_t zt_moons_read_list(const struct zt_vl1 *v, struct zt_rd *r);

#endif
