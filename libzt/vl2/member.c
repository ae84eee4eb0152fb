#include "vl2/member.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/network.h"

struct revoked {
    uint8_t type;
    uint32_t id;
    int64_t threshold;
};

/* Lists grow by doubling. The valid part (inside the window of our configuration) is copied out
 * when it is asked for and something changed, so that the rules see plain sorted arrays. */
struct zt_creds {
    struct zt_held_tag *tags; /* sorted by id */
    struct zt_held_cap *caps; /* sorted by id; rules are owned */
    struct zt_coo *coos;
    struct revoked *revoked;
    unsigned ntags, ncaps, ncoos, nrevoked;

    unsigned valid_epoch; /* of the network; 0: stale */
    struct zt_held_tag *valid_tags;
    struct zt_held_cap *valid_caps;
    struct zt_coo *valid_coos;
    struct zt_holdings valid;
};

/* ---- records ---- */

static void creds_free(struct zt_creds *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->ncaps; i++)
        free((void *)c->caps[i].rules);
    free(c->tags);
    free(c->caps);
    free(c->coos);
    free(c->revoked);
    free(c->valid_tags);
    free(c->valid_caps);
    free(c->valid_coos);
    free(c);
}

struct zt_member *zt_member_find(struct zt_network *net, uint64_t addr)
{
    return (struct zt_member *)zt_map_get(&net->members, addr);
}

void zt_member_drop(struct zt_network *net, struct zt_member *m)
{
    zt_map_del(&net->members, m->addr);
    zt_list_remove(&m->lru);
    creds_free(m->creds);
    free(m->com);
    free(m);
}

struct zt_member *zt_member_get(struct zt_network *net, uint64_t addr)
{
    struct zt_member *m = zt_member_find(net, addr);

    if (m != NULL) {
        zt_list_remove(&m->lru);
        zt_list_push_front(&net->members_lru, &m->lru);
        return m;
    }
    if (net->members.count >= ZT_MEMBERS_MAX) {
        zt_drop_count(net->vl2->drops, ZT_DROP_TABLE_FULL);
        zt_member_drop(net, ZT_CONTAINER(net->members_lru.prev, struct zt_member, lru));
    }
    m = (struct zt_member *)calloc(1, sizeof *m);
    if (m == NULL || zt_map_put(&net->members, addr, m) != 0) {
        free(m);
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    m->addr = addr;
    m->liked_ms = m->pushed_ms = ZT_LONG_AGO;
    m->com_revoked = 0;
    zt_list_init(&m->lru);
    zt_list_push_front(&net->members_lru, &m->lru);
    return m;
}

static struct zt_creds *creds_of(struct zt_member *m)
{
    if (m->creds == NULL)
        m->creds = (struct zt_creds *)calloc(1, sizeof *m->creds);
    if (m->creds != NULL)
        m->creds->valid_epoch = 0;
    return m->creds;
}

/* Room for one more element in a list of n: capacities are powers of two from 4. */
static bool grow(void **list, unsigned n, size_t size)
{
    if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
        return true;
    void *bigger = realloc(*list, (n == 0 ? 4 : 2 * (size_t)n) * size);
    if (bigger == NULL)
        return false;
    *list = bigger;
    return true;
}

/* ---- signatures ---- */

static bool verify(const struct zt_wr *text, const uint8_t sig[ZT_SIG],
                   const struct zt_identity *signer)
{
    assert(!text->bad);
    return zt_identity_verify(signer->pub, text->p, text->n, sig);
}

bool zt_com_verify(const struct zt_com *com, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);

    if (com->signed_by == 0 || com->signed_by != controller->addr ||
        com->signed_by != zt_nwid_controller(zt_com_value(com, ZT_COM_NWID)))
        return false;
    zt_wr_com_signed(&w, com);
    return verify(&w, com->sig, controller);
}

static bool signer_fits(bool has_sig, uint64_t signed_by, uint64_t nwid,
                        const struct zt_identity *controller)
{
    return has_sig && signed_by == controller->addr && signed_by == zt_nwid_controller(nwid);
}

bool zt_tag_verify(const struct zt_tag *tag, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_tag_signed(&w, tag);
    return signer_fits(tag->has_sig, tag->signed_by, tag->nwid, controller) &&
           verify(&w, tag->sig, controller);
}

bool zt_coo_verify(const struct zt_coo *coo, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_coo_signed(&w, coo);
    return signer_fits(coo->has_sig, coo->signed_by, coo->nwid, controller) &&
           verify(&w, coo->sig, controller);
}

bool zt_revocation_verify(const struct zt_revocation *rev, const struct zt_identity *controller)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_revocation_signed(&w, rev);
    return signer_fits(rev->has_sig, rev->signed_by, rev->nwid, controller) &&
           verify(&w, rev->sig, controller);
}

enum zt_accept zt_cap_verify(const struct zt_cap *cap,
                             const struct zt_identity *(*identity_of)(void *user, uint64_t addr),
                             void *user)
{
    uint8_t text[ZT_CAP_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    uint64_t from = zt_nwid_controller(cap->nwid);

    if (cap->nlinks == 0 || cap->nlinks > cap->max_chain)
        return ZT_ACCEPT_REJECTED;
    zt_wr_cap_signed(&w, cap);
    for (unsigned i = 0; i < cap->nlinks; i++) {
        if (cap->chain[i].from != from || !cap->chain[i].has_sig)
            return ZT_ACCEPT_REJECTED;
        const struct zt_identity *signer = identity_of(user, from);
        if (signer == NULL)
            return ZT_ACCEPT_DEFER;
        if (!verify(&w, cap->chain[i].sig, signer))
            return ZT_ACCEPT_REJECTED;
        from = cap->chain[i].to;
    }
    return ZT_ACCEPT_NEW;
}

/* ---- accepting ---- */

static enum zt_accept reject(struct zt_network *net)
{
    zt_drop_count(net->vl2->drops, ZT_DROP_CREDENTIAL);
    return ZT_ACCEPT_REJECTED;
}

static const struct zt_identity *identity_of(void *user, uint64_t addr)
{
    const struct zt_vl2 *v = (const struct zt_vl2 *)user;
    if (addr == zt_vl1_address(v->vl1))
        return zt_vl1_identity(v->vl1);
    return zt_vl1_identity_of(v->vl1, addr);
}

static const struct zt_identity *controller_of(struct zt_network *net)
{
    return identity_of(net->vl2, zt_nwid_controller(net->nwid));
}

/* The signer is unknown: ask who it is, and keep the packet. A capability that was passed on has
 * signers besides the controller; they are members, known by the time they talk to us. */
static enum zt_accept defer(struct zt_network *net, const struct zt_now *now)
{
    zt_vl1_whois(net->vl2->vl1, now, zt_nwid_controller(net->nwid));
    return ZT_ACCEPT_DEFER;
}

/* A holder that can be: not nil, and not ourselves, whose credentials come with the configuration.
 */
static bool is_holder(const struct zt_network *net, uint64_t addr)
{
    return !zt_addr_reserved(addr) && addr != zt_vl1_address(net->vl2->vl1);
}

enum zt_accept zt_member_com(struct zt_network *net, const struct zt_now *now,
                             const struct zt_com *com)
{
    uint64_t addr = zt_com_value(com, ZT_COM_ISSUED_TO);
    int64_t timestamp = (int64_t)zt_com_value(com, ZT_COM_TIMESTAMP);
    struct zt_member *m = zt_member_find(net, addr);

    if (!is_holder(net, addr) || zt_com_value(com, ZT_COM_NWID) != net->nwid)
        return reject(net);
    if (m != NULL && m->com != NULL && memcmp(m->com, com, sizeof *com) == 0)
        return ZT_ACCEPT_REDUNDANT;
    if (m != NULL &&
        (timestamp <= m->com_revoked ||
         (m->com != NULL && timestamp < (int64_t)zt_com_value(m->com, ZT_COM_TIMESTAMP))))
        return reject(net);
    const struct zt_identity *controller = controller_of(net);
    if (controller == NULL)
        return defer(net, now);
    if (!zt_com_verify(com, controller))
        return reject(net);

    m = zt_member_get(net, addr);
    if (m != NULL && m->com == NULL)
        m->com = (struct zt_com *)malloc(sizeof *m->com);
    if (m == NULL || m->com == NULL)
        return reject(net);
    *m->com = *com;
    m->agrees_epoch = 0;
    return ZT_ACCEPT_NEW;
}

static int64_t revoked_until(const struct zt_creds *c, uint8_t type, uint32_t id)
{
    for (unsigned i = 0; c != NULL && i < c->nrevoked; i++) {
        if (c->revoked[i].type == type && c->revoked[i].id == id)
            return c->revoked[i].threshold;
    }
    return INT64_MIN;
}

/* What the record says before the signature is looked at: NEW means go on. held: timestamp of the
 * one we have, NULL for none. */
static enum zt_accept consider(struct zt_network *net, const struct zt_creds *c, uint8_t type,
                               uint32_t id, int64_t timestamp, const int64_t *held)
{
    if (held != NULL && timestamp == *held)
        return ZT_ACCEPT_REDUNDANT;
    if ((held != NULL && timestamp < *held) || revoked_until(c, type, id) >= timestamp)
        return reject(net);
    return ZT_ACCEPT_NEW;
}

static struct zt_held_tag *held_tag(const struct zt_creds *c, uint32_t id)
{
    for (unsigned i = 0; c != NULL && i < c->ntags; i++) {
        if (c->tags[i].id == id)
            return &c->tags[i];
    }
    return NULL;
}

static bool put_tag(struct zt_creds *c, const struct zt_tag *tag)
{
    struct zt_held_tag *t = held_tag(c, tag->id);
    unsigned at = c->ntags;

    if (t == NULL) {
        if (c->ntags == ZT_MEMBER_TAGS || !grow((void **)&c->tags, c->ntags, sizeof *t))
            return false;
        for (; at > 0 && c->tags[at - 1].id > tag->id; at--)
            c->tags[at] = c->tags[at - 1];
        c->ntags++;
        t = &c->tags[at];
    }
    *t = (struct zt_held_tag){tag->id, tag->value, tag->timestamp};
    return true;
}

enum zt_accept zt_member_tag(struct zt_network *net, const struct zt_now *now,
                             const struct zt_tag *tag)
{
    struct zt_member *m = zt_member_find(net, tag->issued_to);
    struct zt_creds *c = m != NULL ? m->creds : NULL;
    const struct zt_held_tag *held = held_tag(c, tag->id);

    if (!is_holder(net, tag->issued_to))
        return reject(net);
    enum zt_accept a = consider(net, c, ZT_CRED_TAG, tag->id, tag->timestamp,
                                held != NULL ? &held->timestamp : NULL);
    if (a != ZT_ACCEPT_NEW)
        return a;
    const struct zt_identity *controller = controller_of(net);
    if (controller == NULL)
        return defer(net, now);
    if (!zt_tag_verify(tag, controller))
        return reject(net);
    m = zt_member_get(net, tag->issued_to);
    c = m != NULL ? creds_of(m) : NULL;
    return c != NULL && put_tag(c, tag) ? ZT_ACCEPT_NEW : reject(net);
}

static struct zt_held_cap *held_cap(const struct zt_creds *c, uint32_t id)
{
    for (unsigned i = 0; c != NULL && i < c->ncaps; i++) {
        if (c->caps[i].id == id)
            return &c->caps[i];
    }
    return NULL;
}

static bool put_cap(struct zt_creds *c, const struct zt_cap *cap)
{
    struct zt_held_cap *h = held_cap(c, cap->id);
    struct zt_rule *rules = (struct zt_rule *)calloc(cap->nrules + 1, sizeof *rules);
    unsigned at = c->ncaps;

    if (rules == NULL)
        return false;
    zt_rules_decode(cap->rules, cap->rules_size, rules, cap->nrules);
    if (h == NULL) {
        if (c->ncaps == ZT_MEMBER_CAPS || !grow((void **)&c->caps, c->ncaps, sizeof *h)) {
            free(rules);
            return false;
        }
        for (; at > 0 && c->caps[at - 1].id > cap->id; at--)
            c->caps[at] = c->caps[at - 1];
        c->ncaps++;
        h = &c->caps[at];
        h->rules = NULL;
    }
    free((void *)h->rules);
    *h = (struct zt_held_cap){cap->id, cap->nrules, rules, cap->timestamp};
    return true;
}

enum zt_accept zt_member_cap(struct zt_network *net, const struct zt_now *now,
                             const struct zt_cap *cap)
{
    uint64_t addr = zt_cap_issued_to(cap);
    struct zt_member *m = zt_member_find(net, addr);
    struct zt_creds *c = m != NULL ? m->creds : NULL;
    const struct zt_held_cap *held = held_cap(c, cap->id);

    if (!is_holder(net, addr))
        return reject(net);
    enum zt_accept a = consider(net, c, ZT_CRED_CAPABILITY, cap->id, cap->timestamp,
                                held != NULL ? &held->timestamp : NULL);
    if (a != ZT_ACCEPT_NEW)
        return a;
    a = zt_cap_verify(cap, identity_of, net->vl2);
    if (a != ZT_ACCEPT_NEW)
        return a == ZT_ACCEPT_DEFER ? defer(net, now) : reject(net);
    m = zt_member_get(net, addr);
    c = m != NULL ? creds_of(m) : NULL;
    return c != NULL && put_cap(c, cap) ? ZT_ACCEPT_NEW : reject(net);
}

static struct zt_coo *held_coo(const struct zt_creds *c, uint32_t id)
{
    for (unsigned i = 0; c != NULL && i < c->ncoos; i++) {
        if (c->coos[i].id == id)
            return &c->coos[i];
    }
    return NULL;
}

static bool put_coo(struct zt_creds *c, const struct zt_coo *coo)
{
    struct zt_coo *h = held_coo(c, coo->id);
    if (h == NULL) {
        if (c->ncoos == ZT_MEMBER_COOS || !grow((void **)&c->coos, c->ncoos, sizeof *h))
            return false;
        h = &c->coos[c->ncoos++];
    }
    *h = *coo;
    return true;
}

enum zt_accept zt_member_coo(struct zt_network *net, const struct zt_now *now,
                             const struct zt_coo *coo)
{
    struct zt_member *m = zt_member_find(net, coo->issued_to);
    struct zt_creds *c = m != NULL ? m->creds : NULL;
    const struct zt_coo *held = held_coo(c, coo->id);

    if (!is_holder(net, coo->issued_to))
        return reject(net);
    enum zt_accept a = consider(net, c, ZT_CRED_OWNERSHIP, coo->id, coo->timestamp,
                                held != NULL ? &held->timestamp : NULL);
    if (a != ZT_ACCEPT_NEW)
        return a;
    const struct zt_identity *controller = controller_of(net);
    if (controller == NULL)
        return defer(net, now);
    if (!zt_coo_verify(coo, controller))
        return reject(net);
    m = zt_member_get(net, coo->issued_to);
    c = m != NULL ? creds_of(m) : NULL;
    return c != NULL && put_coo(c, coo) ? ZT_ACCEPT_NEW : reject(net);
}

/* ---- revocations ---- */

/* Take away what it revokes; from now on revoked_until refuses it. */
static void strike(struct zt_creds *c, const struct zt_revocation *rev)
{
    unsigned k = 0;

    switch (rev->type) {
    case ZT_CRED_TAG:
        for (unsigned i = 0; i < c->ntags; i++) {
            if (c->tags[i].id != rev->credential_id || c->tags[i].timestamp > rev->threshold)
                c->tags[k++] = c->tags[i];
        }
        c->ntags = k;
        break;
    case ZT_CRED_CAPABILITY:
        for (unsigned i = 0; i < c->ncaps; i++) {
            if (c->caps[i].id != rev->credential_id || c->caps[i].timestamp > rev->threshold)
                c->caps[k++] = c->caps[i];
            else
                free((void *)c->caps[i].rules);
        }
        c->ncaps = k;
        break;
    case ZT_CRED_OWNERSHIP:
        for (unsigned i = 0; i < c->ncoos; i++) {
            if (c->coos[i].id != rev->credential_id || c->coos[i].timestamp > rev->threshold)
                c->coos[k++] = c->coos[i];
        }
        c->ncoos = k;
        break;
    default:
        break;
    }
}

static enum zt_accept revoke(struct zt_network *net, struct zt_creds *c,
                             const struct zt_revocation *rev)
{
    for (unsigned i = 0; i < c->nrevoked; i++) {
        if (c->revoked[i].type != rev->type || c->revoked[i].id != rev->credential_id)
            continue;
        if (c->revoked[i].threshold >= rev->threshold)
            return ZT_ACCEPT_REDUNDANT;
        c->revoked[i].threshold = rev->threshold;
        strike(c, rev);
        return ZT_ACCEPT_NEW;
    }
    if (c->nrevoked == ZT_MEMBER_REVOKED ||
        !grow((void **)&c->revoked, c->nrevoked, sizeof c->revoked[0]))
        return reject(net);
    c->revoked[c->nrevoked++] = (struct revoked){rev->type, rev->credential_id, rev->threshold};
    strike(c, rev);
    return ZT_ACCEPT_NEW;
}

enum zt_accept zt_member_revocation(struct zt_network *net, const struct zt_now *now,
                                    const struct zt_revocation *rev)
{
    const struct zt_identity *controller = controller_of(net);

    if (!is_holder(net, rev->target))
        return reject(net);
    if (controller == NULL)
        return defer(net, now);
    if (!zt_revocation_verify(rev, controller))
        return reject(net);
    struct zt_member *m = zt_member_get(net, rev->target);
    if (m == NULL)
        return reject(net);
    if (rev->type == ZT_CRED_COM) {
        if (rev->threshold <= m->com_revoked)
            return ZT_ACCEPT_REDUNDANT;
        m->com_revoked = rev->threshold;
        m->agrees_epoch = 0;
        return ZT_ACCEPT_NEW;
    }
    if (rev->type != ZT_CRED_CAPABILITY && rev->type != ZT_CRED_TAG &&
        rev->type != ZT_CRED_OWNERSHIP)
        return reject(net);
    struct zt_creds *c = creds_of(m);
    return c != NULL ? revoke(net, c, rev) : reject(net);
}

/* ---- use ---- */

static bool com_agrees(struct zt_network *net, const struct zt_member *m)
{
    const struct zt_identity *id = zt_vl1_identity_of(net->vl2->vl1, m->addr);
    uint8_t fingerprint[48];

    if (m->com == NULL || !net->cfg->has_com || id == NULL ||
        (int64_t)zt_com_value(m->com, ZT_COM_TIMESTAMP) <= m->com_revoked)
        return false;
    zt_identity_fingerprint(id, fingerprint);
    return zt_com_agrees(&net->cfg->com, m->com, fingerprint);
}

bool zt_member_allowed(struct zt_network *net, struct zt_member *m)
{
    if (net->cfg == NULL)
        return false;
    if (net->cfg->is_public)
        return true;
    if (m->agrees_epoch != net->epoch) {
        m->agrees = com_agrees(net, m);
        /* An unknown identity may become known at any time: don't remember that answer. */
        if (m->agrees || zt_vl1_identity_of(net->vl2->vl1, m->addr) != NULL)
            m->agrees_epoch = net->epoch;
    }
    return m->agrees;
}

/* Make the list of valid ones anew. Returns false without memory: nothing is valid then. */
static bool refresh_valid(struct zt_network *net, struct zt_creds *c)
{
    unsigned nt = 0, nc = 0, no = 0;

    free(c->valid_tags);
    free(c->valid_caps);
    free(c->valid_coos);
    c->valid_tags = (struct zt_held_tag *)calloc(c->ntags + 1, sizeof c->valid_tags[0]);
    c->valid_caps = (struct zt_held_cap *)calloc(c->ncaps + 1, sizeof c->valid_caps[0]);
    c->valid_coos = (struct zt_coo *)calloc(c->ncoos + 1, sizeof c->valid_coos[0]);
    if (c->valid_tags == NULL || c->valid_caps == NULL || c->valid_coos == NULL)
        return false;
    for (unsigned i = 0; i < c->ntags; i++) {
        if (zt_cred_in_window(&net->policy, c->tags[i].timestamp))
            c->valid_tags[nt++] = c->tags[i];
    }
    for (unsigned i = 0; i < c->ncaps; i++) {
        if (zt_cred_in_window(&net->policy, c->caps[i].timestamp))
            c->valid_caps[nc++] = c->caps[i];
    }
    for (unsigned i = 0; i < c->ncoos; i++) {
        if (zt_cred_in_window(&net->policy, c->coos[i].timestamp))
            c->valid_coos[no++] = c->coos[i];
    }
    c->valid = (struct zt_holdings){c->valid_tags, c->valid_caps, c->valid_coos, nt, nc, no};
    c->valid_epoch = net->epoch;
    return true;
}

const struct zt_holdings *zt_member_holdings(struct zt_network *net, struct zt_member *m)
{
    if (m == NULL || m->creds == NULL)
        return NULL;
    if (m->creds->valid_epoch != net->epoch && !refresh_valid(net, m->creds)) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    return &m->creds->valid;
}

/* ---- pushing ours ---- */

/* As many spans as fit while `spare` bytes stay free, with their count in front. */
static void put_spans(struct zt_wr *w, const struct zt_span *s, unsigned n, unsigned *next,
                      size_t spare)
{
    size_t count_at = w->n;
    unsigned count = 0;

    zt_wr_u16(w, 0);
    while (*next < n && w->cap - w->n >= s[*next].n + spare) {
        zt_wr_bytes(w, s[*next].p, s[*next].n);
        (*next)++;
        count++;
    }
    zt_put16(w->p + count_at, (uint16_t)count);
}

void zt_member_push(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                    bool on_request)
{
    const struct zt_netconf *cfg = net->cfg;
    int64_t interval = on_request ? ZT_PUSH_ON_REQUEST_MS : ZT_PUSH_INTERVAL_MS;
    unsigned cap = 0, tag = 0, coo = 0, sent = 0;

    if (cfg == NULL || (m->pushed_ms >= net->config_ms && now->mono_ms - m->pushed_ms <= interval))
        return;
    m->pushed_ms = now->mono_ms;
    bool more = cfg->has_com || cfg->ncaps + cfg->ntags + cfg->ncoos > 0;
    while (more) {
        unsigned before = cap + tag + coo;
        struct zt_wr w = zt_vl2_begin(net->vl2);
        if (sent++ == 0 && cfg->has_com)
            zt_wr_com(&w, &cfg->com);
        zt_wr_u8(&w, 0);
        put_spans(&w, cfg->caps, cfg->ncaps, &cap, 6);
        put_spans(&w, cfg->tags, cfg->ntags, &tag, 4);
        zt_wr_u16(&w, 0); /* no revocations */
        put_spans(&w, cfg->coos, cfg->ncoos, &coo, 0);
        zt_vl2_send(net->vl2, now, m->addr, ZT_VERB_NETWORK_CREDENTIALS, &w, ZT_TX_COMPRESS);
        more = cap + tag + coo < cfg->ncaps + cfg->ntags + cfg->ncoos;
        if (sent > 1 && cap + tag + coo == before)
            return; /* one that fits no packet: leave the rest */
    }
}
