/* Tags, capabilities and certificates of ownership that one member showed us, and what of it was
 * revoked (vl2.md 4.6). The three kinds differ in how they are signed and what is kept of them;
 * everything else is one table and one way in.
 *
 * A record holds no more of a kind than a configuration may contain. When a list is full, what is
 * too old to count any more makes room; without such the newcomer is refused. */
#ifndef ZT_VL2_CREDS_H
#define ZT_VL2_CREDS_H

#include "base/host.h"
#include "vl2/rules.h"
#include "wire/creds.h"

struct zt_identity;
struct zt_member;
struct zt_network;

#define ZT_MEMBER_TAGS 128
#define ZT_MEMBER_CAPS 128
#define ZT_MEMBER_COOS 8
#define ZT_MEMBER_REVOKED 256

enum zt_accept {
    ZT_ACCEPT_REJECTED, /* counted */
    ZT_ACCEPT_NEW,
    ZT_ACCEPT_REDUNDANT, /* held already */
    ZT_ACCEPT_DEFER,     /* the identity of a signer is not known yet; it has been asked for */
};

/* Signatures alone (verify.c). `controller`: public identity of the network's controller. */
bool zt_com_verify(const struct zt_com *com, const struct zt_identity *controller);
bool zt_tag_verify(const struct zt_tag *tag, const struct zt_identity *controller);
bool zt_coo_verify(const struct zt_coo *coo, const struct zt_identity *controller);
bool zt_revocation_verify(const struct zt_revocation *rev, const struct zt_identity *controller);
/* A capability has a chain of signers, looked up by identity_of. NEW: valid. */
enum zt_accept zt_cap_verify(const struct zt_cap *cap,
                             const struct zt_identity *(*identity_of)(void *user, uint64_t addr),
                             void *user);

struct zt_creds;
void zt_creds_free(struct zt_creds *c); /* NULL is fine */

/* Check a credential's signature and keep it. All are bytes of strangers. */
enum zt_accept zt_member_tag(struct zt_network *net, const struct zt_now *now,
                             const struct zt_tag *tag);
enum zt_accept zt_member_cap(struct zt_network *net, const struct zt_now *now,
                             const struct zt_cap *cap);
enum zt_accept zt_member_coo(struct zt_network *net, const struct zt_now *now,
                             const struct zt_coo *coo);
/* Of any kind, certificates of membership too. */
enum zt_accept zt_member_revocation(struct zt_network *net, const struct zt_now *now,
                                    const struct zt_revocation *rev);

/* Was something of this member revoked that would count otherwise? Then the record must not go, or
 * the node could show it again. */
bool zt_creds_revoke(const struct zt_network *net, const struct zt_member *m);

/* What counts now, for the rules; NULL without any. */
const struct zt_holdings *zt_member_holdings(struct zt_network *net, struct zt_member *m);

/* For the files that accept credentials. The controller's identity, or NULL: then it was asked for
 * and the answer is DEFER. */
const struct zt_identity *zt_creds_controller(struct zt_network *net, const struct zt_now *now);
/* May there be credentials about this node? Not nil, and not ourselves: ours come with the
 * configuration. */
bool zt_creds_is_holder(const struct zt_network *net, uint64_t addr);
enum zt_accept zt_creds_reject(struct zt_network *net);

#endif
