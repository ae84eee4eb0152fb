/* Messages about members: what they listen to (MULTICAST_LIKE, MULTICAST_GATHER and its answers),
 * and the credentials that they show. Frames are frame.c, configurations config.c. */

#include "vl2/messages.h"

#include "base/addr.h"
#include "vl2/config.h"
#include "vl2/controller_priv.h"
#include "vl2/groups.h"
#include "vl2/network.h"

/* ---- who listens to what ---- */

/* A controller serves the groups of members it let in lately, joined or not. */
static bool has_rights(const struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid,
                       uint64_t addr)
{
    return v->controller != NULL && zt_controller_has_rights(v->controller, now, nwid, addr);
}

/* vl2.md 2.3: roots take anybody's word, members that of members. */
enum zt_verdict zt_like_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
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

enum zt_verdict zt_gather_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    struct zt_group_id id = {.nwid = zt_rd_u64(&r)};
    uint8_t flags = zt_rd_u8(&r);
    id.mac = zt_rd_u48(&r);
    id.adi = zt_rd_u32(&r);
    uint32_t limit = zt_rd_u32(&r);
    if (r.bad)
        return zt_vl2_malformed(v);

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

enum zt_verdict zt_group_ok(struct zt_vl2 *v, const struct zt_now *now, uint64_t from,
                            const uint8_t *body, size_t n, bool has_flags)
{
    struct zt_rd r = zt_rd(body, n);
    struct zt_group_id id = {.nwid = zt_rd_u64(&r)};
    id.mac = zt_rd_u48(&r);
    id.adi = zt_rd_u32(&r);
    uint8_t flags = has_flags ? zt_rd_u8(&r) : 0x02;
    if (r.bad)
        return zt_vl2_malformed(v);
    struct zt_network *net = zt_network_find(v, id.nwid);
    if (net == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NOT_JOINED);
        return ZT_VERDICT_IGNORED;
    }
    if (flags & 0x01) {
        struct zt_com com;
        zt_rd_com(&r, &com);
        if (r.bad)
            return zt_vl2_malformed(v);
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

/* ---- credentials ---- */

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

enum zt_verdict zt_credentials_in(struct zt_vl2 *v, const struct zt_now *now,
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
