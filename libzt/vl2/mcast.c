#include "vl2/mcast.h"

#include <assert.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"
#include "vl1/limit.h"
#include "vl2/config.h"
#include "vl2/frame.h"
#include "vl2/hold.h"

#define GATHER_TARGETS 16
#define LIKE_INTERVAL_MS 60000
#define UNPROVEN_MAX 16
#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 2000

struct group_member {
    uint64_t addr;
    int64_t seen_ms;
};

struct sender {
    unsigned n;            /* memberships it has */
    struct zt_bucket says; /* LIKEs it may still say */
};

/* A frame that also goes to members learned within ZT_MCAST_WAIT_MS. */
struct waiting {
    struct zt_list link;
    int64_t until_ms;
    unsigned sent;               /* recipients so far */
    uint32_t limit;              /* how many members each is asked to name, as when it was sent */
    struct zt_mcast_frame frame; /* its p points to data */
    uint8_t data[];
};

struct zt_group {
    struct zt_list all;
    struct zt_group *next; /* same hash */
    uint64_t hash;
    struct zt_mcast *mcast;
    struct zt_group_id id;
    struct group_member *members; /* in no order */
    unsigned n, cap;
    int64_t purged_ms;
    int64_t gathered_ms;    /* last explicit gather */
    unsigned tries;         /* gathers since the first frame that waits */
    struct zt_list waiting; /* oldest first */
    unsigned nwaiting;
    struct zt_timer timer; /* gather again, or end of a wait */
};

static void sweep_due(void *user, struct zt_timer *t);
static void group_due(void *user, struct zt_timer *t);

void zt_mcast_init(struct zt_mcast *m, struct zt_vl2 *v)
{
    *m = (struct zt_mcast){.vl2 = v, .sweep.fire = sweep_due};
    zt_map_init(&m->groups, v->seed);
    zt_map_init(&m->senders, v->seed);
    zt_list_init(&m->all);
}

/* ---- groups ---- */

static uint64_t hash_of(const struct zt_mcast *m, const struct zt_group_id *id)
{
    return zt_vl2_hash(m->vl2, zt_vl2_hash(m->vl2, id->nwid, id->mac), id->adi);
}

static bool same(const struct zt_group_id *a, const struct zt_group_id *b)
{
    return a->nwid == b->nwid && a->mac == b->mac && a->adi == b->adi;
}

static struct zt_group *find(const struct zt_mcast *m, const struct zt_group_id *id)
{
    struct zt_group *g = (struct zt_group *)zt_map_get(&m->groups, hash_of(m, id));
    while (g != NULL && !same(&g->id, id))
        g = g->next;
    return g;
}

/* Find or make. NULL, and counted, without room. */
static struct zt_group *get(struct zt_mcast *m, const struct zt_group_id *id)
{
    struct zt_group *g = find(m, id);

    if (g != NULL)
        return g;
    if (m->ngroups >= ZT_MCAST_GROUPS) {
        zt_drop_count(m->vl2->drops, ZT_DROP_TABLE_FULL);
        return NULL;
    }
    g = (struct zt_group *)calloc(1, sizeof *g);
    if (g == NULL) {
        zt_drop_count(m->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    g->hash = hash_of(m, id);
    g->mcast = m;
    g->id = *id;
    g->gathered_ms = g->purged_ms = ZT_LONG_AGO;
    g->next = (struct zt_group *)zt_map_get(&m->groups, g->hash);
    g->timer.fire = group_due;
    zt_list_init(&g->waiting);
    zt_list_init(&g->all);
    if (zt_map_put(&m->groups, g->hash, g) != 0) {
        free(g);
        zt_drop_count(m->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    zt_list_push_back(&m->all, &g->all);
    m->ngroups++;
    return g;
}

static void unchain(struct zt_mcast *m, struct zt_group *g)
{
    struct zt_group *first = (struct zt_group *)zt_map_get(&m->groups, g->hash);

    if (first == g) {
        if (g->next != NULL)
            zt_map_put(&m->groups, g->hash, g->next); /* replaces: can't fail */
        else
            zt_map_del(&m->groups, g->hash);
        return;
    }
    while (first->next != g)
        first = first->next;
    first->next = g->next;
}

static void unqueue(struct zt_group *g, struct waiting *w)
{
    zt_list_remove(&w->link);
    g->nwaiting--;
    g->mcast->waiting_bytes -= w->frame.n;
    free(w);
}

static struct sender *sender_of(struct zt_mcast *m, uint64_t addr)
{
    return (struct sender *)zt_map_get(&m->senders, addr);
}

/* Find or make, with one membership more. NULL without memory. */
static struct sender *note_sender(struct zt_mcast *m, uint64_t addr)
{
    struct sender *s = sender_of(m, addr);

    if (s == NULL) {
        s = (struct sender *)calloc(1, sizeof *s);
        if (s == NULL || zt_map_put(&m->senders, addr, s) != 0) {
            free(s);
            return NULL;
        }
    }
    s->n++;
    m->nmembers++;
    return s;
}

static void forget_sender(struct zt_mcast *m, uint64_t addr)
{
    struct sender *s = sender_of(m, addr);
    if (--s->n == 0)
        free(zt_map_del(&m->senders, addr));
    m->nmembers--;
}

static void remove_at(struct zt_group *g, unsigned i)
{
    forget_sender(g->mcast, g->members[i].addr);
    g->members[i] = g->members[--g->n];
}

static void group_free(struct zt_mcast *m, struct zt_group *g)
{
    while (!zt_list_empty(&g->waiting))
        unqueue(g, ZT_CONTAINER(g->waiting.next, struct waiting, link));
    while (g->n > 0)
        remove_at(g, g->n - 1);
    zt_heap_remove(&m->vl2->timers, &g->timer);
    unchain(m, g);
    zt_list_remove(&g->all);
    m->ngroups--;
    free(g->members);
    free(g);
}

void zt_mcast_fini(struct zt_mcast *m)
{
    zt_heap_remove(&m->vl2->timers, &m->sweep);
    while (!zt_list_empty(&m->all))
        group_free(m, ZT_CONTAINER(m->all.next, struct zt_group, all));
    zt_map_fini(&m->groups);
    zt_map_fini(&m->senders);
}

void zt_mcast_forget(struct zt_mcast *m, uint64_t nwid)
{
    bool is_root = zt_vl1_is_root(m->vl2->vl1);

    ZT_LIST_EACH(it, &m->all)
    {
        struct zt_group *g = ZT_CONTAINER(it, struct zt_group, all);
        if (g->id.nwid != nwid)
            continue;
        while (!zt_list_empty(&g->waiting))
            unqueue(g, ZT_CONTAINER(g->waiting.next, struct waiting, link));
        if (!is_root)
            group_free(m, g);
    }
}

/* ---- members ---- */

static void purge(struct zt_group *g, const struct zt_now *now)
{
    g->purged_ms = now->mono_ms;
    for (unsigned i = g->n; i > 0; i--) {
        if (now->mono_ms - g->members[i - 1].seen_ms >= ZT_MCAST_EXPIRY_MS)
            remove_at(g, i - 1);
    }
}

static void purge_if_old(struct zt_group *g, const struct zt_now *now)
{
    if (now->mono_ms - g->purged_ms >= ZT_MCAST_SWEEP_MS)
        purge(g, now);
}

static int64_t gather_interval(const struct zt_vl2 *v)
{
    return zt_vl2_pause(v, ZT_GATHER_INTERVAL_MS, ZT_GATHER_INTERVAL_LOW);
}

static void sweep_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = (const struct zt_tick *)user;
    struct zt_mcast *m = ZT_CONTAINER(t, struct zt_mcast, sweep);

    ZT_LIST_EACH(it, &m->all)
    {
        struct zt_group *g = ZT_CONTAINER(it, struct zt_group, all);
        purge(g, tick->now);
        /* A group without members is kept while its last gather still limits the next. */
        if (g->n == 0 && g->nwaiting == 0 &&
            tick->now->mono_ms - g->gathered_ms >= gather_interval(m->vl2))
            group_free(m, g);
    }
    if (!zt_list_empty(&m->all))
        zt_heap_set(&m->vl2->timers, &m->sweep, tick->now->mono_ms + ZT_MCAST_SWEEP_MS);
}

static void start_sweep(struct zt_mcast *m, const struct zt_now *now)
{
    if (m->sweep.pos == 0)
        zt_heap_set(&m->vl2->timers, &m->sweep, now->mono_ms + ZT_MCAST_SWEEP_MS);
}

static struct group_member *find_member(struct zt_group *g, uint64_t addr)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (g->members[i].addr == addr)
            return &g->members[i];
    }
    return NULL;
}

static void remove_oldest(struct zt_group *g)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < g->n; i++) {
        if (g->members[i].seen_ms < g->members[oldest].seen_ms)
            oldest = i;
    }
    remove_at(g, oldest);
}

/* Returns whether it could be entered; counts why not. */
static bool add_member(struct zt_mcast *m, const struct zt_now *now, struct zt_group *g,
                       uint64_t addr)
{
    const struct sender *s = sender_of(m, addr);

    if (m->nmembers >= ZT_MCAST_MEMBERS || (s != NULL && s->n >= ZT_MCAST_PER_SENDER)) {
        zt_drop_count(m->vl2->drops, ZT_DROP_TABLE_FULL);
        return false;
    }
    if (g->n == ZT_MCAST_PER_GROUP) {
        zt_drop_count(m->vl2->drops, ZT_DROP_TABLE_FULL);
        remove_oldest(g);
    }
    if (g->n == g->cap) {
        unsigned cap = g->cap == 0 ? 2 : 2 * g->cap;
        void *bigger = realloc(g->members, cap * sizeof g->members[0]);
        if (bigger == NULL) {
            zt_drop_count(m->vl2->drops, ZT_DROP_NO_MEMORY);
            return false;
        }
        g->members = (struct group_member *)bigger;
        g->cap = cap;
    }
    if (note_sender(m, addr) == NULL) {
        zt_drop_count(m->vl2->drops, ZT_DROP_NO_MEMORY);
        return false;
    }
    g->members[g->n++] = (struct group_member){addr, now->mono_ms};
    return true;
}

void zt_mcast_remove(struct zt_mcast *m, struct zt_group_id id, uint64_t addr)
{
    struct zt_group *g = find(m, &id);
    struct group_member *gm = g != NULL ? find_member(g, addr) : NULL;
    if (gm != NULL)
        remove_at(g, (unsigned)(gm - g->members));
}

bool zt_mcast_has(const struct zt_mcast *m, struct zt_group_id id)
{
    return find(m, &id) != NULL;
}

size_t zt_mcast_count(const struct zt_mcast *m, struct zt_group_id id)
{
    const struct zt_group *g = find(m, &id);
    return g != NULL ? g->n : 0;
}

/* ---- sending ---- */

void zt_mcast_send_to(struct zt_network *net, const struct zt_now *now,
                      const struct zt_group_id *id, const struct zt_mcast_frame *f, uint32_t limit,
                      uint64_t to)
{
    bool compress = (net->cfg->flags & ZT_NET_NO_COMPRESS) == 0;
    struct zt_member *m = net->is_adhoc ? NULL : zt_member_get(net, to);

    if (!zt_hold_ready(net, now, m)) {
        zt_hold_mcast(net, now, m, id, f, limit);
        return;
    }
    if (!zt_frame_allowed(net, now, to, f->mac_source, id->mac, f->ethertype, f->p, f->n, true))
        return;
    if (m != NULL)
        zt_member_push(net, now, m, false);
    struct zt_wr w = zt_vl2_begin(net->vl2);
    zt_wr_u64(&w, net->nwid);
    zt_wr_u8(&w, (uint8_t)((limit > 0 ? 0x02 : 0) | (f->source != 0 ? 0x04 : 0)));
    if (limit > 0)
        zt_wr_u32(&w, limit);
    if (f->source != 0)
        zt_wr_u48(&w, f->source);
    zt_wr_u48(&w, id->mac);
    zt_wr_u32(&w, id->adi);
    zt_wr_u16(&w, f->ethertype);
    zt_wr_bytes(&w, f->p, f->n);
    zt_vl2_send(net->vl2, now, to, ZT_VERB_MULTICAST_FRAME, &w,
                ZT_TX_EXPECT | (compress ? ZT_TX_COMPRESS : 0));
}

/* Through the nearest replicator, which sends it on; false when none is alive. */
static bool send_replicated(struct zt_network *net, const struct zt_now *now,
                            const struct zt_group_id *id, const struct zt_mcast_frame *f)
{
    bool compress = (net->cfg->flags & ZT_NET_NO_COMPRESS) == 0;
    uint64_t best = 0;
    int best_ms = -1;

    for (unsigned i = 0; i < net->cfg->nspecialists; i++) {
        uint64_t addr = net->cfg->specialists[i] & ZT_ADDR_MASK;
        if ((net->cfg->specialists[i] & ZT_ROLE_REPLICATOR) == 0 || addr == net->policy.self)
            continue;
        int ms = zt_vl1_latency(net->vl2->vl1, now, addr);
        if (ms >= 0 && zt_hold_ready(net, now, zt_member_get(net, addr)) &&
            (best == 0 || ms < best_ms)) {
            best = addr;
            best_ms = ms;
        }
    }
    if (best == 0)
        return false;
    struct zt_wr w = zt_vl2_begin(net->vl2);
    zt_wr_u64(&w, net->nwid);
    zt_wr_u8(&w, 0x0c);
    zt_wr_u48(&w, f->mac_source);
    zt_wr_u48(&w, id->mac);
    zt_wr_u32(&w, id->adi);
    zt_wr_u16(&w, f->ethertype);
    zt_wr_bytes(&w, f->p, f->n);
    zt_vl2_send(net->vl2, now, best, ZT_VERB_MULTICAST_FRAME, &w,
                ZT_TX_EXPECT | (compress ? ZT_TX_COMPRESS : 0));
    return true;
}

static unsigned send_to_bridges(struct zt_network *net, const struct zt_now *now,
                                const struct zt_group_id *id, const struct zt_mcast_frame *f,
                                uint32_t limit, unsigned max)
{
    unsigned sent = 0;
    for (unsigned i = 0; net->nbridges > 0 && i < net->cfg->nspecialists && sent < max; i++) {
        uint64_t addr = net->cfg->specialists[i] & ZT_ADDR_MASK;
        if ((net->cfg->specialists[i] & ZT_ROLE_BRIDGE) == 0 || addr == net->policy.self ||
            addr == f->origin)
            continue;
        zt_mcast_send_to(net, now, id, f, limit, addr);
        sent++;
    }
    return sent;
}

static void swap_random(struct zt_vl2 *v, struct zt_group *g, unsigned i)
{
    unsigned k = i + zt_vl2_random(v) % (g->n - i);
    struct group_member t = g->members[i];
    g->members[i] = g->members[k];
    g->members[k] = t;
}

/* Members in random order: they are shuffled in place as far as needed. */
static unsigned send_to_members(struct zt_network *net, const struct zt_now *now,
                                struct zt_group *g, const struct zt_mcast_frame *f, uint32_t limit,
                                unsigned max)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < g->n && sent < max; i++) {
        if (g->n > max)
            swap_random(net->vl2, g, i);
        uint64_t addr = g->members[i].addr;
        if (addr == f->origin ||
            (net->nbridges > 0 && zt_config_has_role(net, addr, ZT_ROLE_BRIDGE)))
            continue;
        zt_mcast_send_to(net, now, &g->id, f, limit, addr);
        sent++;
    }
    return sent;
}

/* ---- gathering and waiting ---- */

static unsigned add_address(uint64_t *list, unsigned n, uint64_t addr, uint64_t self)
{
    if (n == GATHER_TARGETS || zt_addr_reserved(addr) || addr == self)
        return n;
    for (unsigned i = 0; i < n; i++) {
        if (list[i] == addr)
            return n;
    }
    list[n] = addr;
    return n + 1;
}

/* Who may know members (vl2.md 7.5). With no root reachable yet all of them are asked: the packets
 * wait in VL1 for the first path. */
static unsigned gather_targets(struct zt_network *net, const struct zt_now *now, uint64_t *out)
{
    struct zt_vl1 *vl1 = net->vl2->vl1;
    uint64_t self = net->policy.self, root = zt_vl1_best_upstream(vl1, now);
    unsigned n = 0;

    if (root != 0) {
        n = add_address(out, n, root, self);
    } else {
        uint64_t roots[GATHER_TARGETS];
        size_t count = zt_vl1_upstreams(vl1, roots, GATHER_TARGETS);
        for (size_t i = 0; i < count && i < GATHER_TARGETS; i++)
            n = add_address(out, n, roots[i], self);
    }
    n = add_address(out, n, zt_nwid_controller(net->nwid), self);
    for (unsigned i = 0; i < net->cfg->nspecialists; i++) {
        if (net->cfg->specialists[i] & (ZT_ROLE_ANCHOR | ZT_ROLE_REPLICATOR))
            n = add_address(out, n, net->cfg->specialists[i] & ZT_ADDR_MASK, self);
    }
    return n;
}

static void gather(struct zt_network *net, const struct zt_now *now, struct zt_group *g)
{
    uint64_t targets[GATHER_TARGETS];
    unsigned n = gather_targets(net, now, targets);

    g->gathered_ms = now->mono_ms;
    for (unsigned i = 0; i < n; i++) {
        struct zt_wr w = zt_vl2_begin(net->vl2);
        zt_wr_u64(&w, net->nwid);
        zt_wr_u8(&w, net->cfg->has_com ? 0x01 : 0);
        zt_wr_u48(&w, g->id.mac);
        zt_wr_u32(&w, g->id.adi);
        zt_wr_u32(&w, net->cfg->multicast_limit > g->n ? net->cfg->multicast_limit - g->n + 1 : 1);
        if (net->cfg->has_com)
            zt_wr_com(&w, &net->cfg->com);
        zt_vl2_send(net->vl2, now, targets[i], ZT_VERB_MULTICAST_GATHER, &w, ZT_TX_EXPECT);
    }
}

/* Time between gathers while nobody is known: 200, 300, 500, 1000, 2000, 2000 ... */
static int64_t retry_after(unsigned tries)
{
    static const int64_t ms[] = {RETRY_FIRST_MS, 300, 500, 1000};
    return tries < sizeof ms / sizeof ms[0] ? ms[tries] : RETRY_LAST_MS;
}

static void set_timer(struct zt_group *g)
{
    if (g->nwaiting == 0) {
        zt_heap_remove(&g->mcast->vl2->timers, &g->timer);
        return;
    }
    int64_t at = ZT_CONTAINER(g->waiting.next, struct waiting, link)->until_ms;
    int64_t retry = g->gathered_ms + retry_after(g->tries);
    if (g->n == 0 && retry < at)
        at = retry;
    /* Out of memory: the frames stay until the next sweep or send; nothing else depends on it. */
    zt_heap_set(&g->mcast->vl2->timers, &g->timer, at);
}

static void expire_waiting(struct zt_group *g, const struct zt_now *now)
{
    ZT_LIST_EACH(it, &g->waiting)
    {
        struct waiting *w = ZT_CONTAINER(it, struct waiting, link);
        if (w->until_ms > now->mono_ms)
            return;
        if (w->sent == 0)
            zt_drop_count(g->mcast->vl2->drops, ZT_DROP_QUEUE_EXPIRED);
        unqueue(g, w);
    }
}

static void group_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = (const struct zt_tick *)user;
    struct zt_group *g = ZT_CONTAINER(t, struct zt_group, timer);
    struct zt_network *net = zt_network_find(tick->v, g->id.nwid);

    expire_waiting(g, tick->now);
    /* There was no memory for a new configuration: nothing says any more where they may go. */
    while ((net == NULL || net->cfg == NULL) && g->nwaiting > 0) {
        zt_drop_count(g->mcast->vl2->drops, ZT_DROP_NO_CONFIG);
        unqueue(g, ZT_CONTAINER(g->waiting.next, struct waiting, link));
    }
    if (g->nwaiting > 0 && g->n == 0 &&
        tick->now->mono_ms - g->gathered_ms >= retry_after(g->tries)) {
        g->tries++;
        gather(net, tick->now, g);
    }
    set_timer(g);
}

/* Keep a copy for members that are learned soon. Without room the frame just does not wait. */
static struct waiting *enqueue(struct zt_group *g, const struct zt_now *now,
                               const struct zt_mcast_frame *f, uint32_t limit)
{
    struct zt_mcast *m = g->mcast;

    if (m->waiting_bytes + f->n > ZT_MCAST_WAITING_BYTES) {
        zt_drop_count(m->vl2->drops, ZT_DROP_QUEUE_FULL);
        return NULL;
    }
    if (g->nwaiting == ZT_MCAST_WAITING)
        unqueue(g, ZT_CONTAINER(g->waiting.next, struct waiting, link));
    struct waiting *w = (struct waiting *)malloc(sizeof *w + f->n);
    if (w == NULL) {
        zt_drop_count(m->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    w->until_ms = now->mono_ms + ZT_MCAST_WAIT_MS;
    w->sent = 0;
    w->limit = limit;
    w->frame = *f;
    w->frame.p = w->data;
    memcpy(w->data, f->p, f->n);
    zt_list_init(&w->link);
    zt_list_push_back(&g->waiting, &w->link);
    g->nwaiting++;
    m->waiting_bytes += f->n;
    return w;
}

/* A member was learned: what waits goes to it too. */
static void send_waiting(struct zt_network *net, const struct zt_now *now, struct zt_group *g,
                         uint64_t addr)
{
    uint32_t max = net->cfg->multicast_limit;

    expire_waiting(g, now);
    ZT_LIST_EACH(it, &g->waiting)
    {
        struct waiting *w = ZT_CONTAINER(it, struct waiting, link);
        /* Bridges got it when it was sent. */
        if (addr == w->frame.origin ||
            (net->nbridges > 0 && zt_config_has_role(net, addr, ZT_ROLE_BRIDGE)))
            continue;
        if (w->sent < max) {
            zt_mcast_send_to(net, now, &g->id, &w->frame, w->limit, addr);
            w->sent++;
        }
        if (w->sent >= max)
            unqueue(g, w);
    }
    set_timer(g);
}

void zt_mcast_add(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                  uint64_t addr)
{
    if (addr == zt_vl1_address(m->vl2->vl1))
        return;
    if (zt_addr_reserved(addr) || !zt_mac_is_multicast(id.mac)) {
        zt_drop_count(m->vl2->drops, ZT_DROP_MALFORMED);
        return;
    }
    struct zt_group *g = get(m, &id);
    if (g == NULL)
        return;
    start_sweep(m, now);
    struct group_member *known = find_member(g, addr);
    if (known != NULL) {
        known->seen_ms = now->mono_ms;
        return;
    }
    if (!add_member(m, now, g, addr) || g->nwaiting == 0)
        return;
    struct zt_network *net = zt_network_find(m->vl2, id.nwid);
    if (net != NULL && net->cfg != NULL)
        send_waiting(net, now, g, addr);
}

void zt_mcast_like(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                   uint64_t from)
{
    struct sender *s = sender_of(m, from);

    if (s != NULL && !zt_bucket_take(&s->says, now->mono_ms, 2 * ZT_MCAST_PER_SENDER,
                                     LIKE_INTERVAL_MS / ZT_MCAST_PER_SENDER))
        zt_drop_count(m->vl2->drops, ZT_DROP_RATE);
    else
        zt_mcast_add(m, now, id, from);
}

int zt_mcast_send(struct zt_network *net, const struct zt_now *now, struct zt_group_id id,
                  const struct zt_mcast_frame *frame)
{
    struct zt_mcast *m = &net->vl2->mcast;
    uint32_t max = net->cfg->multicast_limit;

    if (!net->is_bridge && !net->is_replicator && net->nreplicators > 0 &&
        send_replicated(net, now, &id, frame))
        return 0;
    struct zt_group *g = get(m, &id);
    if (g == NULL)
        return ZT_E_LIMIT;
    start_sweep(m, now);
    purge_if_old(g, now);
    if (g->n >= max) {
        unsigned sent = send_to_bridges(net, now, &id, frame, 1, max);
        send_to_members(net, now, g, frame, 1, max - sent);
        return 0;
    }

    uint32_t limit = max - g->n + 1;
    expire_waiting(g, now);
    if (g->nwaiting == 0)
        g->tries = 0;
    int64_t silent = now->mono_ms - g->gathered_ms;
    if (silent >= gather_interval(net->vl2) || (g->n == 0 && silent >= RETRY_FIRST_MS))
        gather(net, now, g);
    struct waiting *w = enqueue(g, now, frame, limit);
    unsigned sent = send_to_bridges(net, now, &id, frame, limit, max);
    sent += send_to_members(net, now, g, frame, limit, max - sent);
    if (w != NULL)
        w->sent = sent;
    set_timer(g);
    return 0;
}

/* ---- answering ---- */

uint32_t zt_gather_limit(const struct zt_rx *rx, uint32_t limit)
{
    return limit <= UNPROVEN_MAX || zt_vl1_is_proven(rx) ? limit : UNPROVEN_MAX;
}

unsigned zt_mcast_results(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                          uint64_t asker, bool self, uint32_t limit, struct zt_wr *w)
{
    struct zt_group *g = find(m, &id);
    struct zt_wr before = *w;
    unsigned count = 0;

    if (g != NULL)
        purge_if_old(g, now);
    zt_wr_u32(w, (g != NULL ? g->n : 0) + (self ? 1u : 0u));
    size_t count_at = w->n;
    zt_wr_u16(w, 0);
    if (limit > UINT16_MAX)
        limit = UINT16_MAX;
    if (self && count < limit) {
        zt_wr_u40(w, zt_vl1_address(m->vl2->vl1));
        count++;
    }
    for (unsigned i = 0; g != NULL && i < g->n && count < limit && w->cap - w->n >= 5; i++) {
        swap_random(m->vl2, g, i);
        if (g->members[i].addr == asker)
            continue;
        zt_wr_u40(w, g->members[i].addr);
        count++;
    }
    if (count == 0 || w->bad) {
        *w = before;
        return 0;
    }
    zt_put16(w->p + count_at, (uint16_t)count);
    return count;
}
