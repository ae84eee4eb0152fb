/* The face of VL2: dispatch of packets, timers and calls to networks, frames and groups. Handlers
 * of single messages that need no more state than the network are here too. */

#include "vl2/vl2.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/settings.h"
#include "vl2/config.h"
#include "vl2/controller_priv.h"
#include "vl2/frame.h"
#include "vl2/groups.h"
#include "vl2/hold.h"
#include "vl2/network.h"

/* ---- shared services (state.h) ---- */

uint64_t zt_vl2_hash(const struct zt_vl2 *v, uint64_t a, uint64_t b)
{
    uint64_t h = v->seed;
    const uint64_t in[2] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        h ^= in[i];
        h *= 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
        h += v->seed;
        h *= 0xbf58476d1ce4e5b9ULL;
        h ^= h >> 32;
    }
    return h;
}

uint32_t zt_vl2_random(struct zt_vl2 *v)
{
    v->prng ^= v->prng >> 12;
    v->prng ^= v->prng << 25;
    v->prng ^= v->prng >> 27;
    return (uint32_t)(v->prng * 0x2545f4914f6cdd1dULL >> 32);
}

static struct zt_rate_slot *rate_slot(struct zt_vl2 *v, uint64_t key)
{
    return &v->rates[key & (ZT_RATE_SLOTS - 1)];
}

bool zt_vl2_rate(struct zt_vl2 *v, const struct zt_now *now, enum zt_rate_kind kind, uint64_t addr,
                 uint64_t nwid, unsigned burst)
{
    uint64_t key = zt_vl2_hash(v, addr << 8 | kind, nwid);
    struct zt_rate_slot *s = rate_slot(v, key);

    if (s->key != key) {
        *s = (struct zt_rate_slot){.key = key, .at_ms = now->mono_ms, .tokens = burst};
    } else if (now->mono_ms - s->at_ms >= 1000) {
        int64_t gained = (now->mono_ms - s->at_ms) / 1000;
        s->tokens = gained > burst - s->tokens ? burst : s->tokens + (unsigned)gained;
        s->at_ms += gained * 1000;
    }
    if (s->tokens == 0)
        return false;
    /* A full bucket starts to refill only now. */
    if (s->tokens == burst)
        s->at_ms = now->mono_ms;
    s->tokens--;
    return true;
}

bool zt_vl2_may_check(struct zt_vl2 *v, const struct zt_now *now)
{
    uint64_t key = zt_vl2_hash(v, v->judged << 8 | ZT_RATE_FORGERIES, 0);
    const struct zt_rate_slot *s = rate_slot(v, key);

    /* Looking takes no slot from anybody: the honest have none. */
    if (v->judged == 0 || s->key != key || s->tokens > 0 || now->mono_ms - s->at_ms >= 1000)
        return true;
    zt_drop_count(v->drops, ZT_DROP_RATE);
    return false;
}

void zt_vl2_forged(struct zt_vl2 *v, const struct zt_now *now)
{
    if (v->judged != 0)
        (void)zt_vl2_rate(v, now, ZT_RATE_FORGERIES, v->judged, 0, ZT_FORGERIES);
}

bool zt_vl2_may_relay(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid)
{
    if (zt_vl2_rate(v, now, ZT_RATE_RELAY, 0, nwid, 64))
        return true;
    zt_drop_count(v->drops, ZT_DROP_RATE);
    return false;
}

int zt_vl2_send(struct zt_vl2 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
                const struct zt_wr *w, unsigned flags)
{
    if (w->bad)
        return zt_vl2_refuse(v, ZT_DROP_FRAME_SIZE, ZT_E_SPACE);
    int r = zt_vl1_send(v->vl1, now, dest, verb, w->p, w->n, flags, NULL);
    if (r == ZT_E_SPACE)
        zt_drop_count(v->drops, ZT_DROP_FRAME_SIZE);
    else if (r == ZT_E_INVAL)
        zt_drop_count(v->drops, ZT_DROP_DESTINATION);
    return r;
}

void zt_vl2_later(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, const uint8_t eth[14],
                  const uint8_t *p, size_t n)
{
    if (v->nlater >= ZT_LATER_MAX) {
        zt_drop_count(v->drops, ZT_DROP_QUEUE_FULL);
        return;
    }
    struct zt_later *l = (struct zt_later *)malloc(sizeof *l + 14 + n);
    if (l == NULL || zt_heap_set(&v->timers, &v->later_timer, now->mono_ms) != 0) {
        free(l);
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
        return;
    }
    l->nwid = nwid;
    l->n = 14 + n;
    memcpy(l->eth, eth, 14);
    if (n > 0)
        memcpy(l->eth + 14, p, n);
    zt_list_init(&l->link);
    zt_list_push_back(&v->later, &l->link);
    v->nlater++;
}

static void deliver_later(void *user, struct zt_timer *t)
{
    struct zt_vl2 *v = ((const struct zt_tick *)user)->v;

    /* Only those that wait now: what they cause is for the next tick. */
    for (unsigned n = v->nlater; n > 0; n--) {
        struct zt_later *l = ZT_CONTAINER(v->later.next, struct zt_later, link);
        zt_list_remove(&l->link);
        v->nlater--;
        if (zt_network_find(v, l->nwid) != NULL)
            v->host->deliver(v->host->user, l->nwid, l->eth, l->n);
        free(l);
    }
}

/* ---- messages ---- */

static enum zt_verdict malformed(struct zt_vl2 *v)
{
    zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    return ZT_VERDICT_IGNORED;
}

/* A controller serves the groups of members it let in lately, joined or not. */
static bool has_rights(const struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid,
                       uint64_t addr)
{
    return v->controller != NULL && zt_controller_has_rights(v->controller, now, nwid, addr);
}

/* vl2.md 2.3: roots take anybody's word, members that of members. */
static enum zt_verdict like_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    bool is_root = zt_vl1_is_root(v->vl1), may = false;
    uint64_t checked = 0;
    struct zt_rd r = zt_rd(rx->payload, rx->n);

    while (zt_rd_left(&r) > 0) {
        struct zt_group_id id = {.nwid = zt_rd_u64(&r)};
        id.mac = zt_rd_u48(&r);
        id.adi = zt_rd_u32(&r);
        if (r.bad) {
            zt_drop_count(v->drops, ZT_DROP_MALFORMED);
            break;
        }
        if (id.nwid != checked) {
            struct zt_network *net = zt_network_find(v, id.nwid);
            checked = id.nwid;
            may = is_root || has_rights(v, now, id.nwid, rx->from) ||
                  (net != NULL && ZT_GATE(LIKE, zt_network_gate(net, now, rx->from) != NULL));
        }
        if (may)
            zt_mcast_like(&v->mcast, now, id, rx->from);
        else
            zt_drop_count(v->drops, ZT_DROP_GATE);
    }
    return ZT_VERDICT_OK;
}

static enum zt_verdict gather_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    struct zt_group_id id = {.nwid = zt_rd_u64(&r)};
    uint8_t flags = zt_rd_u8(&r);
    id.mac = zt_rd_u48(&r);
    id.adi = zt_rd_u32(&r);
    uint32_t limit = zt_rd_u32(&r);
    if (r.bad)
        return malformed(v);

    struct zt_network *net = zt_network_find(v, id.nwid);
    if ((flags & 1) && net != NULL) {
        struct zt_com com;
        zt_rd_com(&r, &com);
        if (!r.bad)
            zt_member_com(net, now, &com);
    }
    bool is_member = net != NULL && ZT_GATE(GATHER, zt_network_gate(net, now, rx->from) != NULL);
    if (!is_member && !zt_vl1_is_root(v->vl1) && !has_rights(v, now, id.nwid, rx->from)) {
        zt_drop_count(v->drops, net != NULL ? ZT_DROP_GATE : ZT_DROP_NOT_JOINED);
        return ZT_VERDICT_IGNORED;
    }
    if (limit > 0) {
        limit = zt_gather_limit(rx, limit);
        uint8_t body[1400];
        struct zt_wr w = zt_wr(body, sizeof body);
        bool self = net != NULL && zt_groups_has(net, id.mac, id.adi);
        zt_wr_u64(&w, id.nwid);
        zt_wr_u48(&w, id.mac);
        zt_wr_u32(&w, id.adi);
        if (zt_mcast_results(&v->mcast, now, id, rx->from, self, limit, &w) > 0)
            zt_vl1_reply_ok(v->vl1, now, rx, w.p, w.n);
    }
    return is_member ? ZT_VERDICT_TRUSTED : ZT_VERDICT_OK;
}

/* total, count, addresses: of OK(MULTICAST_GATHER) and OK(MULTICAST_FRAME). Not more of them are
 * taken than anybody is ever asked for. */
static void results_in(struct zt_network *net, const struct zt_now *now, struct zt_group_id id,
                       struct zt_rd *r)
{
    struct zt_vl2 *v = net->vl2;
    uint64_t room = net->cfg != NULL ? (uint64_t)net->cfg->multicast_limit + 1 : 0;

    zt_rd_skip(r, 4);
    for (unsigned n = zt_rd_u16(r); n > 0; n--) {
        uint64_t addr = zt_rd_u40(r);
        if (r->bad) {
            zt_drop_count(v->drops, ZT_DROP_MALFORMED);
            return;
        }
        if (room-- == 0) {
            zt_drop_count(v->drops, ZT_DROP_TABLE_FULL);
            return;
        }
        zt_mcast_add(&v->mcast, now, id, addr);
    }
}

/* Whom do we believe about members of this network? It was asked, but for which network and group
 * is only in the answer. */
static bool may_tell(struct zt_network *net, const struct zt_now *now, uint64_t from)
{
    return zt_vl1_is_upstream(net->vl2->vl1, from) || from == zt_nwid_controller(net->nwid) ||
           zt_config_has_role(net, from, ZT_ROLE_ANCHOR | ZT_ROLE_REPLICATOR) ||
           ZT_GATE(TELL, zt_network_gate(net, now, from) != NULL);
}

static enum zt_verdict group_ok(struct zt_vl2 *v, const struct zt_now *now, uint64_t from,
                                const uint8_t *body, size_t n, bool has_flags)
{
    struct zt_rd r = zt_rd(body, n);
    struct zt_group_id id = {.nwid = zt_rd_u64(&r)};
    id.mac = zt_rd_u48(&r);
    id.adi = zt_rd_u32(&r);
    uint8_t flags = has_flags ? zt_rd_u8(&r) : 0x02;
    if (r.bad)
        return malformed(v);
    struct zt_network *net = zt_network_find(v, id.nwid);
    if (net == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NOT_JOINED);
        return ZT_VERDICT_IGNORED;
    }
    if (flags & 0x01) {
        struct zt_com com;
        zt_rd_com(&r, &com);
        if (r.bad)
            return malformed(v);
        zt_member_com(net, now, &com);
    }
    if (flags & 0x02) {
        if (!may_tell(net, now, from))
            zt_drop_count(v->drops, ZT_DROP_GATE);
        else if (!zt_mcast_has(&v->mcast, id))
            zt_drop_count(v->drops, ZT_DROP_UNEXPECTED_OK);
        else
            results_in(net, now, id, &r);
    }
    return ZT_VERDICT_OK;
}

/* What came of the credentials of one packet so far. Anybody may pass on what the controller
 * signed, but only who shows credentials of its own (or is the controller) earns trust by it. */
struct credentials {
    uint64_t from;
    bool accepted, own, deferred;
};

static void note(struct credentials *c, uint64_t nwid, uint64_t holder, enum zt_accept a)
{
    bool ok = a == ZT_ACCEPT_NEW || a == ZT_ACCEPT_REDUNDANT;

    c->accepted |= ok;
    c->own |= ok && (c->from == holder || c->from == zt_nwid_controller(nwid));
    c->deferred |= a == ZT_ACCEPT_DEFER;
}

/* A fresh revocation that asks for it goes on to everybody we know on the network. */
static void propagate(struct zt_network *net, const struct zt_now *now, uint64_t from,
                      const struct zt_revocation *rev)
{
    ZT_LIST_EACH(it, &net->members_lru)
    {
        const struct zt_member *m = ZT_CONTAINER(it, struct zt_member, lru);
        if (m->addr == from || m->addr == rev->signed_by)
            continue;
        struct zt_wr w = zt_vl2_begin(net->vl2);
        zt_wr_u8(&w, 0);
        zt_wr_u16(&w, 0);
        zt_wr_u16(&w, 0);
        zt_wr_u16(&w, 1);
        zt_wr_revocation(&w, rev);
        zt_wr_u16(&w, 0);
        zt_vl2_send(net->vl2, now, m->addr, ZT_VERB_NETWORK_CREDENTIALS, &w, 0);
    }
}

static void coms_in(struct zt_vl2 *v, const struct zt_now *now, struct zt_rd *r,
                    struct credentials *c)
{
    while (zt_rd_left(r) > 0 && r->p[r->pos] != 0) {
        struct zt_com com;
        zt_rd_com(r, &com);
        struct zt_network *net =
            r->bad ? NULL : zt_network_find(v, zt_com_value(&com, ZT_COM_NWID));
        if (net != NULL)
            note(c, net->nwid, zt_com_value(&com, ZT_COM_ISSUED_TO), zt_member_com(net, now, &com));
    }
    zt_rd_skip(r, 1);
}

static void caps_in(struct zt_vl2 *v, const struct zt_now *now, struct zt_rd *r,
                    struct credentials *c)
{
    for (unsigned n = zt_rd_left(r) > 0 ? zt_rd_u16(r) : 0; n > 0 && !r->bad; n--) {
        struct zt_cap cap;
        zt_rd_cap(r, &cap);
        struct zt_network *net = r->bad ? NULL : zt_network_find(v, cap.nwid);
        if (net != NULL)
            note(c, net->nwid, zt_cap_issued_to(&cap), zt_member_cap(net, now, &cap));
    }
}

static void tags_in(struct zt_vl2 *v, const struct zt_now *now, struct zt_rd *r,
                    struct credentials *c)
{
    for (unsigned n = zt_rd_left(r) > 0 ? zt_rd_u16(r) : 0; n > 0 && !r->bad; n--) {
        struct zt_tag tag;
        zt_rd_tag(r, &tag);
        struct zt_network *net = r->bad ? NULL : zt_network_find(v, tag.nwid);
        if (net != NULL)
            note(c, net->nwid, tag.issued_to, zt_member_tag(net, now, &tag));
    }
}

static void revocations_in(struct zt_vl2 *v, const struct zt_now *now, uint64_t from,
                           struct zt_rd *r, struct credentials *c)
{
    for (unsigned n = zt_rd_left(r) > 0 ? zt_rd_u16(r) : 0; n > 0 && !r->bad; n--) {
        struct zt_revocation rev;
        zt_rd_revocation(r, &rev);
        struct zt_network *net = r->bad ? NULL : zt_network_find(v, rev.nwid);
        if (net == NULL)
            continue;
        enum zt_accept a = zt_member_revocation(net, now, &rev);
        note(c, net->nwid, rev.target, a);
        if (a == ZT_ACCEPT_NEW && (rev.flags & ZT_REVOCATION_FAST) &&
            zt_vl2_may_relay(v, now, net->nwid))
            propagate(net, now, from, &rev);
    }
}

static void coos_in(struct zt_vl2 *v, const struct zt_now *now, struct zt_rd *r,
                    struct credentials *c)
{
    for (unsigned n = zt_rd_left(r) > 0 ? zt_rd_u16(r) : 0; n > 0 && !r->bad; n--) {
        struct zt_coo coo;
        zt_rd_coo(r, &coo);
        struct zt_network *net = r->bad ? NULL : zt_network_find(v, coo.nwid);
        if (net != NULL)
            note(c, net->nwid, coo.issued_to, zt_member_coo(net, now, &coo));
    }
}

static enum zt_verdict credentials_in(struct zt_vl2 *v, const struct zt_now *now,
                                      const struct zt_rx *rx)
{
    struct credentials c = {.from = rx->from};
    struct zt_rd r = zt_rd(rx->payload, rx->n);

    if (!zt_vl2_rate(v, now, ZT_RATE_CREDENTIALS_IN, rx->from, 0, 8)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return ZT_VERDICT_IGNORED;
    }
    coms_in(v, now, &r, &c);
    caps_in(v, now, &r, &c);
    tags_in(v, now, &r, &c);
    revocations_in(v, now, rx->from, &r, &c);
    coos_in(v, now, &r, &c);
    if (r.bad)
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    if (c.accepted) {
        /* Frames that came before their credentials need not wait for the next retry. */
        zt_vl1_release(v->vl1, now, rx->from);
        return c.own ? ZT_VERDICT_TRUSTED : ZT_VERDICT_OK;
    }
    if (c.deferred)
        return ZT_VERDICT_HOLD;
    return r.bad ? ZT_VERDICT_IGNORED : ZT_VERDICT_OK;
}

static enum zt_verdict config_request_in(struct zt_vl2 *v, const struct zt_now *now,
                                         const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    uint64_t nwid = zt_rd_u64(&r);
    size_t n = zt_rd_u16(&r);
    const uint8_t *meta = zt_rd_view(&r, n);

    if (v->controller == NULL && rx->n >= 8) {
        zt_vl1_reply_error(v->vl1, now, rx, ZT_ERROR_UNSUPPORTED_OPERATION, rx->payload, 8);
        return ZT_VERDICT_OK;
    }
    if (r.bad)
        return malformed(v);
    zt_controller_request(v->controller, now, rx, nwid, meta, n);
    return ZT_VERDICT_OK;
}

static enum zt_verdict chunk_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx,
                                const uint8_t *p, size_t n, bool is_push)
{
    if (n < 8)
        return malformed(v);
    struct zt_network *net = zt_network_find(v, zt_be64(p));
    if (net == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NOT_JOINED);
        return ZT_VERDICT_IGNORED;
    }
    uint64_t update_id;
    enum zt_verdict verdict = zt_config_chunk(net, now, rx, p, n, is_push, &update_id);
    if (is_push && update_id != 0) {
        uint8_t body[16];
        struct zt_rx echo = *rx;
        echo.verb = ZT_VERB_ECHO; /* what every node calls it (vl2.md 2.6) */
        zt_put64(body, net->nwid);
        zt_put64(body + 8, update_id);
        zt_vl1_reply_ok(v->vl1, now, &echo, body, sizeof body);
    }
    return verdict;
}

static enum zt_verdict dispatch(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    switch (rx->verb) {
    case ZT_VERB_FRAME:
        return zt_frame_in(v, now, rx);
    case ZT_VERB_EXT_FRAME:
        return zt_ext_frame_in(v, now, rx);
    case ZT_VERB_MULTICAST_FRAME:
        return zt_mcast_frame_in(v, now, rx);
    case ZT_VERB_MULTICAST_LIKE:
        return like_in(v, now, rx);
    case ZT_VERB_MULTICAST_GATHER:
        return gather_in(v, now, rx);
    case ZT_VERB_NETWORK_CREDENTIALS:
        return credentials_in(v, now, rx);
    case ZT_VERB_NETWORK_CONFIG_REQUEST:
        return config_request_in(v, now, rx);
    case ZT_VERB_NETWORK_CONFIG:
        return chunk_in(v, now, rx, rx->payload, rx->n, true);
    default:
        zt_drop_count(v->drops, ZT_DROP_UNKNOWN_VERB);
        return ZT_VERDICT_IGNORED;
    }
}

static enum zt_verdict packet(void *user, const struct zt_now *now, const struct zt_rx *rx)
{
    struct zt_vl2 *v = (struct zt_vl2 *)user;

    v->judged = rx->from;
    enum zt_verdict verdict = dispatch(v, now, rx);
    v->judged = 0;
    return verdict;
}

static enum zt_verdict ok(void *user, const struct zt_now *now, const struct zt_rx *rx,
                          uint8_t in_re_verb, uint64_t in_re_id, uint8_t *body, size_t n)
{
    struct zt_vl2 *v = (struct zt_vl2 *)user;
    enum zt_verdict verdict = ZT_VERDICT_OK;

    v->judged = rx->from;
    if (in_re_verb == ZT_VERB_NETWORK_CONFIG_REQUEST)
        verdict = chunk_in(v, now, rx, body, n, false);
    else if (in_re_verb == ZT_VERB_MULTICAST_GATHER || in_re_verb == ZT_VERB_MULTICAST_FRAME)
        verdict = group_ok(v, now, rx->from, body, n, in_re_verb == ZT_VERB_MULTICAST_FRAME);
    v->judged = 0;
    return verdict;
}

static enum zt_verdict controller_error(struct zt_vl2 *v, const struct zt_now *now,
                                        struct zt_network *net, uint64_t from,
                                        enum zt_net_status status)
{
    if (!ZT_GATE(CONTROLLER_ERROR, from == zt_nwid_controller(net->nwid))) {
        zt_drop_count(v->drops, ZT_DROP_NOT_CONTROLLER);
        return ZT_VERDICT_IGNORED;
    }
    if (net->failure == ZT_NET_OK)
        zt_network_wake(net, now); /* the next request is due sooner */
    zt_config_fail(net, status);
    return ZT_VERDICT_OK;
}

static enum zt_verdict unwanted(struct zt_vl2 *v, const struct zt_now *now, struct zt_network *net,
                                uint64_t from, const uint8_t *body, size_t n)
{
    if (n < 18)
        return malformed(v);
    if (!ZT_GATE(UNWANTED, zt_network_gate(net, now, from) != NULL)) {
        zt_drop_count(v->drops, ZT_DROP_GATE);
        return ZT_VERDICT_IGNORED;
    }
    struct zt_group_id id = {net->nwid, zt_be48(body + 8), zt_be32(body + 14)};
    zt_mcast_remove(&v->mcast, id, from);
    return ZT_VERDICT_OK;
}

static enum zt_verdict error(void *user, const struct zt_now *now, const struct zt_rx *rx,
                             uint8_t in_re_verb, uint64_t in_re_id, uint8_t code,
                             const uint8_t *body, size_t n)
{
    struct zt_vl2 *v = (struct zt_vl2 *)user;
    struct zt_network *net;
    struct zt_member *m;

    if (n < 8)
        return malformed(v);
    net = zt_network_find(v, zt_be64(body));
    if (net == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NOT_JOINED);
        return ZT_VERDICT_IGNORED;
    }
    switch (code) {
    case ZT_ERROR_OBJECT_NOT_FOUND:
    case ZT_ERROR_UNSUPPORTED_OPERATION:
        if (in_re_verb != ZT_VERB_NETWORK_CONFIG_REQUEST)
            return ZT_VERDICT_IGNORED;
        return controller_error(v, now, net, rx->from, ZT_NET_NOT_FOUND);
    case ZT_ERROR_BAD_PROTOCOL_VERSION:
        if (in_re_verb != ZT_VERB_NETWORK_CONFIG_REQUEST)
            return ZT_VERDICT_IGNORED;
        return controller_error(v, now, net, rx->from, ZT_NET_CLIENT_TOO_OLD);
    case ZT_ERROR_NETWORK_ACCESS_DENIED:
        return controller_error(v, now, net, rx->from, ZT_NET_ACCESS_DENIED);
    case ZT_ERROR_AUTHENTICATION_REQUIRED:
        if (rx->from == zt_nwid_controller(net->nwid) &&
            !zt_network_auth_error(net, body + 8, n - 8))
            return malformed(v);
        return controller_error(v, now, net, rx->from, ZT_NET_AUTHENTICATION_REQUIRED);
    case ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE:
        /* Whoever we sent a frame has a record; none is made for somebody who only asks. */
        m = zt_member_find(net, rx->from);
        if (m != NULL && net->cfg != NULL && net->cfg->has_com)
            zt_member_push(net, now, m, true);
        return ZT_VERDICT_OK;
    case ZT_ERROR_UNWANTED_MULTICAST:
        return unwanted(v, now, net, rx->from, body, n);
    default:
        return ZT_VERDICT_IGNORED;
    }
}

/* Whatever a controller assigns, public endpoints stay: it could cut us off from everybody else. And
 * no datagram of ours enters a virtual network, whose interface is in this process. */
static bool is_virtual(void *user, const struct zt_ep *ep)
{
    const struct zt_vl2 *v = (const struct zt_vl2 *)user;
    void *value;

    if (zt_ep_scope(ep) == ZT_SCOPE_GLOBAL)
        return false;
    for (size_t i = 0; zt_map_next(&v->networks, &i, NULL, &value);) {
        const struct zt_network *net = (const struct zt_network *)value;
        for (unsigned k = 0; net->cfg != NULL && k < net->cfg->naddrs; k++) {
            if (net->cfg->addrs[k].port > 0 && zt_ep_in_prefix(&net->cfg->addrs[k], ep))
                return true;
        }
    }
    return false;
}

static void upstream_up(void *user, const struct zt_now *now, uint64_t addr)
{
    const struct zt_vl2 *v = (const struct zt_vl2 *)user;
    void *value;

    for (size_t i = 0; zt_map_next(&v->networks, &i, NULL, &value);)
        zt_network_root_up((struct zt_network *)value, now, addr);
}

/* ---- life ---- */

int zt_vl2_new(struct zt_vl1 *vl1, const struct zt_host *host, struct zt_drops *drops,
               const struct zt_now *now, struct zt_vl2 **out)
{
    struct zt_vl2 *v = (struct zt_vl2 *)calloc(1, sizeof *v);

    if (v == NULL)
        return ZT_E_NOMEM;
    v->vl1 = vl1;
    v->host = host;
    v->drops = drops;
    host->random(host->user, &v->seed, sizeof v->seed);
    host->random(host->user, &v->prng, sizeof v->prng);
    v->prng |= 1; /* a zero state would stay zero */
    zt_map_init(&v->networks, v->seed);
    zt_heap_init(&v->timers);
    zt_list_init(&v->later);
    v->later_timer.fire = deliver_later;
    zt_mcast_init(&v->mcast, v);
    zt_vl1_set_upper(vl1, &(struct zt_vl1_upper){.user = v,
                                                 .packet = packet,
                                                 .ok = ok,
                                                 .error = error,
                                                 .is_virtual = is_virtual,
                                                 .upstream_up = upstream_up});
    *out = v;
    return 0;
}

void zt_vl2_free(struct zt_vl2 *v)
{
    void *value;

    if (v == NULL)
        return;
    zt_controller_free(v->controller);
    for (size_t i = 0; zt_map_next(&v->networks, &i, NULL, &value);)
        zt_network_free((struct zt_network *)value);
    ZT_LIST_EACH(it, &v->later)
    free(ZT_CONTAINER(it, struct zt_later, link));
    zt_mcast_fini(&v->mcast);
    zt_map_fini(&v->networks);
    zt_heap_fini(&v->timers);
    free(v);
}

void zt_vl2_configure(struct zt_vl2 *v, const struct zt_now *now, const struct zt_settings *s)
{
    void *value;

    if (v->low_bandwidth == s->low_bandwidth)
        return;
    v->low_bandwidth = s->low_bandwidth;
    for (size_t i = 0; zt_map_next(&v->networks, &i, NULL, &value);)
        zt_network_wake((struct zt_network *)value, now);
}

int zt_vl2_control(struct zt_vl2 *v, const struct zt_controller_store *store,
                   struct zt_controller **out)
{
    int rc = zt_controller_new(v, store, out);
    if (rc == 0)
        v->controller = *out;
    return rc;
}

void zt_vl2_tick(struct zt_vl2 *v, const struct zt_now *now)
{
    struct zt_tick tick = {v, now};
    struct zt_timer *t;

    while ((t = zt_heap_pop(&v->timers, now->mono_ms)) != NULL)
        t->fire(&tick, t);
}

int64_t zt_vl2_deadline(const struct zt_vl2 *v)
{
    return zt_heap_next(&v->timers);
}

int zt_vl2_join(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, const uint8_t *cached,
                size_t ncached)
{
    struct zt_network *net;

    if (nwid == 0)
        return ZT_E_INVAL;
    if (zt_network_find(v, nwid) != NULL)
        return 0;
    if (v->networks.count >= ZT_VL2_NETWORKS)
        return ZT_E_LIMIT;
    int r = zt_network_new(v, now, nwid, &net);
    if (r != 0)
        return r;
    r = zt_map_put(&v->networks, nwid, net);
    if (r != 0) {
        zt_network_free(net);
        return r;
    }
    zt_config_start(net, now, cached, ncached);
    return 0;
}

int zt_vl2_leave(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid)
{
    struct zt_network *net = (struct zt_network *)zt_map_del(&v->networks, nwid);

    if (net == NULL)
        return ZT_E_NOENT;
    zt_network_free(net);
    zt_mcast_forget(&v->mcast, nwid);
    v->host->save(v->host->user, ZT_OBJECT_NETWORK, nwid, NULL, 0);
    v->host->event(v->host->user, &(struct zt_event){ZT_EVENT_NETWORK, nwid});
    return 0;
}

int zt_vl2_frame(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, uint8_t *eth, size_t n)
{
    struct zt_network *net = zt_network_find(v, nwid);

    if (net == NULL)
        return zt_vl2_refuse(v, ZT_DROP_NOT_JOINED, ZT_E_NOENT);
    if (n < 14)
        return zt_vl2_refuse(v, ZT_DROP_SHORT, ZT_E_INVAL);
    return zt_frame_send(net, now, eth, n);
}

int zt_vl2_subscribe(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, uint64_t mac,
                     uint32_t adi)
{
    struct zt_network *net = zt_network_find(v, nwid);
    return net != NULL ? zt_groups_subscribe(net, now, mac, adi) : ZT_E_NOENT;
}

int zt_vl2_unsubscribe(struct zt_vl2 *v, uint64_t nwid, uint64_t mac, uint32_t adi)
{
    struct zt_network *net = zt_network_find(v, nwid);
    return net != NULL ? zt_groups_unsubscribe(net, mac, adi) : ZT_E_NOENT;
}

size_t zt_vl2_networks(const struct zt_vl2 *v, uint64_t *out, size_t cap)
{
    uint64_t nwid;
    size_t n = 0;

    for (size_t i = 0; zt_map_next(&v->networks, &i, &nwid, NULL);) {
        if (n < cap)
            out[n] = nwid;
        n++;
    }
    return n;
}

int zt_vl2_network(const struct zt_vl2 *v, uint64_t nwid, struct zt_net_info *out)
{
    const struct zt_network *net = zt_network_find(v, nwid);

    if (net == NULL)
        return ZT_E_NOENT;
    memset(out, 0, sizeof *out);
    out->nwid = nwid;
    out->mac = net->mac;
    out->status = zt_network_status(net);
    out->mtu = ZT_NET_MTU_DEFAULT;
    if (net->auth != NULL) {
        out->sso_enabled = net->auth->enabled;
        out->sso_expiry_ms = net->auth->expiry_ms;
    }
    const struct zt_netconf *cfg = net->cfg;
    if (cfg == NULL)
        return 0;
    out->has_config = true;
    out->is_public = cfg->is_public;
    out->bridge = net->is_bridge;
    out->broadcast = (cfg->flags & ZT_NET_BROADCAST) != 0;
    out->mtu = cfg->mtu;
    out->multicast_limit = cfg->multicast_limit;
    out->revision = cfg->revision;
    memcpy(out->name, cfg->name, sizeof out->name);
    memcpy(out->dns_domain, cfg->dns_domain, sizeof out->dns_domain);
    for (unsigned i = 0; i < ZT_NETCONF_DNS; i++) {
        if (cfg->dns[i].family != 0)
            out->dns[out->ndns++] = zt_ep_make(cfg->dns[i].family, cfg->dns[i].ip, 0);
    }
    out->naddrs = cfg->naddrs;
    memcpy(out->addrs, cfg->addrs, out->naddrs * sizeof out->addrs[0]);
    out->nroutes = cfg->nroutes;
    memcpy(out->routes, cfg->routes, out->nroutes * sizeof out->routes[0]);
    return 0;
}

static_assert(ZT_INFO_ADDRS == ZT_NETCONF_ADDRS && ZT_INFO_ROUTES == ZT_NETCONF_ROUTES &&
                  ZT_INFO_DNS == ZT_NETCONF_DNS && ZT_INFO_NAME == ZT_NETCONF_NAME,
              "everything that is configured can be shown");

static int by_group(const void *a, const void *b)
{
    const struct zt_group_info *x = (const struct zt_group_info *)a;
    const struct zt_group_info *y = (const struct zt_group_info *)b;

    if (x->mac != y->mac)
        return x->mac < y->mac ? -1 : 1;
    return x->adi == y->adi ? 0 : x->adi < y->adi ? -1 : 1;
}

size_t zt_vl2_groups(const struct zt_vl2 *v, uint64_t nwid, struct zt_group_info *out, size_t cap)
{
    const struct zt_network *net = zt_network_find(v, nwid);
    size_t n = 0;

    for (unsigned i = 0; net != NULL && i < net->nsubs; i++) {
        if (!net->subs[i].is_own)
            continue;
        if (n < cap)
            out[n] = (struct zt_group_info){.mac = net->subs[i].mac, .adi = net->subs[i].adi};
        n++;
    }
    if (n <= cap && n > 0)
        qsort(out, n, sizeof out[0], by_group);
    return n;
}

static void fullest(size_t *most, size_t n)
{
    if (n > *most)
        *most = n;
}

size_t zt_vl2_tables(const struct zt_vl2 *v, struct zt_table_info *out)
{
    size_t n = 0, members = 0, held = 0, held_bytes = 0, subs = 0;
    void *value;
    for (size_t i = 0; zt_map_next(&v->networks, &i, NULL, &value);) {
        const struct zt_network *net = value;
        fullest(&members, net->members.count);
        fullest(&held, net->nheld);
        fullest(&held_bytes, net->held_bytes);
        fullest(&subs, net->nsubs);
    }
    out[n++] = (struct zt_table_info){"networks", v->networks.count, ZT_VL2_NETWORKS};
    out[n++] = (struct zt_table_info){"members_of_a_network", members, ZT_MEMBERS_MAX};
    out[n++] = (struct zt_table_info){"held_frames_of_a_network", held, ZT_HOLD_MAX};
    out[n++] = (struct zt_table_info){"held_bytes_of_a_network", held_bytes, ZT_HOLD_BYTES};
    out[n++] = (struct zt_table_info){"subscriptions_of_a_network", subs, ZT_SUBSCRIPTIONS_MAX};
    out[n++] = (struct zt_table_info){"multicast_groups", v->mcast.ngroups, ZT_MCAST_GROUPS};
    out[n++] = (struct zt_table_info){"multicast_members", v->mcast.nmembers, ZT_MCAST_MEMBERS};
    out[n++] = (struct zt_table_info){"multicast_waiting_bytes", v->mcast.waiting_bytes,
                                      ZT_MCAST_WAITING_BYTES};
    out[n++] = (struct zt_table_info){"frames_to_ourselves", v->nlater, ZT_LATER_MAX};
    return n;
}

int zt_vl2_auth(const struct zt_vl2 *v, uint64_t nwid, struct zt_net_auth *out)
{
    const struct zt_network *net = zt_network_find(v, nwid);

    if (net == NULL || net->auth == NULL)
        return ZT_E_NOENT;
    *out = *net->auth;
    return 0;
}
