/* One joined network: the record of it, its pass and its gate. Its configuration: config.h; its
 * multicast groups: groups.h. */
#ifndef ZT_VL2_NETWORK_H
#define ZT_VL2_NETWORK_H

#include "base/map.h"
#include "vl2/assembly.h"
#include "vl2/member.h"
#include "vl2/state.h"
#include "wire/netconf.h"

#define ZT_SUBSCRIPTIONS_MAX 1024
#define ZT_TARGETS_MAX 32
#define ZT_BRIDGED_GROUP_MS 1200000
#define ZT_BRIDGE_ROUTES 2048 /* power of two */
#define ZT_BRIDGE_WAYS 4

struct zt_subscription {
    uint64_t mac;
    uint32_t adi;
    bool is_own;        /* of the interface; else behind our bridge */
    bool is_new;        /* not announced yet */
    int64_t bridged_ms; /* last heard behind our bridge; ZT_LONG_AGO: never */
};

/* Where all groups are announced regularly: roots, controller, anchors, replicators. */
struct zt_target {
    uint64_t addr;
    int64_t liked_ms;
    bool keep; /* found again in this pass */
};

struct zt_network {
    struct zt_vl2 *vl2;
    uint64_t nwid, mac;
    enum zt_net_status failure; /* OK: none */

    /* Who signed a configuration that we took. VL1 forgets a controller that is away for long, and
     * members that meet meanwhile still have to check each other's credentials. */
    struct zt_identity signer;
    bool has_signer;

    /* Configuration; cfg NULL: none yet. Everything below points into cfg and arena. */
    struct zt_netconf *cfg;
    uint8_t *arena;
    uint8_t *dict; /* the dictionary it came from, to see whether another one differs */
    size_t ndict;
    struct zt_policy policy;
    struct zt_rule *rules;
    struct zt_held_tag *own_tags;
    struct zt_held_cap *own_caps;
    struct zt_coo *own_coos;
    bool is_adhoc; /* no credentials, rules that look at none */
    bool is_bridge, is_replicator;
    unsigned nbridges, nreplicators;
    unsigned epoch;       /* counts installs: what was derived from the old one is stale */
    int64_t config_ms;    /* last install that changed something, monotonic */
    int64_t loaded_ms;    /* last fresh one; ZT_LONG_AGO: only the cached one */
    int64_t requested_ms; /* last request */
    unsigned unanswered;  /* requests since the controller's last word */
    struct zt_assembly assembly;
    struct zt_net_auth *auth; /* the login it asks for; NULL: none */

    struct zt_subscription *subs;
    unsigned nsubs, capsubs;
    bool has_new; /* a subscription is_new */
    struct zt_target targets[ZT_TARGETS_MAX];
    unsigned ntargets;
    struct zt_timer pass;

    struct zt_list held; /* hold.c: frames for members that are not proven yet */
    struct zt_timer hold_timer;
    unsigned nheld;
    size_t held_bytes;

    struct zt_map members;      /* address -> struct zt_member */
    struct zt_list members_lru; /* most recently used first */

    struct zt_bridge_route {
        uint64_t mac, addr;
    } * routes; /* ZT_BRIDGE_ROUTES, ZT_BRIDGE_WAYS to a set; NULL until one is learned */
};

/* Returns 0, ZT_E_NOMEM. Does not enter it in v->networks. */
int zt_network_new(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid,
                   struct zt_network **out);
void zt_network_free(struct zt_network *net);

struct zt_network *zt_network_find(const struct zt_vl2 *v, uint64_t nwid);
enum zt_net_status zt_network_status(const struct zt_network *net);

/* Do what is due (requests, announcements) at the next tick. */
void zt_network_wake(struct zt_network *net, const struct zt_now *now);

/* A root became reachable: announce our groups there now. */
void zt_network_root_up(struct zt_network *net, const struct zt_now *now, uint64_t addr);

/* The gate (vl2.md 4.7): the sender's record if its frames may come in, else NULL. */
struct zt_member *zt_network_gate(struct zt_network *net, const struct zt_now *now, uint64_t from);
/* Count a frame that failed it, ask for credentials and keep the packet. */
enum zt_verdict zt_network_refuse(struct zt_network *net, const struct zt_now *now,
                                  const struct zt_rx *rx);

/* Ask this node to show its credentials, unless it was asked just now. */
void zt_network_ask_credentials(struct zt_network *net, const struct zt_now *now, uint64_t addr);

static inline bool zt_nwid_is_adhoc(uint64_t nwid)
{
    return nwid >> 56 == 0xff;
}

#endif
