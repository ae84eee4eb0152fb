/* VL1 as one object: construction, time, and what it tells about itself.
 *
 * Every deadline is a timer in one heap (peers, waiting rooms, probes, reassembly, online state),
 * so an idle node sleeps until something is really due, and a tick costs what is due, not what
 * exists. Entry points run what became due through them before they return (zt_run_due): work that
 * a handler must not do on the spot, such as retrying packets that wait for an identity, is put
 * there with deadline "now". */
#include "vl1/vl1.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl1/state.h"
#include "vl1/tx.h"

/* More timers than this in one go: leave the rest to the next tick, which is due at once. */
#define DUE_PER_RUN 4096

static void defrag_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    int64_t next = zt_defrag_expire(&tick->v->defrag, tick->now->mono_ms);
    if (next != ZT_NEVER)
        (void)zt_heap_set(&tick->v->heap, t, next);
}

int zt_vl1_new(const struct zt_vl1_config *cfg, const struct zt_now *now, struct zt_vl1 **out)
{
    if (!cfg->identity->has_priv || zt_addr_reserved(cfg->identity->addr))
        return ZT_E_INVAL;
    struct zt_vl1 *v = calloc(1, sizeof *v);
    if (v == NULL)
        return ZT_E_NOMEM;
    v->id = *cfg->identity;
    v->host = cfg->host;
    v->drops = cfg->drops;
    v->created_ms = now->mono_ms;
    v->last_beacon_ms = ZT_LONG_AGO;
    uint64_t seeds[4];
    v->host->random(v->host->user, seeds, sizeof seeds);
    v->host->random(v->host->user, &v->seed, sizeof v->seed);

    zt_heap_init(&v->heap);
    zt_defrag_init(&v->defrag, v->drops);
    v->defrag_timer.fire = defrag_due;
    zt_peers_init(v, seeds[0]);
    zt_waits_init(v, seeds[1]);
    zt_hellos_init(v, seeds[2]);
    zt_nat_init(v, seeds[3]);
    zt_moons_init(v);
    int rc = zt_roots_init(v, now, cfg->planet, cfg->nplanet);
    if (rc != 0) {
        zt_vl1_free(v);
        return rc;
    }
    *out = v;
    return 0;
}

void zt_vl1_free(struct zt_vl1 *v)
{
    if (v == NULL)
        return;
    zt_waits_fini(v);
    zt_hellos_fini(v);
    zt_nat_fini(v);
    zt_moons_fini(v);
    zt_peers_fini(v);
    zt_defrag_fini(&v->defrag);
    zt_heap_fini(&v->heap);
    zt_wipe(v, sizeof *v);
    free(v);
}

void zt_vl1_set_upper(struct zt_vl1 *v, const struct zt_vl1_upper *upper)
{
    v->upper = *upper;
}

void zt_run_due(struct zt_vl1 *v, const struct zt_now *now)
{
    struct zt_tick tick = {.v = v, .now = now};
    for (unsigned i = 0; i < DUE_PER_RUN; i++) {
        struct zt_timer *t = zt_heap_pop(&v->heap, now->mono_ms);
        if (t == NULL)
            return;
        t->fire(&tick, t);
    }
}

void zt_vl1_tick(struct zt_vl1 *v, const struct zt_now *now)
{
    if (!v->roots.started)
        zt_roots_start(v, now);
    zt_run_due(v, now);
}

int64_t zt_vl1_deadline(const struct zt_vl1 *v)
{
    return v->roots.started ? zt_heap_next(&v->heap) : v->created_ms;
}

uint64_t zt_vl1_address(const struct zt_vl1 *v)
{
    return v->id.addr;
}

const struct zt_identity *zt_vl1_identity(const struct zt_vl1 *v)
{
    return &v->id;
}

const struct zt_identity *zt_vl1_identity_of(const struct zt_vl1 *v, uint64_t addr)
{
    if (addr == v->id.addr)
        return &v->id;
    struct zt_peer *peer = zt_peer_get(v, addr);
    return peer != NULL ? &peer->id : NULL;
}

int zt_vl1_latency(const struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    struct zt_peer *peer = zt_peer_get(v, addr);
    struct zt_path *path = peer != NULL ? zt_peer_best(peer, now->mono_ms, false) : NULL;
    return path != NULL && path->latency_ms != ZT_LATENCY_UNKNOWN ? path->latency_ms : -1;
}

void zt_vl1_status(const struct zt_vl1 *v, struct zt_status_info *out)
{
    out->addr = v->id.addr;
    out->online = v->roots.online;
    out->is_root = v->roots.is_root;
    out->planet_id = v->roots.planet.id;
    out->planet_timestamp_ms = (int64_t)v->roots.planet.timestamp_ms;
    out->nroots = v->roots.planet.nroots;
    out->npeers = (unsigned)v->peers.by_addr.count;
    out->packets_in = v->packets_in;
    out->packets_out = v->packets_out;
    out->bytes_in = v->bytes_in;
    out->bytes_out = v->bytes_out;
    out->packets_relayed = v->packets_relayed;
    out->identities_told = v->identities_told;
    out->introductions = v->introductions;
}

size_t zt_vl1_peers(const struct zt_vl1 *v, uint64_t *out, size_t cap)
{
    size_t n = 0;
    uint64_t addr;
    for (size_t i = 0; zt_map_next(&v->peers.by_addr, &i, &addr, NULL); n++)
        if (n < cap)
            out[n] = addr;
    return n;
}

size_t zt_vl1_tables(const struct zt_vl1 *v, struct zt_table_info *out)
{
    size_t n = 0, most_paths = 0, probes = 0, defrag = 0, hellos = 0;
    void *peer;
    for (size_t i = 0; zt_map_next(&v->peers.by_addr, &i, NULL, &peer);)
        if (((struct zt_peer *)peer)->npaths > most_paths)
            most_paths = ((struct zt_peer *)peer)->npaths;
    for (unsigned i = 0; i < ZT_PROBES; i++)
        probes += v->nat.probes[i].peer != 0;
    for (const struct zt_list *l = v->defrag.used.next; l != &v->defrag.used; l = l->next)
        defrag++;
    for (const struct zt_list *l = v->hellos.waiting.next; l != &v->hellos.waiting; l = l->next)
        hellos++;
    out[n++] = (struct zt_table_info){"peers", v->peers.by_addr.count, ZT_PEERS_MAX};
    out[n++] = (struct zt_table_info){"paths_of_a_peer", most_paths, ZT_PEER_PATHS};
    out[n++] = (struct zt_table_info){"waiting_addresses", v->waits.by_addr.count, ZT_WAIT_ADDRESSES};
    out[n++] = (struct zt_table_info){"waiting_bytes", v->waits.bytes, ZT_WAIT_BYTES};
    out[n++] = (struct zt_table_info){"waiting_hellos", hellos, ZT_HELLO_WAITING};
    out[n++] = (struct zt_table_info){"unfinished_packets", defrag, ZT_DEFRAG_ENTRIES};
    out[n++] = (struct zt_table_info){"probes", probes, ZT_PROBES};
    out[n++] = (struct zt_table_info){"surfaces", v->nat.nsurfaces, ZT_SURFACES};
    out[n++] = (struct zt_table_info){"introduced_pairs", v->nat.nunited, ZT_UNITE_SLOTS};
    return n;
}

static struct zt_path_info path_info(const struct zt_vl1 *v, const struct zt_path *path,
                                     int64_t now_ms, bool preferred)
{
    const struct zt_set_physical *net = zt_settings_physical(&v->settings, &path->link.ep);
    return (struct zt_path_info){
        .ep = path->link.ep,
        .sock = path->link.sock,
        .last_out_ms = path->last_out_ms,
        .last_in_ms = path->last_in_ms,
        .latency_ms = path->latency_ms == ZT_LATENCY_UNKNOWN ? -1 : path->latency_ms,
        .expired = !zt_path_usable(path, now_ms),
        .preferred = preferred,
        .trusted_path = net != NULL ? net->trusted_path : 0,
    };
}

int zt_vl1_peer(const struct zt_vl1 *v, const struct zt_now *now, uint64_t addr,
                struct zt_peer_info *out)
{
    struct zt_peer *peer = zt_peer_get(v, addr);
    if (peer == NULL)
        return ZT_E_NOENT;
    bool known = peer->proto != 0;
    *out = (struct zt_peer_info){
        .addr = addr,
        .version_proto = known ? peer->proto : -1,
        .version_major = known ? peer->major : -1,
        .version_minor = known ? peer->minor : -1,
        .version_rev = known ? peer->rev : -1,
        .latency_ms = zt_vl1_latency(v, now, addr),
        .role = zt_roots_role(v, peer),
        .is_alive = zt_peer_alive(peer, now->mono_ms),
    };
    const struct zt_path *best = zt_peer_best(peer, now->mono_ms, false);
    if (best != NULL)
        out->paths[out->npaths++] = path_info(v, best, now->mono_ms, true);
    for (int usable = 1; usable >= 0; usable--)
        for (unsigned i = 0; i < peer->npaths && out->npaths < ZT_INFO_PATHS; i++)
            if (&peer->paths[i] != best &&
                zt_path_usable(&peer->paths[i], now->mono_ms) == (usable == 1))
                out->paths[out->npaths++] = path_info(v, &peer->paths[i], now->mono_ms, false);
    return 0;
}
