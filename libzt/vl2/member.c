#include "vl2/member.h"

#include <stdlib.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/hold.h"
#include "vl2/network.h"

#define SECOND_CHANCES 64

/* ---- records ---- */

struct zt_member *zt_member_find(struct zt_network *net, uint64_t addr)
{
    return (struct zt_member *)zt_map_get(&net->members, addr);
}

void zt_member_drop(struct zt_network *net, struct zt_member *m)
{
    zt_hold_drop(net, m);
    zt_map_del(&net->members, m->addr);
    zt_list_remove(&m->lru);
    zt_creds_free(m->creds);
    free(m->com);
    free(m);
}

/* The least recently used one goes; those that say what was revoked get a second chance. */
static void make_room(struct zt_network *net)
{
    struct zt_list *lru = &net->members_lru;

    zt_drop_count(net->vl2->drops, ZT_DROP_TABLE_FULL);
    for (unsigned i = 0; i < SECOND_CHANCES; i++) {
        struct zt_member *m = ZT_CONTAINER(lru->prev, struct zt_member, lru);
        if (!zt_creds_revoke(net, m))
            break;
        zt_list_remove(&m->lru);
        zt_list_push_front(lru, &m->lru);
    }
    zt_member_drop(net, ZT_CONTAINER(lru->prev, struct zt_member, lru));
}

struct zt_member *zt_member_get(struct zt_network *net, uint64_t addr)
{
    struct zt_member *m = zt_member_find(net, addr);

    if (m != NULL) {
        zt_list_remove(&m->lru);
        zt_list_push_front(&net->members_lru, &m->lru);
        return m;
    }
    if (net->members.count >= ZT_MEMBERS_MAX)
        make_room(net);
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

/* ---- certificates of membership ---- */

enum zt_accept zt_member_com(struct zt_network *net, const struct zt_now *now,
                             const struct zt_com *com)
{
    uint64_t addr = zt_com_value(com, ZT_COM_ISSUED_TO);
    int64_t timestamp = (int64_t)zt_com_value(com, ZT_COM_TIMESTAMP);
    struct zt_member *m = zt_member_find(net, addr);

    if (!zt_creds_is_holder(net, addr) ||
        !ZT_GATE(COM_NETWORK, zt_com_value(com, ZT_COM_NWID) == net->nwid))
        return zt_creds_reject(net);
    if (m != NULL && m->com != NULL && memcmp(m->com, com, sizeof *com) == 0)
        return ZT_ACCEPT_REDUNDANT;
    if (m != NULL &&
        (timestamp <= m->com_revoked ||
         (m->com != NULL && timestamp < (int64_t)zt_com_value(m->com, ZT_COM_TIMESTAMP))))
        return zt_creds_reject(net);
    const struct zt_identity *controller = zt_creds_controller(net, now);
    if (controller == NULL)
        return ZT_ACCEPT_DEFER;
    if (!zt_vl2_may_check(net->vl2, now))
        return ZT_ACCEPT_REJECTED;
    if (!ZT_GATE(COM_SIGNER, zt_com_verify(com, controller))) {
        zt_vl2_forged(net->vl2, now);
        return zt_creds_reject(net);
    }

    m = zt_member_get(net, addr);
    if (m != NULL && m->com == NULL)
        m->com = (struct zt_com *)malloc(sizeof *m->com);
    if (m == NULL || m->com == NULL)
        return zt_creds_reject(net);
    *m->com = *com;
    m->agrees_epoch = 0;
    if (m->nheld > 0 && zt_member_allowed(net, m))
        zt_hold_release(net, now, m);
    return ZT_ACCEPT_NEW;
}

static bool com_agrees(struct zt_network *net, const struct zt_member *m)
{
    const struct zt_identity *id = zt_vl1_identity_of(net->vl2->vl1, m->addr);
    uint8_t fingerprint[48];

    if (m->com == NULL || !net->cfg->has_com || id == NULL)
        return false;
    if (!ZT_GATE(COM_REVOKED, (int64_t)zt_com_value(m->com, ZT_COM_TIMESTAMP) > m->com_revoked))
        return false;
    zt_identity_fingerprint(id, fingerprint);
    return ZT_GATE(COM_AGREES, zt_com_agrees(&net->cfg->com, m->com, fingerprint));
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

bool zt_member_barred(const struct zt_network *net, const struct zt_member *m)
{
    if (m == NULL || net->cfg == NULL || net->cfg->is_public || m->com_revoked == 0)
        return false;
    return m->com == NULL || (int64_t)zt_com_value(m->com, ZT_COM_TIMESTAMP) <= m->com_revoked;
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
