/* What a network listens to, and whom it tells: roots, the controller and other targets every 60 s,
 * members every 60 s, and what is new at once. */

#include "vl2/groups.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"

#define LIKE_TUPLE 18

static struct zt_subscription *find_sub(const struct zt_network *net, uint64_t mac, uint32_t adi)
{
    for (unsigned i = 0; i < net->nsubs; i++) {
        if (net->subs[i].mac == mac && net->subs[i].adi == adi)
            return &net->subs[i];
    }
    return NULL;
}

static struct zt_subscription *add_sub(struct zt_network *net, const struct zt_now *now,
                                       uint64_t mac, uint32_t adi)
{
    struct zt_subscription *s = find_sub(net, mac, adi);

    if (s != NULL)
        return s;
    if (net->nsubs == net->capsubs) {
        unsigned cap = net->capsubs == 0 ? 8 : 2 * net->capsubs;
        void *bigger =
            cap > ZT_SUBSCRIPTIONS_MAX ? NULL : realloc(net->subs, cap * sizeof net->subs[0]);
        if (bigger == NULL)
            return NULL;
        net->subs = (struct zt_subscription *)bigger;
        net->capsubs = cap;
    }
    s = &net->subs[net->nsubs++];
    *s =
        (struct zt_subscription){.mac = mac, .adi = adi, .is_new = true, .bridged_ms = ZT_LONG_AGO};
    net->has_new = true;
    zt_network_wake(net, now);
    return s;
}

int zt_groups_subscribe(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                        uint32_t adi)
{
    if (!zt_mac_is_multicast(mac))
        return ZT_E_INVAL;
    struct zt_subscription *s = add_sub(net, now, mac, adi);
    if (s == NULL)
        return ZT_E_LIMIT;
    s->is_own = true;
    return 0;
}

int zt_groups_unsubscribe(struct zt_network *net, uint64_t mac, uint32_t adi)
{
    struct zt_subscription *s = find_sub(net, mac, adi);
    if (s == NULL || !s->is_own)
        return ZT_E_NOENT;
    s->is_own = false;
    if (s->bridged_ms == ZT_LONG_AGO)
        *s = net->subs[--net->nsubs];
    return 0;
}

bool zt_groups_has(const struct zt_network *net, uint64_t mac, uint32_t adi)
{
    if (mac == ZT_MAC_BROADCAST && adi == 0 && net->cfg != NULL &&
        (net->cfg->flags & ZT_NET_BROADCAST))
        return true;
    return find_sub(net, mac, adi) != NULL;
}

void zt_groups_bridged(struct zt_network *net, const struct zt_now *now, uint64_t mac, uint32_t adi)
{
    struct zt_subscription *s = add_sub(net, now, mac, adi);
    if (s != NULL)
        s->bridged_ms = now->mono_ms;
}

static void expire_bridged(struct zt_network *net, const struct zt_now *now)
{
    for (unsigned i = net->nsubs; i > 0; i--) {
        struct zt_subscription *s = &net->subs[i - 1];
        if (s->bridged_ms == ZT_LONG_AGO || now->mono_ms - s->bridged_ms < ZT_BRIDGED_GROUP_MS)
            continue;
        s->bridged_ms = ZT_LONG_AGO;
        if (!s->is_own)
            *s = net->subs[--net->nsubs];
    }
}

static void put_like(struct zt_wr *w, uint64_t nwid, uint64_t mac, uint32_t adi)
{
    zt_wr_u64(w, nwid);
    zt_wr_u48(w, mac);
    zt_wr_u32(w, adi);
}

/* Our groups to one node, all or the new ones. */
static void like(struct zt_network *net, const struct zt_now *now, uint64_t to, bool all)
{
    struct zt_wr w = zt_vl2_begin(net->vl2);

    if (all && (net->cfg->flags & ZT_NET_BROADCAST) && find_sub(net, ZT_MAC_BROADCAST, 0) == NULL)
        put_like(&w, net->nwid, ZT_MAC_BROADCAST, 0);
    for (unsigned i = 0; i < net->nsubs; i++) {
        if (!all && !net->subs[i].is_new)
            continue;
        if (w.cap - w.n < LIKE_TUPLE) {
            zt_vl2_send(net->vl2, now, to, ZT_VERB_MULTICAST_LIKE, &w, ZT_TX_COMPRESS);
            w = zt_vl2_begin(net->vl2);
        }
        put_like(&w, net->nwid, net->subs[i].mac, net->subs[i].adi);
    }
    if (w.n > 0)
        zt_vl2_send(net->vl2, now, to, ZT_VERB_MULTICAST_LIKE, &w, ZT_TX_COMPRESS);
}

static struct zt_target *find_target(struct zt_network *net, uint64_t addr)
{
    for (unsigned i = 0; i < net->ntargets; i++) {
        if (net->targets[i].addr == addr)
            return &net->targets[i];
    }
    return NULL;
}

static void want_target(struct zt_network *net, uint64_t addr)
{
    if (zt_addr_reserved(addr) || addr == zt_vl1_address(net->vl2->vl1))
        return;
    struct zt_target *t = find_target(net, addr);
    if (t == NULL && net->ntargets < ZT_TARGETS_MAX) {
        t = &net->targets[net->ntargets++];
        *t = (struct zt_target){.addr = addr, .liked_ms = ZT_LONG_AGO};
    }
    if (t != NULL)
        t->keep = true;
}

static void refresh_targets(struct zt_network *net)
{
    uint64_t roots[ZT_TARGETS_MAX / 2];
    size_t n = zt_vl1_upstreams(net->vl2->vl1, roots, ZT_TARGETS_MAX / 2);
    unsigned k = 0;

    for (unsigned i = 0; i < net->ntargets; i++)
        net->targets[i].keep = false;
    for (size_t i = 0; i < n; i++)
        want_target(net, roots[i]);
    want_target(net, zt_nwid_controller(net->nwid));
    for (unsigned i = 0; i < net->cfg->nspecialists; i++) {
        if (net->cfg->specialists[i] & (ZT_ROLE_ANCHOR | ZT_ROLE_REPLICATOR))
            want_target(net, net->cfg->specialists[i] & ZT_ADDR_MASK);
    }
    for (unsigned i = 0; i < net->ntargets; i++) {
        if (net->targets[i].keep)
            net->targets[k++] = net->targets[i];
    }
    net->ntargets = k;
}

/* The pass has told everybody of what is new. */
static void nothing_new(struct zt_network *net)
{
    for (unsigned i = 0; i < net->nsubs; i++)
        net->subs[i].is_new = false;
    net->has_new = false;
}

static int64_t like_interval(const struct zt_network *net)
{
    return zt_vl2_pause(net->vl2, ZT_LIKE_INTERVAL_MS, ZT_LIKE_INTERVAL_LOW);
}

static int64_t announce_targets(struct zt_network *net, const struct zt_now *now)
{
    int64_t interval = like_interval(net), next = now->mono_ms + interval;

    refresh_targets(net);
    for (unsigned i = 0; i < net->ntargets; i++) {
        struct zt_target *t = &net->targets[i];
        bool due = now->mono_ms - t->liked_ms >= interval;
        if (due)
            t->liked_ms = now->mono_ms;
        if (due || net->has_new)
            like(net, now, t->addr, due);
        if (t->liked_ms + interval < next)
            next = t->liked_ms + interval;
    }
    return next;
}

static void announce_members(struct zt_network *net, const struct zt_now *now)
{
    ZT_LIST_EACH(it, &net->members_lru)
    {
        struct zt_member *m = ZT_CONTAINER(it, struct zt_member, lru);
        if (zt_vl1_identity_of(net->vl2->vl1, m->addr) == NULL) {
            /* VL1 has forgotten the node. A credential shown before its first packet stays, and so
             * does a revocation: silence is no way around it. */
            if (m->liked_ms != ZT_LONG_AGO && !zt_creds_revoke(net, m))
                zt_member_drop(net, m);
            continue;
        }
        bool due = now->mono_ms - m->liked_ms >= like_interval(net);
        if ((!due && !net->has_new) || find_target(net, m->addr) != NULL ||
            !zt_member_allowed(net, m))
            continue;
        if (due)
            m->liked_ms = now->mono_ms;
        like(net, now, m->addr, due);
    }
}

int64_t zt_groups_announce(struct zt_network *net, const struct zt_now *now)
{
    expire_bridged(net, now);
    int64_t next = announce_targets(net, now);
    announce_members(net, now);
    nothing_new(net);
    return next;
}

void zt_groups_root_up(struct zt_network *net, uint64_t addr)
{
    struct zt_target *t = find_target(net, addr);
    if (t != NULL)
        t->liked_ms = ZT_LONG_AGO;
}

void zt_groups_show(struct zt_network *net, const struct zt_now *now, struct zt_member *m)
{
    if (now->mono_ms - m->liked_ms < like_interval(net))
        return;
    m->liked_ms = now->mono_ms;
    if (find_target(net, m->addr) == NULL)
        like(net, now, m->addr, true);
}
