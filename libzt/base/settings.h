/* What people may set about the protocol: plain values with bounded tables. node/conf fills them
 * from local.conf, tests by hand; zt_core_configure takes a copy. All zero is the default. */
#ifndef ZT_BASE_SETTINGS_H
#define ZT_BASE_SETTINGS_H

#include "base/addr.h"

#define ZT_SET_PHYSICAL 32 /* networks with settings of their own */
#define ZT_SET_NODES 64    /* nodes with settings of their own */
#define ZT_SET_ENDPOINTS 8 /* of each kind per node */

/* An underlay network: what may be sent there and how. */
struct zt_set_physical {
    struct zt_ep net;      /* port: prefix length */
    bool blacklist;        /* no path may lie in it, no socket is bound in it */
    uint16_t mtu;          /* UDP payload of one datagram; 0: the default */
    uint64_t trusted_path; /* not 0: plaintext under this id both ways (vl1.md 3.6) */
};

/* What is known or ruled about the endpoints of one node. */
struct zt_set_node {
    uint64_t addr;
    unsigned ntry, nblacklist;
    struct zt_ep try_at[ZT_SET_ENDPOINTS];    /* tried when there is no path */
    struct zt_ep blacklist[ZT_SET_ENDPOINTS]; /* port: prefix length */
};

/* Which of the two suites that keep secrets are in use. Beside HELLO, which is always suite 0, a
 * node that is held to one sends nothing else and refuses the other. */
enum zt_set_suites {
    ZT_SUITES_ANY,
    ZT_SUITES_SALSA, /* suite 1; announces protocol version 11, so that peers don't send suite 3 */
    ZT_SUITES_AES,   /* suite 3, also to peers that did not announce version 12 */
};

/* May a leaf pass on datagrams for others? (A root always does.) */
enum zt_set_relay {
    ZT_RELAY_NEVER,
    ZT_RELAY_TRUSTED, /* from members of our networks, on the links they use */
    ZT_RELAY_ALWAYS,
};

struct zt_settings {
    unsigned nphysical, nnodes;
    struct zt_set_physical physical[ZT_SET_PHYSICAL];
    struct zt_set_node nodes[ZT_SET_NODES];
    enum zt_set_suites suites;
    enum zt_set_relay relay;
    bool low_bandwidth; /* fewer datagrams of our own: vl1/peer.c, vl1/nat.c, vl2/state.h */
};

/* The row with the longest prefix that contains ep, or NULL. */
const struct zt_set_physical *zt_settings_physical(const struct zt_settings *s,
                                                   const struct zt_ep *ep);
const struct zt_set_node *zt_settings_node(const struct zt_settings *s, uint64_t addr);
/* Is this endpoint ruled out for everybody, or for this node? addr 0: for everybody only. */
bool zt_settings_forbid(const struct zt_settings *s, uint64_t addr, const struct zt_ep *ep);

#endif
