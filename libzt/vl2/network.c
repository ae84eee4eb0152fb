/* The life of a joined network: made and freed, its pass, and its gate.
 *
 * The pass is the network's only timer: requests for the configuration (config.c), announcements of
 * groups (groups.c). A root that becomes reachable is announced everything at once, so that groups
 * are known there soon after a start; an idle network wakes once in 60 s. */

#include "vl2/network.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl2/config.h"
#include "vl2/groups.h"
#include "vl2/hold.h"

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

void zt_network_free(struct zt_network *net)
{
    zt_heap_remove(&net->vl2->timers, &net->pass);
    zt_hold_drop(net, NULL);
    while (!zt_list_empty(&net->members_lru))
        zt_member_drop(net, ZT_CONTAINER(net->members_lru.next, struct zt_member, lru));
    zt_map_fini(&net->members);
    zt_assembly_fini(&net->assembly);
    zt_config_drop(net);
    free(net->auth);
    free(net->subs);
    free(net->routes);
    free(net);
}

/* ---- the pass ---- */

void zt_network_root_up(struct zt_network *net, const struct zt_now *now, uint64_t addr)
{
    zt_groups_root_up(net, addr);
    /* A request may have been lost while there was no way out. */
    if (net->cfg == NULL) {
        net->requested_ms = ZT_LONG_AGO;
        net->unanswered = 0;
    }
    zt_network_wake(net, now);
}

void zt_network_wake(struct zt_network *net, const struct zt_now *now)
{
    zt_heap_set(&net->vl2->timers, &net->pass, now->mono_ms);
}

static void run_pass(struct zt_network *net, const struct zt_now *now)
{
    int64_t next = ZT_NEVER;

    if (zt_config_due(net, now, &next)) {
        zt_config_request(net, now);
        next = now->mono_ms + zt_config_retry(net);
    }
    if (zt_nwid_is_adhoc(net->nwid) && net->cfg == NULL && net->failure == ZT_NET_OK) {
        zt_config_adhoc(net, now); /* there was no memory when it was joined */
        if (net->cfg == NULL)
            next = now->mono_ms + ZT_CONFIG_RETRY_MS;
    }
    if (net->cfg != NULL) {
        int64_t at = zt_groups_announce(net, now);
        if (at < next)
            next = at;
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
    if (m != NULL)
        zt_groups_show(net, now, m);
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
