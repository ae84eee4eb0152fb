/* Moons.
 *
 * A moon is a world like the planet, except that a node may have several and takes them because
 * its user said so: "orbit this id; that node, the seed, knows it". Until it is there the moon is
 * *wanted*; then it is *held*. There are three ways to become held:
 *
 *   file    the host had it in moons.d; trusted as it is
 *   seed    wanted, and a believed sender offers a world of that id that names the seed among its
 *           roots. The signature says nothing yet: the trust is in the seed, whose identity is
 *           proven by its packets. Believed are the seed itself and the upstreams, which could lie
 *           about who the seed is anyway.
 *   update  held, and the offer is newer and signed with the key that ours names
 *
 * Everything else is refused and counted (WORLD). What is held is saved through the host; what is
 * only wanted lives as long as the node.
 *
 * Distribution costs no message of its own. A HELLO lists the ids and timestamps that its sender
 * has (0: wanted); an OK(HELLO) brings those that the answering node has newer. Since upstreams get
 * a HELLO each minute, an update reaches everybody within a minute or two. A seed is no upstream
 * yet, so it is asked here: quickly at first, then ever more rarely, by WHOIS and through the relay
 * when need be.
 *
 * Bound: ZT_MOONS_MAX, held and wanted together. Only the user adds to them. */
#include "vl1/moons.h"

#include <stdlib.h>

#include "base/err.h"
#include "crypto/sign.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

static_assert(ZT_MOONS_MAX <= 32, "one bit each in zt_moons_read_list");

static const int64_t ask_after_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 10000, 30000};
#define ASK_STEPS (sizeof ask_after_ms / sizeof ask_after_ms[0])

static struct zt_moon *find(struct zt_vl1 *v, uint64_t id)
{
    for (unsigned i = 0; i < v->moons.n; i++)
        if (v->moons.m[i].id == id)
            return &v->moons.m[i];
    return NULL;
}

static struct zt_moon *add(struct zt_vl1 *v, uint64_t id)
{
    if (v->moons.n == ZT_MOONS_MAX)
        return NULL;
    struct zt_moon *moon = &v->moons.m[v->moons.n++];
    *moon = (struct zt_moon){.id = id};
    return moon;
}

static void remove_moon(struct zt_vl1 *v, struct zt_moon *moon)
{
    free(moon->world);
    *moon = v->moons.m[--v->moons.n];
}

/* -- asking seeds -- */

static void ask_seed(struct zt_vl1 *v, const struct zt_now *now, const struct zt_moon *moon)
{
    struct zt_peer *seed = zt_peer_get(v, moon->seed);
    if (seed == NULL) {
        zt_whois(v, now, moon->seed);
        return;
    }
    struct zt_path *path = zt_peer_best(seed, now->mono_ms, false);
    if (path != NULL) {
        zt_tx_hello(v, now, seed, &path->link, false);
        return;
    }
    struct zt_peer *up = zt_roots_best(v, now->mono_ms);
    path = up != NULL ? zt_peer_best(up, now->mono_ms, false) : NULL;
    if (path != NULL)
        zt_tx_hello(v, now, seed, &path->link, true);
}

static void set_timer(struct zt_vl1 *v)
{
    int64_t at = ZT_NEVER;
    for (unsigned i = 0; i < v->moons.n; i++)
        if (v->moons.m[i].world == NULL && v->moons.m[i].ask_at_ms < at)
            at = v->moons.m[i].ask_at_ms;
    if (at == ZT_NEVER)
        zt_heap_remove(&v->heap, &v->moons.timer);
    else if (zt_heap_set(&v->heap, &v->moons.timer, at) != 0)
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
}

static void ask_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_vl1 *v = tick->v;
    int64_t now_ms = tick->now->mono_ms;
    for (unsigned i = 0; i < v->moons.n; i++) {
        struct zt_moon *moon = &v->moons.m[i];
        if (moon->world != NULL || now_ms < moon->ask_at_ms)
            continue;
        ask_seed(v, tick->now, moon);
        moon->ask_at_ms = now_ms + ask_after_ms[moon->step];
        if (moon->step + 1 < ASK_STEPS)
            moon->step++;
    }
    set_timer(v);
}

void zt_moons_init(struct zt_vl1 *v)
{
    v->moons.timer.fire = ask_due;
}

void zt_moons_fini(struct zt_vl1 *v)
{
    for (unsigned i = 0; i < v->moons.n; i++)
        free(v->moons.m[i].world);
    v->moons.n = 0;
}

bool zt_moons_is_seed(const struct zt_vl1 *v, uint64_t addr)
{
    for (unsigned i = 0; i < v->moons.n; i++)
        if (v->moons.m[i].world == NULL && v->moons.m[i].seed == addr)
            return true;
    return false;
}

/* -- taking -- */

static void save(struct zt_vl1 *v, const struct zt_world *world)
{
    struct zt_wr w = zt_wr(v->tx_scratch, sizeof v->tx_scratch);
    zt_wr_world(&w, world);
    if (!w.bad && v->host->save != NULL)
        v->host->save(v->host->user, ZT_OBJECT_MOON, world->id, w.p, w.n);
}

/* The caller has decided that this world may be held. */
static int hold(struct zt_vl1 *v, const struct zt_now *now, struct zt_moon *moon,
                const struct zt_world *world)
{
    if (moon->world == NULL)
        moon->world = malloc(sizeof *moon->world);
    if (moon->world == NULL)
        return ZT_E_NOMEM;
    *moon->world = *world;
    moon->seed = 0;
    set_timer(v);
    return zt_roots_recompute(v, now);
}

static bool names_root(const struct zt_world *world, uint64_t addr)
{
    for (unsigned i = 0; i < world->nroots; i++)
        if (world->roots[i].id.addr == addr)
            return true;
    return false;
}

void zt_moons_offer(struct zt_vl1 *v, const struct zt_now *now, const struct zt_world *world)
{
    struct zt_moon *moon = find(v, world->id);
    bool held = moon != NULL && moon->world != NULL;
    if (held && world->timestamp_ms <= moon->world->timestamp_ms)
        return; /* ours is as new; several roots offer the same one */
    if (moon == NULL || (held && !zt_world_replaces(moon->world, world)) ||
        (!held && !names_root(world, moon->seed))) {
        zt_drop_count(v->drops, ZT_DROP_WORLD);
        return;
    }
    if (hold(v, now, moon, world) != 0)
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
    if (moon->world == NULL)
        return; /* still wanted, asked for again */
    save(v, moon->world);
    zt_event(v, ZT_EVENT_MOON, world->id);
}

int zt_vl1_load_moon(struct zt_vl1 *v, const struct zt_now *now, uint64_t id, const uint8_t *p,
                     size_t n)
{
    struct zt_world world;
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, &world);
    if (r.bad || zt_rd_left(&r) > 0 || world.type != ZT_WORLD_MOON || world.id != id || id == 0)
        return ZT_E_FORMAT;
    struct zt_moon *moon = find(v, id);
    if (moon != NULL && moon->world != NULL && !zt_world_replaces(moon->world, &world))
        return ZT_E_EXIST;
    if (moon == NULL)
        moon = add(v, id);
    if (moon == NULL)
        return ZT_E_LIMIT;
    int rc = hold(v, now, moon, &world);
    if (moon->world == NULL)
        remove_moon(v, moon);
    else
        zt_event(v, ZT_EVENT_MOON, id);
    return rc;
}

/* -- what the user says -- */

int zt_vl1_orbit(struct zt_vl1 *v, const struct zt_now *now, uint64_t id, uint64_t seed)
{
    struct zt_moon *moon = find(v, id);
    if (moon != NULL && moon->world != NULL)
        return 0;
    if (id == 0 || seed > ZT_ADDR_MASK || zt_addr_reserved(seed) || seed == v->id.addr)
        return ZT_E_INVAL;
    if (moon == NULL)
        moon = add(v, id);
    if (moon == NULL)
        return ZT_E_LIMIT;
    moon->seed = seed;
    moon->step = 0;
    moon->ask_at_ms = now->mono_ms;
    set_timer(v);
    return 0;
}

int zt_vl1_deorbit(struct zt_vl1 *v, const struct zt_now *now, uint64_t id)
{
    struct zt_moon *moon = find(v, id);
    if (moon == NULL)
        return ZT_E_NOENT;
    bool held = moon->world != NULL;
    remove_moon(v, moon);
    set_timer(v);
    if (!held)
        return 0;
    if (v->host->save != NULL)
        v->host->save(v->host->user, ZT_OBJECT_MOON, id, NULL, 0);
    zt_event(v, ZT_EVENT_MOON, id);
    return zt_roots_recompute(v, now);
}

size_t zt_vl1_moons(const struct zt_vl1 *v, uint64_t *out, size_t cap)
{
    for (size_t i = 0; i < v->moons.n && i < cap; i++)
        out[i] = v->moons.m[i].id;
    return v->moons.n;
}

int zt_vl1_moon(const struct zt_vl1 *v, uint64_t id, struct zt_moon_info *out)
{
    for (unsigned i = 0; i < v->moons.n; i++) {
        const struct zt_moon *moon = &v->moons.m[i];
        if (moon->id != id)
            continue;
        *out =
            (struct zt_moon_info){.id = id, .seed = moon->seed, .is_waiting = moon->world == NULL};
        if (moon->world != NULL)
            out->world = *moon->world;
        return 0;
    }
    return ZT_E_NOENT;
}

/* -- HELLO -- */

void zt_moons_write_list(const struct zt_vl1 *v, struct zt_wr *w)
{
    zt_wr_u16(w, (uint16_t)v->moons.n);
    for (int held = 1; held >= 0; held--)
        for (unsigned i = 0; i < v->moons.n; i++) {
            const struct zt_moon *moon = &v->moons.m[i];
            if ((moon->world != NULL) != (held == 1))
                continue;
            zt_wr_u8(w, ZT_WORLD_MOON);
            zt_wr_u64(w, moon->id);
            zt_wr_u64(w, held ? moon->world->timestamp_ms : 0);
        }
}

uint32_t zt_moons_read_list(const struct zt_vl1 *v, struct zt_rd *r)
{
    uint32_t newer = 0;
    for (unsigned n = zt_rd_u16(r); n > 0; n--) {
        uint8_t type = zt_rd_u8(r);
        uint64_t id = zt_rd_u64(r), timestamp = zt_rd_u64(r);
        if (r->bad)
            break; /* a list cut short is good as far as it goes */
        for (unsigned i = 0; type == ZT_WORLD_MOON && i < v->moons.n; i++) {
            const struct zt_moon *moon = &v->moons.m[i];
            if (moon->id == id && moon->world != NULL && timestamp < moon->world->timestamp_ms)
                newer |= UINT32_C(1) << i;
        }
    }
    return newer;
}
