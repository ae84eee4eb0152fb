/* The controller role: this node issues the configurations of the networks whose ids begin with its
 * own address (vl2.md 9). No other code decides who is a member.
 *
 * The controller holds all records as values, so that a request costs the same with two members as
 * with twenty thousand. Keeping them is a store's business: it feeds its records in at the start,
 * and is told of every record the controller itself changes (a new member, an address given out).
 * Nothing is sent to a member that rests on a change which the store doesn't hold yet; the loop
 * doesn't wait for it either.
 *
 * One thread, that of the core. */
#ifndef ZT_VL2_CONTROLLER_H
#define ZT_VL2_CONTROLLER_H

#include "base/host.h"
#include "wire/identity.h"
#include "wire/netconf.h"

struct zt_controller;

#define ZT_CONTROLLER_NETWORKS 65536  /* of one controller */
#define ZT_CONTROLLER_MEMBERS 1048576 /* of one network, made by hand or authorised */
#define ZT_CONTROLLER_STRANGERS 16384 /* records of a network that a mere request made */
#define ZT_CONTROLLER_MEMBER_IPS 256  /* addresses of a member that are looked at */
#define ZT_CONTROLLER_ONLINE_MS                                       \
    120000 /* since the last request: pushes and revocations are sent \
            */
#define ZT_CONTROLLER_RIGHTS_MS                                       \
    180000 /* since the last configuration: LIKE and GATHER are taken \
            */

/* ---- records ---- */

struct zt_ctl_pool {
    struct zt_ep start, end; /* of one family; port 0; the order is not checked */
};

struct zt_ctl_cap {
    uint32_t id;
    bool is_default; /* new members get it */
    unsigned nrules; /* at most ZT_CAP_RULES_MAX */
    struct zt_span rules;
};

struct zt_ctl_tag {
    uint32_t id, value;
    bool has_value; /* of a network's list: members that lack the tag get this value */
};

struct zt_ctl_token {
    const char *text;
    int64_t expires_ms; /* wall clock; 0: never */
};

/* What a controller knows of a network. All pointers lead into one block, `block` (malloc), which
 * is freed with the record; NULL when all lists are empty. */
struct zt_ctl_network {
    uint64_t nwid;
    uint64_t revision;
    bool is_private, broadcast;
    bool sso; /* single sign-on, which no store of ours can do: members are sent away unless exempt
               */
    bool v4_pools, v6_pools, v6_rfc4193, v6_6plane; /* assign addresses so */
    unsigned mtu;
    unsigned multicast_limit;
    int64_t window_ms; /* of credentials */
    uint64_t trace_target, trace_level;
    char name[ZT_NETCONF_NAME];
    char dns_domain[128];
    struct zt_ep dns[ZT_NETCONF_DNS]; /* port 0; family 0: unused */

    unsigned nroutes, npools, ncaps, ntags, ntokens, nrules;
    struct zt_route *routes; /* at most ZT_NETCONF_ROUTES */
    struct zt_ctl_pool *pools;
    struct zt_ctl_cap *caps; /* sorted by id, no two alike */
    struct zt_ctl_tag *tags; /* the same */
    struct zt_ctl_token *tokens;
    struct zt_span rules; /* entries as they go into the configuration, at most ZT_RULES_MAX */
    void *block;
};

enum zt_ctl_credential {
    ZT_CTL_CREDENTIAL_NONE,
    ZT_CTL_CREDENTIAL_API,    /* somebody said so */
    ZT_CTL_CREDENTIAL_PUBLIC, /* the network is open to all */
    ZT_CTL_CREDENTIAL_TOKEN,  /* the member showed a token of the network */
};

/* A member. ips, caps and tags are each malloc'd, or NULL when empty. */
struct zt_ctl_member {
    uint64_t nwid, addr;
    bool has_identity; /* seen once: from then on nobody else gets in under this address */
    uint8_t pub[ZT_PUB];
    bool authorized, is_bridge, no_auto_ips, sso_exempt;
    int64_t sso_expiry_ms;
    int64_t authorized_ms;   /* wall clock, when it was granted last */
    int64_t deauthorized_ms; /* and when it was taken away last, by somebody; 0: never */
    int version_major, version_minor, version_rev, version_proto; /* -1: unknown */
    uint64_t trace_target, trace_level; /* target 0: that of the network */
    unsigned nips, ncaps, ntags;
    struct zt_ep *ips; /* port 0; as they were assigned, also those that no route covers */
    uint32_t *caps;
    struct zt_ctl_tag *tags; /* sorted by id, no two alike; has_value is not used */
};

void zt_ctl_network_fini(struct zt_ctl_network *n);
void zt_ctl_member_fini(struct zt_ctl_member *m);
/* The defaults of a member that was never heard of. */
void zt_ctl_member_init(struct zt_ctl_member *m, uint64_t nwid, uint64_t addr);

/* ---- store ----
 *
 * Whatever keeps the records (files: node/controller_db.c) does three things:
 *
 * - at the start, after zt_vl2_control: set each network, then its members. No call of put_member
 *   answers that, and nobody is sent anything but revocations of members that were put out lately;
 * - a change that somebody else makes (the local API, another writer of the same database): set or
 *   delete the record here as well, before or after it is safe, and say so to whoever asked for it
 * once it is. Until then is_stored is false;
 * - a change that the controller makes: keep what put_member says, in the order of the calls, and
 * when the newest version of the member is safe, call zt_controller_stored. That may take its time:
 * the member waits, nothing else does.
 *
 * A store that loses what it never called safe loses nothing that anybody was told. */

/* What the controller changed in a member. */
#define ZT_CHANGED_NEW 0x01u        /* there was no record */
#define ZT_CHANGED_IDENTITY 0x02u   /* has_identity, pub */
#define ZT_CHANGED_AUTHORIZED 0x04u /* authorized, authorized_ms; credential, token */
#define ZT_CHANGED_IPS 0x08u
#define ZT_CHANGED_CAPS 0x10u
#define ZT_CHANGED_TAGS 0x20u
#define ZT_CHANGED_VERSION 0x40u

struct zt_controller_store {
    void *user;
    /* Keep these fields of m, which is valid during the call. credential and token: how it was
     * authorised, with ZT_CHANGED_AUTHORIZED. When they are safe: zt_controller_stored(). Must not
     * call back into the controller. */
    void (*put_member)(void *user, const struct zt_ctl_member *m, unsigned fields,
                       enum zt_ctl_credential credential, const char *token);
    /* Is every change of this member, whoever made it, safe? */
    bool (*is_stored)(void *user, uint64_t nwid, uint64_t addr);
    /* Keep the time that no credential is newer than, at most one call a minute; what was kept
     * last is given back as time_ms by the next start (0: none). Without it, members and
     * revocations of a controller whose clock was set back while it was down don't agree with new
     * credentials. May be NULL. */
    void (*put_time)(void *user, int64_t wall_ms);
    int64_t time_ms;
};

/* ---- for the store and the local API ---- */

/* Put this record in place of what there was of the same id, with everything that follows from it:
 * online members get new configurations, and when one lost its authorisation the others get a
 * revocation. The record's pointers become the controller's, also on failure. Returns 0;
 * ZT_E_NOMEM; ZT_E_INVAL (not a network of ours, or for a member: no such network); ZT_E_LIMIT. */
int zt_controller_set_network(struct zt_controller *c, const struct zt_now *now,
                              struct zt_ctl_network *n);
int zt_controller_set_member(struct zt_controller *c, const struct zt_now *now,
                             struct zt_ctl_member *m);
/* 0 or ZT_E_NOENT. With a network go its members. */
int zt_controller_delete_network(struct zt_controller *c, const struct zt_now *now, uint64_t nwid);
int zt_controller_delete_member(struct zt_controller *c, const struct zt_now *now, uint64_t nwid,
                                uint64_t addr);
/* The store holds all changes of this member now. Fine for one that is gone. */
void zt_controller_stored(struct zt_controller *c, const struct zt_now *now, uint64_t nwid,
                          uint64_t addr);

/* NULL: none. Valid until the record changes. */
const struct zt_ctl_network *zt_controller_network(const struct zt_controller *c, uint64_t nwid);
const struct zt_ctl_member *zt_controller_member(const struct zt_controller *c, uint64_t nwid,
                                                 uint64_t addr);

struct zt_ctl_counts {
    unsigned networks;
    uint64_t requests, configs, denied, pushes, revocations;
};
void zt_controller_counts(const struct zt_controller *c, struct zt_ctl_counts *out);

#endif
