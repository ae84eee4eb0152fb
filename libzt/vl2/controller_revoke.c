/* Revocations: the certificates of a node are void from now on, and everybody should know.
 *
 * A network keeps those of late, for as long as a certificate may be older than the one it is
 * compared with (the network's window): whoever gets a configuration gets the ones it has not been
 * sent, so that members which were away, or come when the controller has just been restarted, learn
 * of them too. Each member has the number of the last one sent to it.
 *
 *   revoke: number + 1 --> online members are to be told --> a packet each, some per tick
 *   a configuration is issued --> that member is to be told, if it lacks any
 *
 * Receivers take one packet of credentials a second, so who was told just now waits for its turn;
 * what is revoked meanwhile goes into the same packet. The list is in the order in which members
 * are due. */
#include "base/err.h"
#include "vl2/controller_priv.h"
#include "vl2/network.h"

#include <stdlib.h>

#define SPACING_MS 1050 /* a receiver's 1000, and some jitter */
#define PER_TICK 64
#define PER_PACKET 60
#define KEPT 4096 /* beyond that the oldest go: their certificates expire */

static bool is_online(const struct zt_cmember *m, const struct zt_now *now)
{
    return m->issued_ms != ZT_LONG_AGO && now->mono_ms - m->requested_ms < ZT_CONTROLLER_ONLINE_MS;
}

static void drop_oldest(struct zt_cnet *net, unsigned n)
{
    net->nrevoked -= n;
    memmove(net->revoked, net->revoked + n, net->nrevoked * sizeof *net->revoked);
}

/* Those that no certificate in use can be older than. */
static void drop_expired(struct zt_cnet *net, int64_t time_ms)
{
    unsigned n = 0;
    while (n < net->nrevoked && time_ms - net->revoked[n].threshold > zt_controller_window(&net->r))
        n++;
    if (n > 0)
        drop_oldest(net, n);
}

static struct zt_revocation *room(struct zt_cnet *net)
{
    if (net->nrevoked == KEPT)
        drop_oldest(net, KEPT / 4);
    if (net->nrevoked == net->caprevoked) {
        unsigned cap = net->caprevoked * 2 + 8;
        struct zt_revocation *p = realloc(net->revoked, cap * sizeof *p);
        if (p == NULL)
            return NULL;
        net->revoked = p;
        net->caprevoked = cap;
    }
    return &net->revoked[net->nrevoked++];
}

/* One packet with what m lacks, as far as it fits. */
static void send(struct zt_cmember *m, const struct zt_now *now)
{
    struct zt_cnet *net = m->net;
    struct zt_controller *c = net->ctl;
    uint64_t first = net->revoked_no - net->nrevoked + 1; /* number of the oldest kept */
    unsigned i = m->told_no < first ? 0 : (unsigned)(m->told_no - first + 1), n = 0;
    struct zt_wr w = zt_vl2_begin(c->vl2);

    zt_wr_u8(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 0);
    size_t count_at = w.n;
    zt_wr_u16(&w, 0);
    for (; i < net->nrevoked && n < PER_PACKET; i++) {
        if (net->revoked[i].target == m->r.addr)
            continue; /* it knows */
        zt_wr_revocation(&w, &net->revoked[i]);
        n++;
    }
    m->told_no = first + i - 1;
    if (n == 0)
        return;
    zt_put16(w.p + count_at, (uint16_t)n);
    zt_wr_u16(&w, 0);
    m->told_ms = now->mono_ms;
    c->counts.revocations += n;
    zt_vl2_send(c->vl2, now, m->r.addr, ZT_VERB_NETWORK_CREDENTIALS, &w, 0);
}

/* When the first in the list may be told. */
static int64_t first_at(const struct zt_cnet *net)
{
    const struct zt_cmember *m = ZT_CONTAINER(net->tell.next, struct zt_cmember, tell);
    return m->told_ms + SPACING_MS;
}

static void tell_some(void *user, struct zt_timer *t)
{
    const struct zt_now *now = ((const struct zt_tick *)user)->now;
    struct zt_cnet *net = ZT_CONTAINER(t, struct zt_cnet, telling);

    for (unsigned n = 0; n < PER_TICK && !zt_list_empty(&net->tell); n++) {
        struct zt_cmember *m = ZT_CONTAINER(net->tell.next, struct zt_cmember, tell);
        if (first_at(net) > now->mono_ms)
            break;
        zt_list_remove(&m->tell);
        if (!is_online(m, now))
            continue; /* with its next configuration */
        send(m, now);
        if (m->told_no < net->revoked_no)
            zt_list_push_back(&net->tell, &m->tell);
    }
    if (!zt_list_empty(&net->tell)) {
        int64_t at = first_at(net);
        (void)zt_heap_set(&net->ctl->vl2->timers, t, at > now->mono_ms ? at : now->mono_ms + 1);
    }
}

static void start_telling(struct zt_cnet *net, const struct zt_now *now)
{
    net->telling.fire = tell_some;
    if (net->telling.pos == 0 && !zt_list_empty(&net->tell) &&
        zt_heap_set(&net->ctl->vl2->timers, &net->telling, now->mono_ms) != 0)
        zt_drop_count(net->ctl->vl2->drops, ZT_DROP_NO_MEMORY); /* with the next configuration */
}

void zt_controller_tell(struct zt_cmember *m, const struct zt_now *now)
{
    struct zt_cnet *net = m->net;
    if (m->told_no >= net->revoked_no || !zt_list_empty(&m->tell))
        return;
    if (m->r.addr == zt_vl1_address(net->ctl->vl2->vl1)) {
        m->told_no = net->revoked_no; /* our own node was told when it happened */
        return;
    }
    zt_list_push_back(&net->tell, &m->tell);
    start_telling(net, now);
}

void zt_controller_revoke(struct zt_cnet *net, const struct zt_now *now, uint64_t addr,
                          int64_t time_ms)
{
    struct zt_controller *c = net->ctl;
    drop_expired(net, time_ms);
    struct zt_revocation *rev = room(net);
    if (rev == NULL) {
        zt_drop_count(c->vl2->drops, ZT_DROP_NO_MEMORY);
        return;
    }
    net->revoked_no++;
    *rev = (struct zt_revocation){
        .id = zt_vl2_random(c->vl2),
        .nwid = net->r.nwid,
        .threshold = time_ms,
        .flags = ZT_REVOCATION_FAST,
        .target = addr,
        .type = ZT_CRED_COM,
    };
    zt_controller_sign_revocation(zt_vl1_identity(c->vl2->vl1), rev);
    struct zt_network *own = zt_network_find(c->vl2, net->r.nwid);
    if (own != NULL)
        (void)zt_member_revocation(own, now, rev);
    ZT_LIST_EACH(it, &net->online)
    {
        struct zt_cmember *m = ZT_CONTAINER(it, struct zt_cmember, online);
        if (is_online(m, now))
            zt_controller_tell(m, now);
    }
}

void zt_controller_tell_now(struct zt_cnet *net, const struct zt_now *now)
{
    while (!zt_list_empty(&net->tell)) {
        struct zt_cmember *m = ZT_CONTAINER(net->tell.next, struct zt_cmember, tell);
        zt_list_remove(&m->tell);
        if (is_online(m, now))
            send(m, now);
    }
}
