/* One joined network: its configuration and how it is got, subscriptions and their announcement
 * (vl2.md 1.8, 7.1, 7.2, 8). */
#ifndef ZT_VL2_NETWORK_H
#define ZT_VL2_NETWORK_H

#include "base/map.h"
#include "vl2/assembly.h"
#include "vl2/member.h"
#include "vl2/state.h"
#include "wire/netconf.h"

#define ZT_SUBSCRIPTIONS_MAX 1024
#define ZT_TARGETS_MAX 32
#define ZT_CONFIG_RETRY_FIRST_MS 1200
#define ZT_CONFIG_RETRY_SECOND_MS 2400
#define ZT_CONFIG_RETRY_MS 5000
#define ZT_CONFIG_RETRY_LOW 5 /* times as long in low bandwidth mode; the others likewise */
#define ZT_CONFIG_REFRESH_MS 60000
#define ZT_CONFIG_REFRESH_LOW 64
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

/* First configuration: ad-hoc networks make theirs; cached: a networks.d file or NULL. */
void zt_network_start(struct zt_network *net, const struct zt_now *now, const uint8_t *cached,
                      size_t ncached);
/* Do what is due (requests, announcements) at the next tick. */
void zt_network_wake(struct zt_network *net, const struct zt_now *now);

/* A root became reachable: announce our groups there now. */
void zt_network_root_up(struct zt_network *net, const struct zt_now *now, uint64_t addr);

int zt_network_subscribe(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                         uint32_t adi);
int zt_network_unsubscribe(struct zt_network *net, uint64_t mac, uint32_t adi);
bool zt_network_subscribed(const struct zt_network *net, uint64_t mac, uint32_t adi);
/* A multicast came from behind our bridge. */
void zt_network_bridged_group(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                              uint32_t adi);

/* The gate (vl2.md 4.7): the sender's record if its frames may come in, else NULL. */
struct zt_member *zt_network_gate(struct zt_network *net, const struct zt_now *now, uint64_t from);
/* Count a frame that failed it, ask for credentials and keep the packet. */
enum zt_verdict zt_network_refuse(struct zt_network *net, const struct zt_now *now,
                                  const struct zt_rx *rx);

/* Ask this node to show its credentials, unless it was asked just now. */
void zt_network_ask_credentials(struct zt_network *net, const struct zt_now *now, uint64_t addr);

bool zt_network_has_role(const struct zt_network *net, uint64_t addr, uint64_t role);

/* A chunk, from OK(NETWORK_CONFIG_REQUEST) or (is_push) NETWORK_CONFIG. *update_id: of a
 * configuration that it completed, else 0. */
enum zt_verdict zt_network_chunk(struct zt_network *net, const struct zt_now *now,
                                 const struct zt_rx *rx, const uint8_t *p, size_t n, bool is_push,
                                 uint64_t *update_id);
void zt_network_fail(struct zt_network *net, enum zt_net_status status);
/* A configuration that this very node issued to itself; dict is copied. */
void zt_network_local_config(struct zt_network *net, const struct zt_now *now, const uint8_t *dict,
                             size_t n);

/* auth.c: take what ERROR(AUTHENTICATION_REQUIRED) has after the network id; false: malformed. */
bool zt_network_auth_error(struct zt_network *net, const uint8_t *body, size_t n);
/* Take it from the configuration just installed. */
void zt_network_auth_config(struct zt_network *net);

/* adhoc.c: the configuration of a controller-less network. rules (64 bytes) must outlive *out.
 * Returns 0; ZT_E_NOENT for a bad port range; ZT_E_INVAL when it is not of a known form. */
#define ZT_ADHOC_RULES 64
int zt_adhoc_config(uint64_t nwid, uint64_t self, int64_t wall_ms, uint8_t rules[ZT_ADHOC_RULES],
                    struct zt_netconf *out);

static inline bool zt_nwid_is_adhoc(uint64_t nwid)
{
    return nwid >> 56 == 0xff;
}

#endif
