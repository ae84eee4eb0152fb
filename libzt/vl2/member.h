/* What we know of the other members of a network: the credentials they showed, and what we sent
 * them (vl2.md 4). A record exists for an address once a frame of it passed the gate or a
 * credential about it was accepted.
 *
 * Bounds: ZT_MEMBERS_MAX records a network, the least recently used one makes room; the lists in a
 * record hold no more than a configuration may contain. */
#ifndef ZT_VL2_MEMBER_H
#define ZT_VL2_MEMBER_H

#include "base/host.h"
#include "base/list.h"
#include "vl2/rules.h"
#include "wire/creds.h"

struct zt_network;

#define ZT_MEMBERS_MAX 8192
#define ZT_MEMBER_TAGS 128
#define ZT_MEMBER_CAPS 128
#define ZT_MEMBER_COOS 8
#define ZT_MEMBER_REVOKED 256
#define ZT_LIKE_INTERVAL_MS 60000
#define ZT_PUSH_INTERVAL_MS 500000
#define ZT_PUSH_ON_REQUEST_MS 1000

struct zt_creds; /* member.c: tags, capabilities, ownership */

struct zt_member {
    struct zt_list lru;
    uint64_t addr;
    int64_t liked_ms;       /* our groups were announced to it, monotonic */
    int64_t pushed_ms;      /* our credentials were sent to it */
    struct zt_com *com;     /* latest, verified; NULL: none */
    int64_t com_revoked;    /* COMs that are not newer don't count */
    struct zt_creds *creds; /* NULL until there is one */
    unsigned agrees_epoch;  /* of the network when `agrees` was found out; 0: never */
    bool agrees;
};

enum zt_accept {
    ZT_ACCEPT_REJECTED, /* counted */
    ZT_ACCEPT_NEW,
    ZT_ACCEPT_REDUNDANT, /* held already */
    ZT_ACCEPT_DEFER,     /* the signer's identity is not known yet */
};

struct zt_member *zt_member_find(struct zt_network *net, uint64_t addr);
/* Find or make, and mark as used. NULL without memory. */
struct zt_member *zt_member_get(struct zt_network *net, uint64_t addr);
void zt_member_drop(struct zt_network *net, struct zt_member *m);

/* Check a credential's signature and keep it. All are bytes of strangers. */
enum zt_accept zt_member_com(struct zt_network *net, const struct zt_now *now,
                             const struct zt_com *com);
enum zt_accept zt_member_tag(struct zt_network *net, const struct zt_now *now,
                             const struct zt_tag *tag);
enum zt_accept zt_member_cap(struct zt_network *net, const struct zt_now *now,
                             const struct zt_cap *cap);
enum zt_accept zt_member_coo(struct zt_network *net, const struct zt_now *now,
                             const struct zt_coo *coo);
enum zt_accept zt_member_revocation(struct zt_network *net, const struct zt_now *now,
                                    const struct zt_revocation *rev);

/* Its membership certificate fits ours, or the network is public. */
bool zt_member_allowed(struct zt_network *net, struct zt_member *m);
/* Its credentials that count now, for the rules; NULL without any. */
const struct zt_holdings *zt_member_holdings(struct zt_network *net, struct zt_member *m);

/* Send it our credentials when it may lack them. on_request: it asked (ERROR 0x06). */
void zt_member_push(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                    bool on_request);

/* Signatures alone. `controller`: public identity of the network's controller; identity_of: looks
 * up later holders of a capability. */
struct zt_identity;
bool zt_com_verify(const struct zt_com *com, const struct zt_identity *controller);
bool zt_tag_verify(const struct zt_tag *tag, const struct zt_identity *controller);
bool zt_coo_verify(const struct zt_coo *coo, const struct zt_identity *controller);
bool zt_revocation_verify(const struct zt_revocation *rev, const struct zt_identity *controller);
enum zt_accept zt_cap_verify(const struct zt_cap *cap,
                             const struct zt_identity *(*identity_of)(void *user, uint64_t addr),
                             void *user);

#endif
