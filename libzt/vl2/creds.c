#include "vl2/creds.h"

#include <stdlib.h>

#include "crypto/identity.h"
#include "vl2/network.h"

enum { TAGS, CAPS, COOS, KINDS };

/* One credential as it is offered. */
struct offer {
    unsigned kind;
    uint64_t holder;
    uint32_t id;
    int64_t timestamp;
    const void *cred; /* zt_tag, zt_cap, zt_coo */
};

/* What is kept of a credential is an element of `size` bytes with an id and a timestamp in it. */
struct kind {
    uint8_t type;
    unsigned max;
    size_t size, id_at, timestamp_at;
    enum zt_accept (*verify)(struct zt_network *net, const struct zt_now *now, const void *cred);
    bool (*make)(const void *cred, void *element); /* false without memory */
    void (*destroy)(void *element);                /* NULL: nothing is owned */
};

struct revoked {
    uint8_t type;
    uint32_t id;
    int64_t threshold;
};

/* Lists are sorted by id. The valid part (inside the window of our configuration) is copied out
 * when it is asked for and something changed, so that the rules see plain sorted arrays. */
struct zt_creds {
    struct list {
        uint8_t *p, *valid; /* valid: borrows what the elements own */
        unsigned n;
    } list[KINDS];
    struct revoked *revoked;
    unsigned nrevoked;
    unsigned valid_epoch; /* of the network; 0: stale */
    struct zt_holdings valid;
};

/* ---- signers ---- */

/* Looks up identities for zt_cap_verify and remembers which one was missing. */
struct lookup {
    const struct zt_network *net;
    uint64_t missing;
};

static const struct zt_identity *identity_of(void *user, uint64_t addr)
{
    struct lookup *l = (struct lookup *)user;
    const struct zt_vl1 *vl1 = l->net->vl2->vl1;
    const struct zt_identity *id =
        addr == zt_vl1_address(vl1) ? zt_vl1_identity(vl1) : zt_vl1_identity_of(vl1, addr);
    if (id == NULL && l->net->has_signer && addr == l->net->signer.addr)
        id = &l->net->signer;
    if (id == NULL)
        l->missing = addr;
    return id;
}

const struct zt_identity *zt_creds_controller(struct zt_network *net, const struct zt_now *now)
{
    struct lookup l = {.net = net};
    const struct zt_identity *id = identity_of(&l, zt_nwid_controller(net->nwid));
    if (id == NULL)
        zt_vl1_whois(net->vl2->vl1, now, l.missing);
    return id;
}

bool zt_creds_is_holder(const struct zt_network *net, uint64_t addr)
{
    return !zt_addr_reserved(addr) && addr != zt_vl1_address(net->vl2->vl1);
}

enum zt_accept zt_creds_reject(struct zt_network *net)
{
    zt_drop_count(net->vl2->drops, ZT_DROP_CREDENTIAL);
    return ZT_ACCEPT_REJECTED;
}

static enum zt_accept verify_tag(struct zt_network *net, const struct zt_now *now, const void *cred)
{
    const struct zt_identity *controller = zt_creds_controller(net, now);
    if (controller == NULL)
        return ZT_ACCEPT_DEFER;
    return zt_tag_verify((const struct zt_tag *)cred, controller) ? ZT_ACCEPT_NEW
                                                                  : ZT_ACCEPT_REJECTED;
}

static enum zt_accept verify_coo(struct zt_network *net, const struct zt_now *now, const void *cred)
{
    const struct zt_identity *controller = zt_creds_controller(net, now);
    if (controller == NULL)
        return ZT_ACCEPT_DEFER;
    return zt_coo_verify((const struct zt_coo *)cred, controller) ? ZT_ACCEPT_NEW
                                                                  : ZT_ACCEPT_REJECTED;
}

static enum zt_accept verify_cap(struct zt_network *net, const struct zt_now *now, const void *cred)
{
    struct lookup l = {.net = net};
    enum zt_accept a = zt_cap_verify((const struct zt_cap *)cred, identity_of, &l);
    if (a == ZT_ACCEPT_DEFER)
        zt_vl1_whois(net->vl2->vl1, now, l.missing);
    return a;
}

/* ---- kinds ---- */

static bool make_tag(const void *cred, void *element)
{
    const struct zt_tag *tag = (const struct zt_tag *)cred;
    *(struct zt_held_tag *)element = (struct zt_held_tag){tag->id, tag->value, tag->timestamp};
    return true;
}

static bool make_cap(const void *cred, void *element)
{
    const struct zt_cap *cap = (const struct zt_cap *)cred;
    struct zt_rule *rules = (struct zt_rule *)calloc(cap->nrules + 1, sizeof *rules);
    if (rules == NULL)
        return false;
    zt_rules_decode(cap->rules, cap->rules_size, rules, cap->nrules);
    *(struct zt_held_cap *)element =
        (struct zt_held_cap){cap->id, cap->nrules, rules, cap->timestamp};
    return true;
}

static void destroy_cap(void *element)
{
    free((void *)((struct zt_held_cap *)element)->rules);
}

static bool make_coo(const void *cred, void *element)
{
    *(struct zt_coo *)element = *(const struct zt_coo *)cred;
    return true;
}

#define ELEMENT(type) sizeof(type), offsetof(type, id), offsetof(type, timestamp)

static const struct kind kinds[KINDS] = {
    [TAGS] = {ZT_CRED_TAG, ZT_MEMBER_TAGS, ELEMENT(struct zt_held_tag), verify_tag, make_tag, NULL},
    [CAPS] = {ZT_CRED_CAPABILITY, ZT_MEMBER_CAPS, ELEMENT(struct zt_held_cap), verify_cap, make_cap,
              destroy_cap},
    [COOS] = {ZT_CRED_OWNERSHIP, ZT_MEMBER_COOS, ELEMENT(struct zt_coo), verify_coo, make_coo,
              NULL},
};

union element {
    struct zt_held_tag tag;
    struct zt_held_cap cap;
    struct zt_coo coo;
};

static uint8_t *at(const struct zt_creds *c, unsigned kind, unsigned i)
{
    return c->list[kind].p + i * kinds[kind].size;
}

static uint32_t id_of(unsigned kind, const uint8_t *element)
{
    uint32_t id;
    memcpy(&id, element + kinds[kind].id_at, sizeof id);
    return id;
}

static int64_t timestamp_of(unsigned kind, const uint8_t *element)
{
    int64_t t;
    memcpy(&t, element + kinds[kind].timestamp_at, sizeof t);
    return t;
}

static void destroy(unsigned kind, uint8_t *element)
{
    if (kinds[kind].destroy != NULL)
        kinds[kind].destroy(element);
}

/* Index of the first element whose id is not smaller. */
static unsigned place_of(const struct zt_creds *c, unsigned kind, uint32_t id)
{
    unsigned i = 0;
    while (i < c->list[kind].n && id_of(kind, at(c, kind, i)) < id)
        i++;
    return i;
}

static uint8_t *held(const struct zt_creds *c, unsigned kind, uint32_t id)
{
    if (c == NULL)
        return NULL;
    unsigned i = place_of(c, kind, id);
    return i < c->list[kind].n && id_of(kind, at(c, kind, i)) == id ? at(c, kind, i) : NULL;
}

/* ---- lists ---- */

void zt_creds_free(struct zt_creds *c)
{
    if (c == NULL)
        return;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned i = 0; i < c->list[kind].n; i++)
            destroy(kind, at(c, kind, i));
        free(c->list[kind].p);
        free(c->list[kind].valid);
    }
    free(c->revoked);
    free(c);
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

/* Remove the elements that have this id (any_id: whatever id) and are not newer. */
static void strike(struct zt_creds *c, unsigned kind, bool any_id, uint32_t id, int64_t threshold)
{
    unsigned k = 0;

    for (unsigned i = 0; i < c->list[kind].n; i++) {
        uint8_t *e = at(c, kind, i);
        if ((any_id || id_of(kind, e) == id) && timestamp_of(kind, e) <= threshold)
            destroy(kind, e);
        else
            memmove(at(c, kind, k++), e, kinds[kind].size);
    }
    c->list[kind].n = k;
}

/* The newest time that is too old to count: configurations only get newer. */
static int64_t too_old(const struct zt_network *net)
{
    if (net->cfg == NULL || net->policy.timestamp < INT64_MIN + net->policy.window_ms + 1)
        return INT64_MIN;
    return net->policy.timestamp - net->policy.window_ms - 1;
}

bool zt_creds_revoke(const struct zt_network *net, const struct zt_member *m)
{
    const int64_t old = too_old(net);
    const struct zt_creds *c = m->creds;
    bool any = m->com_revoked != 0 && m->com_revoked > old;

    for (unsigned i = 0; c != NULL && i < c->nrevoked; i++)
        any |= c->revoked[i].threshold > old;
    return any;
}

static bool put(struct zt_network *net, struct zt_creds *c, const struct offer *o)
{
    const struct kind *k = &kinds[o->kind];
    struct list *l = &c->list[o->kind];
    union element made;

    if (held(c, o->kind, o->id) == NULL && l->n == k->max)
        strike(c, o->kind, true, 0, too_old(net));
    uint8_t *e = held(c, o->kind, o->id);
    if ((e == NULL && (l->n == k->max || !grow((void **)&l->p, l->n, k->size))) ||
        !k->make(o->cred, &made))
        return false;
    if (e != NULL) {
        destroy(o->kind, e);
    } else {
        unsigned i = place_of(c, o->kind, o->id);
        e = at(c, o->kind, i);
        memmove(e + k->size, e, (l->n - i) * k->size);
        l->n++;
    }
    memcpy(e, &made, k->size);
    return true;
}

static int64_t revoked_until(const struct zt_creds *c, uint8_t type, uint32_t id)
{
    for (unsigned i = 0; c != NULL && i < c->nrevoked; i++) {
        if (c->revoked[i].type == type && c->revoked[i].id == id)
            return c->revoked[i].threshold;
    }
    return INT64_MIN;
}

/* ---- accepting ---- */

static enum zt_accept accept(struct zt_network *net, const struct zt_now *now,
                             const struct offer *o)
{
    const struct kind *k = &kinds[o->kind];
    struct zt_member *m = zt_member_find(net, o->holder);
    struct zt_creds *c = m != NULL ? m->creds : NULL;
    const uint8_t *have = held(c, o->kind, o->id);

    if (!zt_creds_is_holder(net, o->holder))
        return zt_creds_reject(net);
    if (have != NULL && timestamp_of(o->kind, have) == o->timestamp)
        return ZT_ACCEPT_REDUNDANT;
    if (have != NULL && timestamp_of(o->kind, have) > o->timestamp)
        return zt_creds_reject(net);
    if (!ZT_GATE(CRED_REVOKED, revoked_until(c, k->type, o->id) < o->timestamp))
        return zt_creds_reject(net);
    if (!zt_vl2_may_check(net->vl2, now))
        return ZT_ACCEPT_REJECTED;
    enum zt_accept a = k->verify(net, now, o->cred);
    if (a == ZT_ACCEPT_DEFER)
        return a;
    if (!ZT_GATE(CRED_SIGNER, a == ZT_ACCEPT_NEW)) {
        zt_vl2_forged(net->vl2, now);
        return zt_creds_reject(net);
    }
    m = zt_member_get(net, o->holder);
    c = m != NULL ? creds_of(m) : NULL;
    return c != NULL && put(net, c, o) ? ZT_ACCEPT_NEW : zt_creds_reject(net);
}

enum zt_accept zt_member_tag(struct zt_network *net, const struct zt_now *now,
                             const struct zt_tag *tag)
{
    return accept(net, now, &(struct offer){TAGS, tag->issued_to, tag->id, tag->timestamp, tag});
}

enum zt_accept zt_member_cap(struct zt_network *net, const struct zt_now *now,
                             const struct zt_cap *cap)
{
    return accept(net, now,
                  &(struct offer){CAPS, zt_cap_issued_to(cap), cap->id, cap->timestamp, cap});
}

enum zt_accept zt_member_coo(struct zt_network *net, const struct zt_now *now,
                             const struct zt_coo *coo)
{
    return accept(net, now, &(struct offer){COOS, coo->issued_to, coo->id, coo->timestamp, coo});
}

/* ---- revocations ---- */

/* Forget revocations of what is too old to count anyway. */
static void forget_revocations(struct zt_creds *c, int64_t threshold)
{
    unsigned k = 0;
    for (unsigned i = 0; i < c->nrevoked; i++) {
        if (c->revoked[i].threshold > threshold)
            c->revoked[k++] = c->revoked[i];
    }
    c->nrevoked = k;
}

static enum zt_accept revoke(struct zt_network *net, struct zt_creds *c, unsigned kind,
                             const struct zt_revocation *rev)
{
    unsigned i = 0;

    while (i < c->nrevoked &&
           (c->revoked[i].type != rev->type || c->revoked[i].id != rev->credential_id))
        i++;
    if (i < c->nrevoked && c->revoked[i].threshold >= rev->threshold)
        return ZT_ACCEPT_REDUNDANT;
    if (i == c->nrevoked) {
        if (c->nrevoked == ZT_MEMBER_REVOKED)
            forget_revocations(c, too_old(net));
        if (c->nrevoked == ZT_MEMBER_REVOKED ||
            !grow((void **)&c->revoked, c->nrevoked, sizeof c->revoked[0]))
            return zt_creds_reject(net);
        i = c->nrevoked++;
    }
    c->revoked[i] = (struct revoked){rev->type, rev->credential_id, rev->threshold};
    strike(c, kind, false, rev->credential_id, rev->threshold);
    return ZT_ACCEPT_NEW;
}

static enum zt_accept revoke_com(struct zt_member *m, int64_t threshold)
{
    if (threshold <= m->com_revoked)
        return ZT_ACCEPT_REDUNDANT;
    m->com_revoked = threshold;
    m->agrees_epoch = 0;
    return ZT_ACCEPT_NEW;
}

enum zt_accept zt_member_revocation(struct zt_network *net, const struct zt_now *now,
                                    const struct zt_revocation *rev)
{
    unsigned kind = 0;

    while (kind < KINDS && kinds[kind].type != rev->type)
        kind++;
    if (!zt_creds_is_holder(net, rev->target) || (kind == KINDS && rev->type != ZT_CRED_COM))
        return zt_creds_reject(net);
    const struct zt_identity *controller = zt_creds_controller(net, now);
    if (controller == NULL)
        return ZT_ACCEPT_DEFER;
    if (!zt_vl2_may_check(net->vl2, now))
        return ZT_ACCEPT_REJECTED;
    if (!ZT_GATE(REVOCATION_SIGNER, zt_revocation_verify(rev, controller))) {
        zt_vl2_forged(net->vl2, now);
        return zt_creds_reject(net);
    }
    struct zt_member *m = zt_member_get(net, rev->target);
    if (m == NULL)
        return zt_creds_reject(net);
    if (rev->type == ZT_CRED_COM)
        return revoke_com(m, rev->threshold);
    struct zt_creds *c = creds_of(m);
    return c != NULL ? revoke(net, c, kind, rev) : zt_creds_reject(net);
}

/* ---- use ---- */

/* Make the list of valid ones anew. Returns false without memory: nothing is valid then. */
static bool refresh_valid(struct zt_network *net, struct zt_creds *c)
{
    unsigned count[KINDS] = {0};

    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct list *l = &c->list[kind];
        size_t size = kinds[kind].size;
        free(l->valid);
        l->valid = (uint8_t *)calloc(l->n + 1, size);
        if (l->valid == NULL)
            return false;
        for (unsigned i = 0; i < l->n; i++) {
            const uint8_t *e = at(c, kind, i);
            if (ZT_GATE(CRED_WINDOW, zt_cred_in_window(&net->policy, timestamp_of(kind, e))))
                memcpy(l->valid + count[kind]++ * size, e, size);
        }
    }
    c->valid = (struct zt_holdings){
        .tags = (const struct zt_held_tag *)(const void *)c->list[TAGS].valid,
        .caps = (const struct zt_held_cap *)(const void *)c->list[CAPS].valid,
        .coos = (const struct zt_coo *)(const void *)c->list[COOS].valid,
        .ntags = count[TAGS],
        .ncaps = count[CAPS],
        .ncoos = count[COOS],
    };
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
