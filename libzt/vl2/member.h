/* What we know of the other members of a network: the credentials they showed, and what we sent
 * them (vl2.md 4). A record exists for an address once a frame of it passed the gate or a
 * credential about it was accepted.
 *
 * Bounds: ZT_MEMBERS_MAX records a network, the least recently used one makes room; the lists in a
 * record hold no more than a configuration may contain. A record goes when VL1 has forgotten the
 * node, but not while it says that something was revoked which would else still count. */
#ifndef ZT_VL2_MEMBER_H
#define ZT_VL2_MEMBER_H

#include "base/list.h"
#include "vl2/creds.h"

struct zt_network;

#define ZT_MEMBERS_MAX 8192
#define ZT_LIKE_INTERVAL_MS 60000
#define ZT_LIKE_INTERVAL_LOW 5 /* well within ZT_MCAST_EXPIRY_MS */
#define ZT_PUSH_INTERVAL_MS 500000
#define ZT_PUSH_ON_REQUEST_MS 1000

struct zt_member {
    struct zt_list lru;
    uint64_t addr;
    int64_t liked_ms;       /* our groups were announced to it, monotonic */
    int64_t pushed_ms;      /* our credentials were sent to it */
    struct zt_com *com;     /* latest, verified; NULL: none */
    int64_t com_revoked;    /* COMs that are not newer don't count */
    struct zt_creds *creds; /* the other kinds; NULL until there is one */
    unsigned agrees_epoch;  /* of the network when `agrees` was found out; 0: never */
    bool agrees;
    unsigned nheld; /* frames in net->held */
};

struct zt_member *zt_member_find(struct zt_network *net, uint64_t addr);
/* Find or make, and mark as used. NULL without memory. */
struct zt_member *zt_member_get(struct zt_network *net, uint64_t addr);
void zt_member_drop(struct zt_network *net, struct zt_member *m);

/* A certificate of membership: check its signature and keep it. Bytes of strangers. */
enum zt_accept zt_member_com(struct zt_network *net, const struct zt_now *now,
                             const struct zt_com *com);

/* Its membership certificate fits ours, or the network is public. */
bool zt_member_allowed(struct zt_network *net, struct zt_member *m);
/* Its membership was revoked and it has not shown a newer certificate. */
bool zt_member_barred(const struct zt_network *net, const struct zt_member *m);

/* Send it our credentials when it may lack them. on_request: it asked (ERROR 0x06). */
void zt_member_push(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                    bool on_request);

#endif
