/* Inside of the controller role, and how VL2 calls it. */
#ifndef ZT_VL2_CONTROLLER_PRIV_H
#define ZT_VL2_CONTROLLER_PRIV_H

#include "base/list.h"
#include "vl2/controller.h"
#include "vl2/state.h"

#define ZT_CTL_REVOKED_AT_ONCE 60 /* that one NETWORK_CREDENTIALS carries */
#define ZT_CTL_ARENA (320u << 10) /* serialized capabilities, tags and ownership of one member */

/* A network and what is derived from its members' records, so that no request walks them. */
struct zt_cnet {
    struct zt_controller *ctl;
    struct zt_ctl_network r;
    struct zt_map members; /* address -> struct zt_cmember */
    struct zt_map ips;     /* hash of an address -> how many members list it, as a pointer */
    uint64_t *bridges;     /* sorted */
    unsigned nbridges, capbridges;
    unsigned nstrangers;   /* members that a mere request made, and that are still not authorised */
    struct zt_list online; /* struct zt_cmember, latest request first */

    /* controller_revoke.c */
    struct zt_revocation *revoked; /* of late, oldest first */
    unsigned nrevoked, caprevoked;
    uint64_t revoked_no; /* number of the last one; the first was 1 */
    struct zt_list tell; /* struct zt_cmember that lack some, by told_ms */
    struct zt_timer telling;
};

struct zt_cmember {
    struct zt_cnet *net;
    struct zt_ctl_member r;
    bool is_stranger; /* counted in nstrangers */
    struct zt_list online;
    int64_t requested_ms; /* last request that was looked at, monotonic */
    int64_t issued_ms;    /* last configuration */
    bool has_request;     /* was authorised when it asked: the next two are known */
    bool has_rules;       /* understands rules, capabilities and tags */

    struct zt_list tell; /* linked: revocations are to be sent */
    uint64_t told_no;    /* revocations up to this number were sent */
    int64_t told_ms;     /* last packet of them, monotonic */

    struct zt_list due; /* linked: a configuration is to be made */
    uint64_t packet_id; /* of the request to answer, 0: push */
    bool is_wanted;     /* a configuration is to be made once the store holds the record */
};

struct zt_controller {
    struct zt_vl2 *vl2;
    struct zt_controller_store store;
    struct zt_map networks; /* nwid -> struct zt_cnet */
    struct zt_list due;     /* struct zt_cmember: pushes, a few per tick */
    struct zt_timer work;
    int64_t issued_at_ms; /* wall clock of the last credential: never goes back */
    int64_t kept_ms;      /* the store knows this time, not before issued_at_ms */
    struct zt_ctl_counts counts;

    /* Where configurations are built. */
    struct zt_netconf conf;
    uint8_t arena[ZT_CTL_ARENA];
    uint8_t dict[ZT_NETCONF_MAX];
};

/* ---- controller.c, for vl2.c and network.c ---- */

int zt_controller_new(struct zt_vl2 *v, const struct zt_controller_store *store,
                      struct zt_controller **out);
void zt_controller_free(struct zt_controller *c);

/* NETWORK_CONFIG_REQUEST from a node. */
struct zt_rx;
void zt_controller_request(struct zt_controller *c, const struct zt_now *now,
                           const struct zt_rx *rx, uint64_t nwid, const uint8_t *meta, size_t n);
/* The same from our own node, which is a member too: the answer is installed directly, at once or
 * later. */
void zt_controller_request_local(struct zt_controller *c, const struct zt_now *now, uint64_t nwid);
/* Did this node get a configuration of the network lately? */
bool zt_controller_has_rights(const struct zt_controller *c, const struct zt_now *now,
                              uint64_t nwid, uint64_t addr);

/* ---- controller_table.c ---- */

struct zt_cnet *zt_cnet_find(const struct zt_controller *c, uint64_t nwid);
struct zt_cmember *zt_cmember_find(const struct zt_cnet *net, uint64_t addr);
/* Takes over *n / *m also on failure. 0, ZT_E_NOMEM, ZT_E_LIMIT. */
int zt_cnet_add(struct zt_controller *c, struct zt_ctl_network *n, struct zt_cnet **out);
void zt_cnet_free(struct zt_cnet *net); /* and its members; not out of the map */
int zt_cmember_add(struct zt_cnet *net, struct zt_ctl_member *m, struct zt_cmember **out);
/* Replace the record, keep what is known of the node, and correct what is derived. */
void zt_cmember_replace(struct zt_cmember *m, struct zt_ctl_member *r);
void zt_cmember_free(struct zt_cmember *m);
/* Add an address to the record. 0 or ZT_E_NOMEM. */
int zt_cmember_add_ip(struct zt_cmember *m, const struct zt_ep *ip);
bool zt_cnet_ip_taken(const struct zt_cnet *net, const struct zt_ep *ip);
void zt_cnet_set_stranger(struct zt_cmember *m, bool is_stranger);

/* ---- controller_ip.c: vl2.md 9.4 ---- */

/* Give m the addresses that pools of its network have for it, if it lacks one of the family.
 * *changed gets ZT_CHANGED_IPS. Returns 0 (also when nothing was free) or ZT_E_NOMEM. */
int zt_controller_assign(struct zt_cmember *m, unsigned *changed);
/* Addresses of a configuration, with the flag that some of them need. */
void zt_controller_addresses(const struct zt_cmember *m, struct zt_netconf *conf);

/* ---- controller_config.c: vl2.md 9.3 ---- */

/* Give m what it should have and lacks: addresses, default capabilities (is_new) and tags. *changed
 * gets ZT_CHANGED_*. Returns 0 or ZT_E_NOMEM. */
int zt_controller_equip(struct zt_cmember *m, bool is_new, unsigned *changed);
/* The dictionary of m's configuration into c->dict, *n bytes. Returns 0, ZT_E_SPACE (it does not
 * fit), ZT_E_CRYPTO. */
int zt_controller_build(struct zt_controller *c, int64_t issued_at_ms, const struct zt_cmember *m,
                        size_t *n);
/* How much the times of two certificates of a network may differ, in ms. */
int64_t zt_controller_window(const struct zt_ctl_network *n);

/* ---- controller_revoke.c ---- */

/* Certificates of this node up to this time are void: tell online members, and others when they
 * come. */
void zt_controller_revoke(struct zt_cnet *net, const struct zt_now *now, uint64_t addr,
                          int64_t time_ms);
/* m got a configuration: send it what it lacks, some time soon. */
void zt_controller_tell(struct zt_cmember *m, const struct zt_now *now);
/* Those that wait for it, at once: the network is about to go. */
void zt_controller_tell_now(struct zt_cnet *net, const struct zt_now *now);

void zt_controller_sign_revocation(const struct zt_identity *self, struct zt_revocation *rev);

#endif
