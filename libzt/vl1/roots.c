/* Upstreams: the roots of the planet and of the moons (moons.c), who count alike. They are asked
 * for identities, relay for us, and are believed when they say how others reach us.
 *
 * The planet given at construction is trusted as it is; from then on it is replaced only by a world
 * of the same type and id, newer, and signed by the key that the current one names (vl1.md 5.4).
 * There is no built-in planet: without one a node has no roots and stays offline.
 *
 * Fast start. An upstream without a usable path is sent a HELLO at the first tick and again after
 * 100, 200, 400, 800, 1600, 3200 ms, then every 5 s (every second
 * while packets wait for a way), so that being online takes one round trip and
 * a lost datagram costs a tenth of a second (the reference waits for its 5 s check). Once there is
 * a path, the ordinary upkeep of peer.c holds it: an ECHO when 14 s passed without traffic either
 * way, so that NAT mappings stay, a HELLO each minute, and quick probes when an answer is missing,
 * which also make a restarted root know us again.
 *
 * Choice. The best upstream is the one with the shortest round trip, of those whose path answers:
 * silence is noticed by the probes of path.c some seconds after traffic begins to go unanswered,
 * and then the next one is used, until the first answers again.
 *
 * Online means: an upstream was heard within 30 s, or we are a root ourselves.
 *
 * Underlay. A planet with a loopback endpoint permits loopback paths; when it names nothing else,
 * nothing but loopback is used at all, so that a test or a demo never sends a byte off the machine.
 */
#include "vl1/roots.h"

#include "base/err.h"
#include "crypto/sign.h"
#include "vl1/peer.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

#define WORST_QUALITY 0xffffffffLL
#define QUALITY_STEP_MS 61000

static const int64_t hello_after_ms[] = {100, 200, 400, 800, 1600, 3200, 5000};
#define HELLO_STEPS (sizeof hello_after_ms / sizeof hello_after_ms[0])
#define HELLO_WANTED_MS 1000 /* at most, while packets wait */
#define HELLO_STEP_LOST 3    /* where a root that had a path starts over */

static enum zt_underlay underlay_of(const struct zt_world *w)
{
    bool loopback = false, other = false;
    for (unsigned i = 0; i < w->nroots; i++)
        for (unsigned k = 0; k < w->roots[i].neps; k++) {
            if (w->roots[i].eps[k].family == 0)
                continue;
            if (zt_ep_scope(&w->roots[i].eps[k]) == ZT_SCOPE_LOOPBACK)
                loopback = true;
            else
                other = true;
        }
    if (!loopback)
        return ZT_UNDERLAY_NORMAL;
    return other ? ZT_UNDERLAY_LOOPBACK_TOO : ZT_UNDERLAY_LOOPBACK_ONLY;
}

static void set_online(struct zt_vl1 *v, bool online)
{
    if (online == v->roots.online)
        return;
    v->roots.online = online;
    zt_event(v, online ? ZT_EVENT_ONLINE : ZT_EVENT_OFFLINE, v->id.addr);
}

static int adopt(struct zt_vl1 *v, const struct zt_now *now, const struct zt_world *world)
{
    struct zt_roots *r = &v->roots;
    int worst = 0;
    for (unsigned i = 0; i < world->nroots; i++) {
        const struct zt_identity *id = &world->roots[i].id;
        if (zt_identity_equal(id, &v->id)) {
            r->is_root = true;
            continue;
        }
        struct zt_peer *peer = zt_peer_get(v, id->addr);
        if (peer == NULL) {
            int rc = id->addr == v->id.addr || zt_addr_reserved(id->addr)
                         ? ZT_E_EXIST
                         : zt_peer_add(v, now, id, NULL, &peer);
            if (rc == ZT_E_NOMEM)
                worst = rc;
            if (rc != 0)
                continue; /* an unusable key: this root does not exist for us */
        } else if (!zt_identity_equal(&peer->id, id)) {
            continue; /* a known identity is never replaced */
        }
        if (!peer->is_upstream && r->n < ZT_UPSTREAMS_MAX) { /* else named by two worlds */
            peer->is_upstream = true;
            r->up[r->n++] = peer;
        }
    }
    return worst;
}

int zt_roots_recompute(struct zt_vl1 *v, const struct zt_now *now)
{
    struct zt_roots *r = &v->roots;
    for (unsigned i = 0; i < r->n; i++) {
        r->up[i]->is_upstream = false;
        zt_peer_wake(v, r->up[i], now->mono_ms + 1); /* from now on it may expire */
    }
    r->n = 0;
    r->is_root = false;
    r->underlay = underlay_of(&r->planet);
    int rc = adopt(v, now, &r->planet);
    for (unsigned i = 0; i < v->moons.n; i++)
        if (v->moons.m[i].world != NULL && adopt(v, now, v->moons.m[i].world) != 0)
            rc = ZT_E_NOMEM;
    for (unsigned i = 0; i < r->n; i++) {
        r->up[i]->hello_step = 0;
        r->up[i]->hello_at_ms = now->mono_ms;
        if (r->started)
            zt_peer_wake(v, r->up[i], now->mono_ms);
    }
    if (r->started && r->is_root)
        set_online(v, true);
    else if (r->online && zt_heap_set(&v->heap, &r->timer, now->mono_ms + ZT_ONLINE_MS) != 0)
        rc = ZT_E_NOMEM; /* a root no longer: from now on the others decide */
    return rc;
}

static int64_t last_heard(const struct zt_vl1 *v)
{
    int64_t last = ZT_LONG_AGO;
    for (unsigned i = 0; i < v->roots.n; i++)
        if (v->roots.up[i]->last_receive_ms > last)
            last = v->roots.up[i]->last_receive_ms;
    return last;
}

/* The timer runs only while online through others; hearing from a root does not move it. */
static void check_online(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_vl1 *v = tick->v;
    int64_t until = last_heard(v) + ZT_ONLINE_MS;
    if (v->roots.is_root)
        return;
    if (tick->now->mono_ms < until && zt_heap_set(&v->heap, t, until) == 0)
        return;
    set_online(v, false);
}

void zt_roots_heard(struct zt_vl1 *v, const struct zt_now *now)
{
    if (v->roots.online)
        return;
    if (!v->roots.is_root &&
        zt_heap_set(&v->heap, &v->roots.timer, now->mono_ms + ZT_ONLINE_MS) != 0)
        return; /* out of memory: the next packet tries again */
    set_online(v, true);
}

int zt_roots_init(struct zt_vl1 *v, const struct zt_now *now, const uint8_t *planet, size_t n)
{
    v->roots = (struct zt_roots){.timer = {.fire = check_online}};
    if (planet == NULL)
        return 0;
    struct zt_rd r = zt_rd(planet, n);
    zt_rd_world(&r, &v->roots.planet);
    if (r.bad || v->roots.planet.type != ZT_WORLD_PLANET || v->roots.planet.id == 0) {
        v->roots.planet = (struct zt_world){0};
        return ZT_E_FORMAT;
    }
    return zt_roots_recompute(v, now);
}

void zt_roots_start(struct zt_vl1 *v, const struct zt_now *now)
{
    v->roots.started = true;
    for (unsigned i = 0; i < v->roots.n; i++) {
        v->roots.up[i]->hello_at_ms = now->mono_ms;
        (void)zt_heap_set(&v->heap, &v->roots.up[i]->timer, now->mono_ms);
    }
    if (v->roots.is_root)
        set_online(v, true);
}

void zt_roots_offer(struct zt_vl1 *v, const struct zt_now *now, const struct zt_world *world)
{
    struct zt_world *planet = &v->roots.planet;
    if (world->type == ZT_WORLD_MOON) {
        zt_moons_offer(v, now, world);
        return;
    }
    if (world->type == planet->type && world->id == planet->id &&
        world->timestamp_ms <= planet->timestamp_ms)
        return; /* ours is as new; several roots offer the same one */
    /* Without a planet we have no upstream that could offer one: never taken from the network. */
    if (planet->id == 0 || !zt_world_replaces(planet, world)) {
        zt_drop_count(v->drops, ZT_DROP_WORLD);
        return;
    }
    *planet = *world;
    if (zt_roots_recompute(v, now) != 0)
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
    struct zt_wr w = zt_wr(v->tx_scratch, sizeof v->tx_scratch);
    zt_wr_world(&w, planet);
    if (!w.bad && v->host->save != NULL)
        v->host->save(v->host->user, ZT_OBJECT_PLANET, 0, w.p, w.n);
    zt_event(v, ZT_EVENT_PLANET, planet->id);
}

static int64_t relay_quality(struct zt_peer *peer, int64_t now_ms)
{
    int64_t since = now_ms - peer->last_receive_ms;
    const struct zt_path *path = zt_peer_best(peer, now_ms, false);
    /* The reference waits 500 s; our heartbeats tell within ZT_ONLINE_MS. */
    if (since >= ZT_ONLINE_MS || path == NULL)
        return WORST_QUALITY;
    /* One more than measured: a round trip below a millisecond is good, not unknown. One whose
     * probes go unanswered comes after every one that answers, however far away that is. */
    int64_t latency = path->latency_ms + 1 + (path->doubted ? ZT_LATENCY_UNKNOWN : 0);
    return latency * (since / QUALITY_STEP_MS + 1);
}

struct zt_peer *zt_roots_best(const struct zt_vl1 *v, int64_t now_ms)
{
    struct zt_peer *best = NULL;
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < v->roots.n; i++) {
        int64_t q = relay_quality(v->roots.up[i], now_ms);
        if (q <= least) {
            least = q;
            best = v->roots.up[i];
        }
    }
    return best;
}

struct zt_peer *zt_roots_turn(const struct zt_vl1 *v, int64_t now_ms, unsigned turn)
{
    const struct zt_roots *r = &v->roots;
    struct zt_peer *best = zt_roots_best(v, now_ms);
    if (turn == 0 || r->n < 2)
        return best;
    unsigned at = 0;
    while (r->up[at] != best)
        at++;
    for (unsigned k = 0; k < r->n; k++) {
        struct zt_peer *up = r->up[(at + turn + k) % r->n];
        if (zt_peer_best(up, now_ms, false) != NULL)
            return up;
    }
    return best;
}

/* -- what the worlds say about an upstream -- */

/* The next entry that names this peer, from *at on (start with 0), which moves on; NULL: no more.
 * A world that has the address with another key does not mean this peer. */
static const struct zt_root *next_entry(const struct zt_vl1 *v, const struct zt_peer *peer,
                                        unsigned *at)
{
    for (; *at < (1 + v->moons.n) * ZT_WORLD_ROOTS; (*at)++) {
        unsigned w = *at / ZT_WORLD_ROOTS, i = *at % ZT_WORLD_ROOTS;
        const struct zt_world *world = w == 0 ? &v->roots.planet : v->moons.m[w - 1].world;
        if (world == NULL || i >= world->nroots ||
            !zt_identity_equal(&world->roots[i].id, &peer->id))
            continue;
        (*at)++;
        return &world->roots[i];
    }
    return NULL;
}

enum zt_role zt_roots_role(const struct zt_vl1 *v, const struct zt_peer *peer)
{
    if (!peer->is_upstream)
        return ZT_ROLE_LEAF;
    for (unsigned i = 0; i < v->roots.planet.nroots; i++)
        if (v->roots.planet.roots[i].id.addr == peer->id.addr)
            return ZT_ROLE_PLANET;
    return ZT_ROLE_MOON;
}

bool zt_roots_believes(const struct zt_vl1 *v, const struct zt_peer *peer)
{
    return peer->is_upstream || zt_moons_is_seed(v, peer->id.addr);
}

bool zt_roots_endpoint_fits(const struct zt_vl1 *v, const struct zt_peer *peer,
                            const struct zt_ep *ep)
{
    if (!peer->is_upstream)
        return true;
    unsigned at = 0;
    for (const struct zt_root *root; (root = next_entry(v, peer, &at)) != NULL;) {
        if (root->neps == 0)
            return true;
        for (unsigned i = 0; i < root->neps; i++)
            if (zt_ep_same_ip(&root->eps[i], ep))
                return true;
    }
    return false;
}

/* The turn-th endpoint of this family, going around; NULL: there is none. */
static const struct zt_ep *endpoint_at(const struct zt_vl1 *v, const struct zt_peer *peer,
                                       uint8_t family, unsigned turn)
{
    unsigned n = 0, at = 0;
    for (const struct zt_root *root; (root = next_entry(v, peer, &at)) != NULL;)
        for (unsigned i = 0; i < root->neps; i++)
            n += root->eps[i].family == family;
    if (n == 0)
        return NULL;
    turn %= n;
    at = 0;
    for (const struct zt_root *root; (root = next_entry(v, peer, &at)) != NULL;)
        for (unsigned i = 0; i < root->neps; i++)
            if (root->eps[i].family == family && turn-- == 0)
                return &root->eps[i];
    return NULL;
}

/* One endpoint of each family per round, going around, so that a dead one costs one round. */
static bool call_endpoints(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    bool called = false;
    for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
        const struct zt_ep *ep = endpoint_at(v, peer, family, peer->next_ep);
        if (ep == NULL)
            continue;
        zt_tx_hello(v, now, peer, &(struct zt_link){.sock = -1, .ep = *ep}, false);
        called = true;
    }
    peer->next_ep++;
    return called;
}

void zt_roots_service(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    int64_t t = now->mono_ms;
    if (zt_peer_best(peer, t, false) != NULL) {
        peer->hello_step = HELLO_STEP_LOST;
        peer->hello_at_ms = t;
        return;
    }
    if (t < peer->hello_at_ms)
        return;
    if (!call_endpoints(v, now, peer)) {
        /* A root without endpoints: another one may be able to relay to it. */
        struct zt_peer *up = zt_roots_best(v, t);
        struct zt_path *path = up != NULL && up != peer ? zt_peer_best(up, t, false) : NULL;
        if (path != NULL)
            zt_tx_hello(v, now, peer, &path->link, true);
    }
    int64_t pause = hello_after_ms[peer->hello_step];
    if (pause > HELLO_WANTED_MS && v->waits.by_addr.count > 0)
        pause = HELLO_WANTED_MS;
    peer->hello_at_ms = t + pause;
    if (peer->hello_step + 1 < HELLO_STEPS)
        peer->hello_step++;
}

void zt_roots_reachable(struct zt_vl1 *v, const struct zt_now *now, const struct zt_peer *peer)
{
    zt_wait_kick_all(v, now);
    if (v->upper.upstream_up != NULL)
        v->upper.upstream_up(v->upper.user, now, peer->id.addr);
}

bool zt_vl1_is_root(const struct zt_vl1 *v)
{
    return v->roots.is_root;
}

bool zt_vl1_is_upstream(const struct zt_vl1 *v, uint64_t addr)
{
    for (unsigned i = 0; i < v->roots.n; i++)
        if (v->roots.up[i]->id.addr == addr)
            return true;
    return false;
}

size_t zt_vl1_upstreams(const struct zt_vl1 *v, uint64_t *out, size_t cap)
{
    size_t n = 0;
    for (unsigned i = 0; i < v->roots.n && n < cap; i++)
        out[n++] = v->roots.up[i]->id.addr;
    return n;
}

uint64_t zt_vl1_best_upstream(const struct zt_vl1 *v, const struct zt_now *now)
{
    struct zt_peer *best = zt_roots_best(v, now->mono_ms);
    return best != NULL ? best->id.addr : 0;
}

bool zt_vl1_online(const struct zt_vl1 *v)
{
    return v->roots.online;
}

enum zt_underlay zt_vl1_underlay(const struct zt_vl1 *v)
{
    return v->roots.underlay;
}
