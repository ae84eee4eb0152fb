/* The life of a joined network.
 *
 * It has a configuration or it has none. Ad-hoc networks make theirs at once and keep it. Others
 * ask the controller every 5 s until they have one and every 60 s after that; an ERROR of the
 * controller sets a failure, which is what the status shows until the controller gives a
 * configuration again, while the old one goes on working (vl2.md 8.5). Who is refused asks every 5 s again:
 * when that was a mistake, it is over as soon as it is mended.
 *
 * The pass is the network's only timer: requests, announcements of groups to roots and other
 * targets every 60 s, to members every 60 s. A root that becomes reachable is announced everything
 * at once, so that groups are known there soon after a start; an idle network wakes once in 60 s.
 *
 * Everything derived from a configuration (compiled rules, own credentials as values) is made at
 * install, so that frames find it ready. */

#include "vl2/network.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/controller_priv.h"
#include "vl2/hold.h"

#define LIKE_TUPLE 18

struct zt_network *zt_network_find(const struct zt_vl2 *v, uint64_t nwid)
{
    return (struct zt_network *)zt_map_get(&v->networks, nwid);
}

enum zt_net_status zt_network_status(const struct zt_network *net)
{
    if (net->failure != ZT_NET_OK)
        return net->failure;
    return net->cfg != NULL ? ZT_NET_OK : ZT_NET_REQUESTING_CONFIGURATION;
}

static void tell(struct zt_network *net)
{
    const struct zt_host *host = net->vl2->host;
    host->event(host->user, &(struct zt_event){ZT_EVENT_NETWORK, net->nwid});
}

static void run_pass(struct zt_network *net, const struct zt_now *now);

static void pass_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = (const struct zt_tick *)user;
    run_pass(ZT_CONTAINER(t, struct zt_network, pass), tick->now);
}

int zt_network_new(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid,
                   struct zt_network **out)
{
    struct zt_network *net = (struct zt_network *)calloc(1, sizeof *net);

    if (net == NULL)
        return ZT_E_NOMEM;
    net->vl2 = v;
    net->nwid = nwid;
    net->mac = zt_mac_of(zt_vl1_address(v->vl1), nwid);
    net->failure = ZT_NET_OK;
    net->config_ms = net->loaded_ms = net->requested_ms = ZT_LONG_AGO;
    net->pass.fire = pass_due;
    zt_map_init(&net->members, v->seed ^ nwid);
    zt_list_init(&net->members_lru);
    zt_list_init(&net->held);
    net->hold_timer.fire = zt_hold_due;
    /* The only timer: put in now, so that moving it later can't fail for lack of memory. */
    if (zt_heap_set(&v->timers, &net->pass, now->mono_ms) != 0) {
        free(net);
        return ZT_E_NOMEM;
    }
    *out = net;
    return 0;
}

static void drop_config(struct zt_network *net)
{
    for (unsigned i = 0; net->own_caps != NULL && i < net->policy.own.ncaps; i++)
        free((void *)net->own_caps[i].rules);
    free(net->own_tags);
    free(net->own_caps);
    free(net->own_coos);
    free(net->rules);
    free(net->dict);
    free(net->arena);
    free(net->cfg);
    net->own_tags = NULL;
    net->own_caps = NULL;
    net->own_coos = NULL;
    net->rules = NULL;
    net->dict = NULL;
    net->arena = NULL;
    net->cfg = NULL;
    net->ndict = 0;
    memset(&net->policy, 0, sizeof net->policy);
}

void zt_network_free(struct zt_network *net)
{
    zt_heap_remove(&net->vl2->timers, &net->pass);
    zt_hold_drop(net, NULL);
    while (!zt_list_empty(&net->members_lru))
        zt_member_drop(net, ZT_CONTAINER(net->members_lru.next, struct zt_member, lru));
    zt_map_fini(&net->members);
    zt_assembly_fini(&net->assembly);
    drop_config(net);
    free(net->auth);
    free(net->subs);
    free(net->routes);
    free(net);
}

/* ---- configuration ---- */

bool zt_network_has_role(const struct zt_network *net, uint64_t addr, uint64_t role)
{
    for (unsigned i = 0; net->cfg != NULL && i < net->cfg->nspecialists; i++) {
        if ((net->cfg->specialists[i] & ZT_ADDR_MASK) == addr &&
            (net->cfg->specialists[i] & role) != 0)
            return true;
    }
    return false;
}

static int compile_caps(struct zt_network *net)
{
    struct zt_holdings *own = &net->policy.own;

    for (unsigned i = 0; i < net->cfg->ncaps; i++) {
        struct zt_rd r = zt_rd(net->cfg->caps[i].p, net->cfg->caps[i].n);
        struct zt_cap cap;
        zt_rd_cap(&r, &cap);
        struct zt_rule *rules = (struct zt_rule *)calloc(cap.nrules + 1, sizeof *rules);
        if (rules == NULL)
            return ZT_E_NOMEM;
        zt_rules_decode(cap.rules, cap.rules_size, rules, cap.nrules);
        net->own_caps[own->ncaps++] =
            (struct zt_held_cap){cap.id, cap.nrules, rules, cap.timestamp};
    }
    return 0;
}

/* What the rules look at, as values. cfg and arena are set. Returns 0 or ZT_E_NOMEM. */
static int compile(struct zt_network *net)
{
    const struct zt_netconf *cfg = net->cfg;
    struct zt_holdings *own = &net->policy.own;

    net->rules = (struct zt_rule *)calloc(cfg->nrules + 1, sizeof *net->rules);
    net->own_tags = (struct zt_held_tag *)calloc(cfg->ntags + 1, sizeof *net->own_tags);
    net->own_caps = (struct zt_held_cap *)calloc(cfg->ncaps + 1, sizeof *net->own_caps);
    net->own_coos = (struct zt_coo *)calloc(cfg->ncoos + 1, sizeof *net->own_coos);
    if (net->rules == NULL || net->own_tags == NULL || net->own_caps == NULL ||
        net->own_coos == NULL)
        return ZT_E_NOMEM;
    net->policy = (struct zt_policy){
        .self = zt_vl1_address(net->vl2->vl1),
        .flags = cfg->flags,
        .rules = net->rules,
        .nrules = cfg->nrules,
        .addrs = cfg->addrs,
        .naddrs = cfg->naddrs,
        .own = {.tags = net->own_tags, .caps = net->own_caps, .coos = net->own_coos},
        .timestamp = cfg->timestamp,
        .window_ms = cfg->max_delta < 0 ? 0 : cfg->max_delta,
    };
    zt_rules_decode(cfg->rules.p, cfg->rules.n, net->rules, cfg->nrules);
    for (unsigned i = 0; i < cfg->ntags; i++) {
        struct zt_rd r = zt_rd(cfg->tags[i].p, cfg->tags[i].n);
        struct zt_tag tag;
        zt_rd_tag(&r, &tag);
        net->own_tags[own->ntags++] = (struct zt_held_tag){tag.id, tag.value, tag.timestamp};
    }
    for (unsigned i = 0; i < cfg->ncoos; i++) {
        struct zt_rd r = zt_rd(cfg->coos[i].p, cfg->coos[i].n);
        zt_rd_coo(&r, &net->own_coos[own->ncoos++]);
    }
    return compile_caps(net);
}

static void count_roles(struct zt_network *net)
{
    uint64_t self = net->policy.self;

    net->is_bridge = zt_network_has_role(net, self, ZT_ROLE_BRIDGE);
    net->is_replicator = zt_network_has_role(net, self, ZT_ROLE_REPLICATOR);
    net->nbridges = net->nreplicators = 0;
    for (unsigned i = 0; i < net->cfg->nspecialists; i++) {
        uint64_t s = net->cfg->specialists[i];
        net->nbridges += (s & ZT_ROLE_BRIDGE) != 0 && (s & ZT_ADDR_MASK) != self;
        net->nreplicators += (s & ZT_ROLE_REPLICATOR) != 0 && (s & ZT_ADDR_MASK) != self;
    }
}

/* Replace the configuration by cfg, arena and dict, which become ours also on failure. */
static int install(struct zt_network *net, const struct zt_now *now, struct zt_netconf *cfg,
                   uint8_t *arena, uint8_t *dict, size_t ndict)
{
    drop_config(net);
    net->cfg = cfg;
    net->arena = arena;
    net->dict = dict;
    net->ndict = ndict;
    if (compile(net) != 0) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        drop_config(net);
        net->epoch++;
        return ZT_E_NOMEM;
    }
    count_roles(net);
    zt_network_auth_config(net);
    net->epoch += net->epoch == UINT32_MAX ? 2 : 1; /* 0 means never */
    net->config_ms = now->mono_ms;
    net->failure = ZT_NET_OK;
    return 0;
}

static void refuse_config(struct zt_network *net)
{
    zt_drop_count(net->vl2->drops, ZT_DROP_CONFIG);
}

/* Where a dictionary comes from. What members pass on may be late, or kept and shown again: an
 * older one is refused. (Equal times with other contents are the controller's affair.) The answer
 * to our own request is the controller's word of now, even when it has set its clock back. */
enum origin {
    FROM_CACHE,
    FROM_CONTROLLER,
    FROM_ANYBODY,
};

static void answered(struct zt_network *net, const struct zt_now *now)
{
    net->loaded_ms = now->mono_ms;
    net->unanswered = 0;
}

/* The controller gave us once more what we have, as it does while its clock stands still: it is fresh,
 * and a refusal before it is over. */
static void confirmed(struct zt_network *net, const struct zt_now *now)
{
    answered(net, now);
    if (net->failure == ZT_NET_OK)
        return;
    net->failure = ZT_NET_OK;
    tell(net);
}

/* Take a dictionary (malloc, becomes ours). What comes from the network is saved and counts as
 * fresh. Returns 0 or ZT_E_*: counted. */
static int load(struct zt_network *net, const struct zt_now *now, uint8_t *dict, size_t n,
                enum origin from)
{
    struct zt_netconf *cfg = (struct zt_netconf *)malloc(sizeof *cfg);
    uint8_t *arena = (uint8_t *)malloc(n + 1);

    if (cfg == NULL || arena == NULL || zt_netconf_decode(dict, n, arena, cfg) != 0 ||
        !ZT_GATE(CONFIG_SUBJECT,
                 cfg->nwid == net->nwid && cfg->issued_to == zt_vl1_address(net->vl2->vl1)) ||
        !ZT_GATE(CONFIG_AGE, from != FROM_ANYBODY || net->cfg == NULL ||
                                 cfg->timestamp >= net->cfg->timestamp)) {
        refuse_config(net);
        free(cfg);
        free(arena);
        free(dict);
        return ZT_E_FORMAT;
    }
    if (net->cfg != NULL && net->ndict == n && memcmp(net->dict, dict, n) == 0) {
        free(cfg);
        free(arena);
        free(dict);
        if (from == FROM_CONTROLLER)
            confirmed(net, now);
        return 0;
    }
    int r = install(net, now, cfg, arena, dict, n);
    if (r != 0)
        return r;
    if (from != FROM_CACHE) {
        answered(net, now);
        net->vl2->host->save(net->vl2->host->user, ZT_OBJECT_NETWORK, net->nwid, dict, n);
    }
    zt_network_wake(net, now);
    tell(net);
    return 0;
}

static void start_adhoc(struct zt_network *net, const struct zt_now *now)
{
    struct zt_netconf *cfg = (struct zt_netconf *)malloc(sizeof *cfg);
    uint8_t *arena = (uint8_t *)malloc(ZT_ADHOC_RULES);
    int r = ZT_E_NOMEM;

    if (cfg != NULL && arena != NULL)
        r = zt_adhoc_config(net->nwid, zt_vl1_address(net->vl2->vl1), now->wall_ms, arena, cfg);
    if (r == 0) {
        net->is_adhoc = true;
        install(net, now, cfg, arena, NULL, 0);
    } else {
        free(cfg);
        free(arena);
        if (r == ZT_E_NOENT)
            net->failure = ZT_NET_NOT_FOUND;
    }
    tell(net);
}

void zt_network_start(struct zt_network *net, const struct zt_now *now, const uint8_t *cached,
                      size_t ncached)
{
    const struct zt_host *host = net->vl2->host;
    bool loaded = false;

    if (zt_nwid_is_adhoc(net->nwid)) {
        start_adhoc(net, now);
    } else if (ncached > 1 && ncached < ZT_NETCONF_MAX) {
        uint8_t *dict = (uint8_t *)malloc(ncached);
        if (dict != NULL) {
            memcpy(dict, cached, ncached);
            loaded = load(net, now, dict, ncached, FROM_CACHE) == 0;
        }
    }
    /* The file is how the network is joined again after a restart. */
    if (!loaded && !(ncached == 1 && cached[0] == '\n'))
        host->save(host->user, ZT_OBJECT_NETWORK, net->nwid, (const uint8_t *)"\n", 1);
    zt_network_wake(net, now);
}

void zt_network_fail(struct zt_network *net, enum zt_net_status status)
{
    net->unanswered = 0;
    if (net->failure == status)
        return;
    net->failure = status;
    tell(net);
}

#if defined(__x86_64__)
#define ARCH "x86_64"
#elif defined(__i386__)
#define ARCH "x86"
#elif defined(__aarch64__)
#define ARCH "arm64"
#elif defined(__arm__)
#define ARCH "arm"
#elif defined(__riscv)
#define ARCH "riscv"
#elif defined(__powerpc__)
#define ARCH "powerpc"
#elif defined(__s390__)
#define ARCH "s390"
#else
#define ARCH "unknown"
#endif

static void request_config(struct zt_network *net, const struct zt_now *now)
{
    uint64_t controller = zt_nwid_controller(net->nwid);
    struct zt_wr w = zt_vl2_begin(net->vl2);

    net->requested_ms = now->mono_ms;
    net->unanswered++;
    if (zt_addr_reserved(controller))
        return; /* an ad-hoc form nobody knows: never gets a configuration */
    if (controller == zt_vl1_address(net->vl2->vl1)) {
        if (net->vl2->controller != NULL)
            zt_controller_request_local(net->vl2->controller, now, net->nwid);
        else
            zt_network_fail(net, ZT_NET_NOT_FOUND);
        return;
    }
    zt_wr_u64(&w, net->nwid);
    size_t len_at = w.n;
    zt_wr_u16(&w, 0);
    struct zt_wr dict = zt_wr(w.p + w.n, w.cap - w.n);
    if (zt_netconf_request(&dict, "linux/" ARCH) != 0)
        w.bad = true;
    zt_put16(w.p + len_at, (uint16_t)dict.n);
    w.n += dict.n;
    zt_wr_u64(&w, net->cfg != NULL ? net->cfg->revision : 0);
    zt_wr_u64(&w, net->cfg != NULL ? (uint64_t)net->cfg->timestamp : 0);
    zt_vl2_send(net->vl2, now, controller, ZT_VERB_NETWORK_CONFIG_REQUEST, &w,
                ZT_TX_COMPRESS | ZT_TX_EXPECT);
}

void zt_network_local_config(struct zt_network *net, const struct zt_now *now, const uint8_t *dict,
                             size_t n)
{
    uint8_t *copy = (uint8_t *)malloc(n);
    if (copy == NULL) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        return;
    }
    memcpy(copy, dict, n);
    load(net, now, copy, n, FROM_CONTROLLER);
}

/* Does a chunk carry the controller's signature? */
static bool chunk_verified(struct zt_network *net, const struct zt_chunk *chunk)
{
    const struct zt_identity *id = zt_vl1_identity_of(net->vl2->vl1, zt_nwid_controller(net->nwid));
    if (id == NULL && net->has_signer)
        id = &net->signer;
    if (id == NULL || !zt_identity_verify(id->pub, chunk->text.p, chunk->text.n, chunk->sig))
        return false;
    if (!net->has_signer) {
        net->signer = *id;
        net->has_signer = true;
    }
    return true;
}

/* Flag 0x01: to everybody we know on the network. */
static void pass_on(struct zt_network *net, const struct zt_now *now, uint64_t from,
                    const struct zt_chunk *chunk)
{
    ZT_LIST_EACH(it, &net->members_lru)
    {
        const struct zt_member *m = ZT_CONTAINER(it, struct zt_member, lru);
        if (m->addr == from || m->addr == zt_nwid_controller(net->nwid))
            continue;
        struct zt_wr w = zt_vl2_begin(net->vl2);
        zt_wr_bytes(&w, chunk->all.p, chunk->all.n);
        zt_vl2_send(net->vl2, now, m->addr, ZT_VERB_NETWORK_CONFIG, &w, ZT_TX_COMPRESS);
    }
}

/* A whole unsigned dictionary: of the controller itself only. */
static enum zt_verdict legacy_config(struct zt_network *net, const struct zt_now *now,
                                     const struct zt_rx *rx, const struct zt_chunk *chunk)
{
    if (!ZT_GATE(CONFIG_SENDER, rx->from == zt_nwid_controller(net->nwid))) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NOT_CONTROLLER);
        return ZT_VERDICT_IGNORED;
    }
    uint8_t *dict = (uint8_t *)malloc(chunk->data.n + 1);
    if (dict == NULL) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        return ZT_VERDICT_OK;
    }
    memcpy(dict, chunk->data.p, chunk->data.n);
    load(net, now, dict, chunk->data.n, FROM_CONTROLLER);
    return ZT_VERDICT_OK;
}

enum zt_verdict zt_network_chunk(struct zt_network *net, const struct zt_now *now,
                                 const struct zt_rx *rx, const uint8_t *p, size_t n, bool is_push,
                                 uint64_t *update_id)
{
    enum origin from =
        !is_push && rx->from == zt_nwid_controller(net->nwid) ? FROM_CONTROLLER : FROM_ANYBODY;
    struct zt_chunk chunk;
    uint8_t *dict;

    *update_id = 0;
    if (zt_chunk_decode(p, n, &chunk) != 0) {
        zt_drop_count(net->vl2->drops, ZT_DROP_MALFORMED);
        return ZT_VERDICT_IGNORED;
    }
    if (chunk.is_legacy)
        return legacy_config(net, now, rx, &chunk);
    if (zt_assembly_has(&net->assembly, &chunk))
        return ZT_VERDICT_OK;
    if (!ZT_GATE(CONFIG_SIGNER, chunk_verified(net, &chunk))) {
        refuse_config(net);
        return ZT_VERDICT_IGNORED;
    }
    int r = zt_assembly_add(&net->assembly, &chunk, &dict);
    if (r < 0) {
        refuse_config(net);
        return ZT_VERDICT_OK;
    }
    /* Only what is known from now on: what could not be kept would go round for ever. */
    if ((chunk.flags & ZT_CHUNK_FAST) && zt_vl2_may_relay(net->vl2, now, net->nwid))
        pass_on(net, now, rx->from, &chunk);
    if (r == 1 && load(net, now, dict, chunk.total, from) == 0)
        *update_id = chunk.update_id;
    return ZT_VERDICT_OK;
}

/* ---- subscriptions ---- */

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

int zt_network_subscribe(struct zt_network *net, const struct zt_now *now, uint64_t mac,
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

int zt_network_unsubscribe(struct zt_network *net, uint64_t mac, uint32_t adi)
{
    struct zt_subscription *s = find_sub(net, mac, adi);
    if (s == NULL || !s->is_own)
        return ZT_E_NOENT;
    s->is_own = false;
    if (s->bridged_ms == ZT_LONG_AGO)
        *s = net->subs[--net->nsubs];
    return 0;
}

bool zt_network_subscribed(const struct zt_network *net, uint64_t mac, uint32_t adi)
{
    if (mac == ZT_MAC_BROADCAST && adi == 0 && net->cfg != NULL &&
        (net->cfg->flags & ZT_NET_BROADCAST))
        return true;
    return find_sub(net, mac, adi) != NULL;
}

void zt_network_bridged_group(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                              uint32_t adi)
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

/* ---- announcing ---- */

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

static int64_t like_interval(const struct zt_network *net)
{
    return zt_vl2_pause(net->vl2, ZT_LIKE_INTERVAL_MS, ZT_LIKE_INTERVAL_LOW);
}

/* Returns when to look again. */
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

void zt_network_root_up(struct zt_network *net, const struct zt_now *now, uint64_t addr)
{
    struct zt_target *t = find_target(net, addr);
    if (t != NULL)
        t->liked_ms = ZT_LONG_AGO;
    /* A request may have been lost while there was no way out. */
    if (net->cfg == NULL) {
        net->requested_ms = ZT_LONG_AGO;
        net->unanswered = 0;
    }
    zt_network_wake(net, now);
}

static void announce_members(struct zt_network *net, const struct zt_now *now)
{
    ZT_LIST_EACH(it, &net->members_lru)
    {
        struct zt_member *m = ZT_CONTAINER(it, struct zt_member, lru);
        if (zt_vl1_identity_of(net->vl2->vl1, m->addr) == NULL) {
            /* VL1 has forgotten the node. A credential shown before its first packet stays. */
            if (m->liked_ms != ZT_LONG_AGO)
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

void zt_network_wake(struct zt_network *net, const struct zt_now *now)
{
    zt_heap_set(&net->vl2->timers, &net->pass, now->mono_ms);
}

/* The certificate is renewed with the configuration, and others agree with it only while it is not
 * much older than theirs: a rarer refresh must not let it run out. */
static int64_t refresh_interval(const struct zt_network *net)
{
    int64_t ms = zt_vl2_pause(net->vl2, ZT_CONFIG_REFRESH_MS, ZT_CONFIG_REFRESH_LOW);
    int64_t most = net->policy.window_ms / 3;
    if (ms > most)
        ms = most;
    return ms > ZT_CONFIG_REFRESH_MS ? ms : ZT_CONFIG_REFRESH_MS;
}

/* One lost datagram should not cost a join five seconds. A controller takes a request a second. */
static int64_t retry_interval(const struct zt_network *net)
{
    if (!net->vl2->low_bandwidth && net->unanswered == 1)
        return ZT_CONFIG_RETRY_FIRST_MS;
    if (!net->vl2->low_bandwidth && net->unanswered == 2)
        return ZT_CONFIG_RETRY_SECOND_MS;
    return zt_vl2_pause(net->vl2, ZT_CONFIG_RETRY_MS, ZT_CONFIG_RETRY_LOW);
}

static bool config_due(const struct zt_network *net, const struct zt_now *now, int64_t *next)
{
    int64_t at = net->requested_ms + retry_interval(net);

    if (zt_nwid_is_adhoc(net->nwid))
        return false; /* it made its own, or nobody can */
    if (net->cfg != NULL && net->loaded_ms != ZT_LONG_AGO && net->failure == ZT_NET_OK &&
        net->loaded_ms + refresh_interval(net) > at)
        at = net->loaded_ms + refresh_interval(net);
    if (at > now->mono_ms) {
        *next = at;
        return false;
    }
    return true;
}

static void run_pass(struct zt_network *net, const struct zt_now *now)
{
    int64_t next = ZT_NEVER, at;

    if (config_due(net, now, &next)) {
        request_config(net, now);
        next = now->mono_ms + retry_interval(net);
    }
    if (zt_nwid_is_adhoc(net->nwid) && net->cfg == NULL && net->failure == ZT_NET_OK) {
        start_adhoc(net, now); /* there was no memory when it was joined */
        if (net->cfg == NULL)
            next = now->mono_ms + ZT_CONFIG_RETRY_MS;
    }
    if (net->cfg != NULL) {
        expire_bridged(net, now);
        at = announce_targets(net, now);
        if (at < next)
            next = at;
        announce_members(net, now);
        for (unsigned i = 0; i < net->nsubs; i++)
            net->subs[i].is_new = false;
        net->has_new = false;
    }
    if (next != ZT_NEVER)
        zt_heap_set(&net->vl2->timers, &net->pass, next > now->mono_ms ? next : now->mono_ms + 1);
}

/* ---- the gate ---- */

struct zt_member *zt_network_gate(struct zt_network *net, const struct zt_now *now, uint64_t from)
{
    struct zt_member *m;

    if (net->cfg == NULL)
        return NULL;
    if (net->cfg->is_public) {
        m = zt_member_get(net, from);
    } else {
        m = zt_member_find(net, from);
        if (m != NULL && zt_member_allowed(net, m))
            m = zt_member_get(net, from); /* mark as used */
        else
            m = NULL;
    }
    if (m != NULL && now->mono_ms - m->liked_ms >= like_interval(net)) {
        m->liked_ms = now->mono_ms;
        if (find_target(net, from) == NULL)
            like(net, now, from, true);
    }
    return m;
}

void zt_network_ask_credentials(struct zt_network *net, const struct zt_now *now, uint64_t addr)
{
    struct zt_wr w = zt_vl2_begin(net->vl2);

    if (!zt_vl2_rate(net->vl2, now, ZT_RATE_NEED_CREDENTIALS, addr, net->nwid, 1))
        return;
    /* Its form is an answer; to no packet of theirs in this case, which nobody looks at. */
    zt_wr_u8(&w, ZT_VERB_FRAME);
    zt_wr_u64(&w, 0);
    zt_wr_u8(&w, ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE);
    zt_wr_u64(&w, net->nwid);
    zt_vl2_send(net->vl2, now, addr, ZT_VERB_ERROR, &w, 0);
}

enum zt_verdict zt_network_refuse(struct zt_network *net, const struct zt_now *now,
                                  const struct zt_rx *rx)
{
    uint8_t body[8];

    zt_drop_count(net->vl2->drops, net->cfg != NULL ? ZT_DROP_GATE : ZT_DROP_NO_CONFIG);
    if (zt_vl2_rate(net->vl2, now, ZT_RATE_NEED_CREDENTIALS, rx->from, net->nwid, 1)) {
        zt_put64(body, net->nwid);
        zt_vl1_reply_error(net->vl2->vl1, now, rx, ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE, body,
                           sizeof body);
    }
    return ZT_VERDICT_HOLD;
}
