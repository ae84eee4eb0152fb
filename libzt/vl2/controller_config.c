/* What a member is given, and its configuration with all credentials signed for it (vl2.md 9.3). */
#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/controller_priv.h"
#include "vl2/rules.h"

#include <stdlib.h>

#define WINDOW_MIN_MS 300000
#define WINDOW_MAX_MS 7200000

/* ---- what a member should have ---- */

static bool has_cap(const struct zt_ctl_member *m, uint32_t id)
{
    for (unsigned i = 0; i < m->ncaps; i++) {
        if (m->caps[i] == id)
            return true;
    }
    return false;
}

static int add_default_caps(struct zt_cmember *m, unsigned *changed)
{
    const struct zt_ctl_network *n = &m->net->r;
    for (unsigned i = 0; i < n->ncaps; i++) {
        if (!n->caps[i].is_default || has_cap(&m->r, n->caps[i].id))
            continue;
        uint32_t *caps = realloc(m->r.caps, (m->r.ncaps + 1) * sizeof *caps);
        if (caps == NULL)
            return ZT_E_NOMEM;
        caps[m->r.ncaps++] = n->caps[i].id;
        m->r.caps = caps;
        *changed |= ZT_CHANGED_CAPS;
    }
    return 0;
}

/* Where a tag of this id is, or belongs, in the sorted list. */
static unsigned tag_place(const struct zt_ctl_member *m, uint32_t id)
{
    unsigned i = 0;
    while (i < m->ntags && m->tags[i].id < id)
        i++;
    return i;
}

static int add_default_tags(struct zt_cmember *m, unsigned *changed)
{
    const struct zt_ctl_network *n = &m->net->r;
    for (unsigned i = 0; i < n->ntags; i++) {
        unsigned at = tag_place(&m->r, n->tags[i].id);
        if (!n->tags[i].has_value || (at < m->r.ntags && m->r.tags[at].id == n->tags[i].id))
            continue;
        struct zt_ctl_tag *tags = realloc(m->r.tags, (m->r.ntags + 1) * sizeof *tags);
        if (tags == NULL)
            return ZT_E_NOMEM;
        memmove(tags + at + 1, tags + at, (m->r.ntags - at) * sizeof *tags);
        tags[at] = n->tags[i];
        m->r.tags = tags;
        m->r.ntags++;
        *changed |= ZT_CHANGED_TAGS;
    }
    return 0;
}

int zt_controller_equip(struct zt_cmember *m, bool is_new, unsigned *changed)
{
    int rc = zt_controller_assign(m, changed);
    if (rc == 0 && m->has_rules && is_new)
        rc = add_default_caps(m, changed);
    if (rc == 0 && m->has_rules)
        rc = add_default_tags(m, changed);
    return rc;
}

/* ---- credentials ---- */

struct build {
    struct zt_controller *c;
    const struct zt_identity *self;
    const struct zt_cmember *m;
    int64_t issued_at_ms;
    struct zt_wr arena;
};

/* The bytes written to the arena since `from`. */
static struct zt_span span_since(const struct build *b, size_t from)
{
    return (struct zt_span){b->arena.p + from, b->arena.n - from};
}

static int add_com(struct build *b, struct zt_netconf *conf)
{
    struct zt_identity id = {.addr = b->m->r.addr};
    uint8_t fingerprint[48], text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);

    memcpy(id.pub, b->m->r.pub, sizeof id.pub);
    int rc = zt_identity_fingerprint(&id, fingerprint);
    if (rc != 0)
        return rc;
    zt_com_make((uint64_t)b->issued_at_ms, (uint64_t)conf->max_delta, conf->nwid, conf->issued_to,
                fingerprint, &conf->com);
    zt_wr_com_signed(&w, &conf->com);
    zt_identity_sign(b->self, text, w.n, conf->com.sig);
    conf->com.signed_by = b->self->addr;
    conf->has_com = true;
    return 0;
}

static const struct zt_ctl_cap *find_cap(const struct zt_ctl_network *n, uint32_t id)
{
    for (unsigned i = 0; i < n->ncaps; i++) {
        if (n->caps[i].id == id)
            return &n->caps[i];
    }
    return NULL;
}

static void add_caps(struct build *b, struct zt_netconf *conf)
{
    const struct zt_ctl_member *m = &b->m->r;
    uint8_t text[ZT_CAP_TEXT_MAX];

    for (unsigned i = 0; i < m->ncaps && conf->ncaps < ZT_NETCONF_CAPS; i++) {
        const struct zt_ctl_cap *def = find_cap(&b->m->net->r, m->caps[i]);
        if (def == NULL)
            continue;
        struct zt_cap cap = {
            .nwid = conf->nwid,
            .timestamp = b->issued_at_ms,
            .id = def->id,
            .nrules = def->nrules,
            .rules = def->rules.p,
            .rules_size = def->rules.n,
            .max_chain = 1,
            .nlinks = 1,
            .chain[0] = {.to = m->addr, .from = b->self->addr, .has_sig = true},
        };
        struct zt_wr w = zt_wr(text, sizeof text);
        zt_wr_cap_signed(&w, &cap);
        zt_identity_sign(b->self, text, w.n, cap.chain[0].sig);
        size_t at = b->arena.n;
        zt_wr_cap(&b->arena, &cap);
        conf->caps[conf->ncaps++] = span_since(b, at);
    }
}

static void add_tags(struct build *b, struct zt_netconf *conf)
{
    const struct zt_ctl_member *m = &b->m->r;

    for (unsigned i = 0; i < m->ntags && i < ZT_NETCONF_TAGS; i++) {
        uint8_t text[ZT_CRED_TEXT_MAX];
        struct zt_wr w = zt_wr(text, sizeof text);
        struct zt_tag tag = {
            .nwid = conf->nwid,
            .timestamp = b->issued_at_ms,
            .id = m->tags[i].id,
            .value = m->tags[i].value,
            .issued_to = m->addr,
            .signed_by = b->self->addr,
            .has_sig = true,
        };
        zt_wr_tag_signed(&w, &tag);
        zt_identity_sign(b->self, text, w.n, tag.sig);
        size_t at = b->arena.n;
        zt_wr_tag(&b->arena, &tag);
        conf->tags[conf->ntags++] = span_since(b, at);
    }
}

/* One certificate: these addresses are this member's. */
static void add_ownership(struct build *b, struct zt_netconf *conf)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    struct zt_coo coo = {
        .nwid = conf->nwid,
        .timestamp = b->issued_at_ms,
        .id = 1,
        .issued_to = conf->issued_to,
        .signed_by = b->self->addr,
        .has_sig = true,
    };

    if (conf->naddrs == 0)
        return;
    for (unsigned i = 0; i < conf->naddrs && coo.n < ZT_COO_THINGS; i++) {
        const struct zt_ep *ip = &conf->addrs[i];
        coo.thing[coo.n].type = ip->family == 4 ? ZT_THING_IPV4 : ZT_THING_IPV6;
        memcpy(coo.thing[coo.n++].value, ip->ip, 16);
    }
    zt_wr_coo_signed(&w, &coo);
    zt_identity_sign(b->self, text, w.n, coo.sig);
    size_t at = b->arena.n;
    zt_wr_coo(&b->arena, &coo);
    conf->coos[conf->ncoos++] = span_since(b, at);
}

void zt_controller_sign_revocation(const struct zt_identity *self, struct zt_revocation *rev)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);

    rev->signed_by = self->addr;
    rev->has_sig = true;
    zt_wr_revocation_signed(&w, rev);
    zt_identity_sign(self, text, w.n, rev->sig);
}

/* ---- the whole ---- */

int64_t zt_controller_window(const struct zt_ctl_network *n)
{
    const int64_t ms = n->window_ms;
    if (ms < WINDOW_MIN_MS)
        return WINDOW_MIN_MS;
    return ms > WINDOW_MAX_MS ? WINDOW_MAX_MS : ms;
}

static void add_numbers(struct build *b, struct zt_netconf *conf)
{
    const struct zt_ctl_network *n = &b->m->net->r;
    const struct zt_ctl_member *m = &b->m->r;

    conf->nwid = n->nwid;
    conf->issued_to = m->addr;
    conf->timestamp = b->issued_at_ms;
    conf->max_delta = zt_controller_window(n);
    conf->revision = n->revision;
    conf->trace_target = m->trace_target != 0 ? m->trace_target : n->trace_target;
    conf->trace_level = m->trace_target != 0 ? m->trace_level : n->trace_level;
    conf->flags = n->broadcast ? ZT_NET_BROADCAST : 0;
    conf->is_public = !n->is_private;
    conf->multicast_limit = n->multicast_limit;
    conf->mtu = n->mtu;
    memcpy(conf->name, n->name, sizeof conf->name);
    memcpy(conf->dns_domain, n->dns_domain, sizeof conf->dns_domain);
    memcpy(conf->dns, n->dns, sizeof conf->dns);
    conf->sso_enabled = n->sso;
    conf->sso_expiry_ms = (uint64_t)m->sso_expiry_ms;
}

static void add_lists(struct build *b, struct zt_netconf *conf)
{
    static const uint8_t accept_all[] = {ZT_RULE_ACTION_ACCEPT, 0};
    const struct zt_cnet *net = b->m->net;

    while (conf->nspecialists < net->nbridges && conf->nspecialists < ZT_NETCONF_SPECIALISTS) {
        conf->specialists[conf->nspecialists] = net->bridges[conf->nspecialists] | ZT_ROLE_BRIDGE;
        conf->nspecialists++;
    }
    conf->nroutes = net->r.nroutes < ZT_NETCONF_ROUTES ? net->r.nroutes : ZT_NETCONF_ROUTES;
    if (conf->nroutes > 0)
        memcpy(conf->routes, net->r.routes, conf->nroutes * sizeof conf->routes[0]);
    if (b->m->has_rules) {
        conf->rules = net->r.rules;
        conf->nrules = net->r.nrules;
        add_caps(b, conf);
        add_tags(b, conf);
    } else {
        /* It has no rules engine. The others look at what it sends and gets. */
        conf->rules = (struct zt_span){accept_all, sizeof accept_all};
        conf->nrules = 1;
    }
}

int zt_controller_build(struct zt_controller *c, int64_t issued_at_ms, const struct zt_cmember *m,
                        size_t *n)
{
    struct zt_netconf *conf = &c->conf;
    struct build b = {
        .c = c,
        .self = zt_vl1_identity(c->vl2->vl1),
        .m = m,
        .issued_at_ms = issued_at_ms,
        .arena = zt_wr(c->arena, sizeof c->arena),
    };
    struct zt_wr w = zt_wr(c->dict, sizeof c->dict - 1);

    memset(conf, 0, sizeof *conf);
    add_numbers(&b, conf);
    add_lists(&b, conf);
    zt_controller_addresses(m, conf);
    add_ownership(&b, conf);
    int rc = add_com(&b, conf);
    if (rc == 0 && b.arena.bad)
        rc = ZT_E_SPACE;
    if (rc == 0)
        rc = zt_netconf_encode(conf, &w);
    *n = w.n;
    return rc;
}
