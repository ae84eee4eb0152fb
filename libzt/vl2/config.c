/* A network's configuration: how it is got, checked and made ready.
 *
 * Ad-hoc networks make theirs at once and keep it. Others ask the controller, after 1.2 and 2.4 s
 * again and every 5 s then until they have one, and every 60 s after that; an ERROR of the
 * controller sets a failure, which is what the status shows until the controller gives a
 * configuration again, while the old one goes on working (vl2.md 8.5). Who is refused asks every
 * 5 s again: when that was a mistake, it is over as soon as it is mended.
 *
 * Everything derived from a configuration (compiled rules, own credentials as values) is made at
 * install, so that frames find it ready. */

#include "vl2/config.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/controller_priv.h"

static void tell(struct zt_network *net)
{
    const struct zt_host *host = net->vl2->host;
    host->event(host->user, &(struct zt_event){ZT_EVENT_NETWORK, net->nwid});
}

void zt_config_drop(struct zt_network *net)
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

bool zt_config_has_role(const struct zt_network *net, uint64_t addr, uint64_t role)
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

    net->is_bridge = zt_config_has_role(net, self, ZT_ROLE_BRIDGE);
    net->is_replicator = zt_config_has_role(net, self, ZT_ROLE_REPLICATOR);
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
    zt_config_drop(net);
    net->cfg = cfg;
    net->arena = arena;
    net->dict = dict;
    net->ndict = ndict;
    if (compile(net) != 0) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        zt_config_drop(net);
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

/* The controller gave us once more what we have, as it does while its clock stands still: it is
 * fresh, and a refusal before it is over. */
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

void zt_config_adhoc(struct zt_network *net, const struct zt_now *now)
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

void zt_config_start(struct zt_network *net, const struct zt_now *now, const uint8_t *cached,
                     size_t ncached)
{
    const struct zt_host *host = net->vl2->host;
    bool loaded = false;

    if (zt_nwid_is_adhoc(net->nwid)) {
        zt_config_adhoc(net, now);
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

void zt_config_fail(struct zt_network *net, enum zt_net_status status)
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

void zt_config_request(struct zt_network *net, const struct zt_now *now)
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
            zt_config_fail(net, ZT_NET_NOT_FOUND);
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

void zt_config_local(struct zt_network *net, const struct zt_now *now, const uint8_t *dict,
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
static bool chunk_verified(struct zt_network *net, const struct zt_now *now,
                           const struct zt_chunk *chunk)
{
    const struct zt_identity *id = zt_vl1_identity_of(net->vl2->vl1, zt_nwid_controller(net->nwid));
    if (id == NULL && net->has_signer)
        id = &net->signer;
    if (id == NULL || !zt_vl2_may_check(net->vl2, now))
        return false;
    if (!zt_identity_verify(id->pub, chunk->text.p, chunk->text.n, chunk->sig)) {
        zt_vl2_forged(net->vl2, now);
        return false;
    }
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

enum zt_verdict zt_config_chunk(struct zt_network *net, const struct zt_now *now,
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
    if (!ZT_GATE(CONFIG_SIGNER, chunk_verified(net, now, &chunk))) {
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
int64_t zt_config_retry(const struct zt_network *net)
{
    if (!net->vl2->low_bandwidth && net->unanswered == 1)
        return ZT_CONFIG_RETRY_FIRST_MS;
    if (!net->vl2->low_bandwidth && net->unanswered == 2)
        return ZT_CONFIG_RETRY_SECOND_MS;
    return zt_vl2_pause(net->vl2, ZT_CONFIG_RETRY_MS, ZT_CONFIG_RETRY_LOW);
}

bool zt_config_due(const struct zt_network *net, const struct zt_now *now, int64_t *next)
{
    int64_t at = net->requested_ms + zt_config_retry(net);

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
