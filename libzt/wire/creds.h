/* Credentials as bytes (vl2.md 4.1 - 4.5): what a controller signs and members show each other.
 *
 * Each kind has zt_rd_X, zt_wr_X and zt_wr_X_signed (the text that is signed). Reading checks the
 * syntax only; verifying is vl2/member.h. Readers leave what follows in r and mark it bad on
 * errors. An unknown kind of signature is skipped: the object parses with has_sig false and never
 * verifies. Extensions are skipped and never part of the signed text. */
#ifndef ZT_WIRE_CREDS_H
#define ZT_WIRE_CREDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ZT_SIG 96
#define ZT_COM_TUPLES 8
#define ZT_COM_MAX (1 + 2 + 24 * ZT_COM_TUPLES + 5 + ZT_SIG)
#define ZT_CAP_CHAIN 7
#define ZT_COO_THINGS 16
#define ZT_TAG_WIRE 135 /* without extension */
#define ZT_REVOCATION_WIRE 152
#define ZT_COO_MAX (8 + 8 + 8 + 4 + 2 + 17 * ZT_COO_THINGS + 10 + 3 + ZT_SIG + 2)
/* Signed text of any credential but a capability. */
#define ZT_CRED_TEXT_MAX 512
/* Signed text of a capability: 64 rules of the longest kind. */
#define ZT_CAP_TEXT_MAX (8 + 8 + 8 + 4 + 2 + 64 * 257 + 1 + 2 + 8)

enum zt_cred_type {
    ZT_CRED_NULL = 0,
    ZT_CRED_COM = 1,
    ZT_CRED_CAPABILITY = 2,
    ZT_CRED_TAG = 3,
    ZT_CRED_OWNERSHIP = 4,
    ZT_CRED_REVOCATION = 6,
};

/* Certificate of membership. Tuples are sorted by id. */
struct zt_com {
    unsigned n;
    struct {
        uint64_t id, value, max_delta;
    } t[ZT_COM_TUPLES];
    uint64_t signed_by; /* 0: unsigned */
    uint8_t sig[ZT_SIG];
};

#define ZT_COM_TIMESTAMP 0 /* tuple ids */
#define ZT_COM_NWID 1
#define ZT_COM_ISSUED_TO 2
#define ZT_COM_HASH 3 /* .. 6 */

struct zt_tag {
    uint64_t nwid;
    int64_t timestamp;
    uint32_t id, value;
    uint64_t issued_to, signed_by;
    bool has_sig;
    uint8_t sig[ZT_SIG];
};

struct zt_cap {
    uint64_t nwid;
    int64_t timestamp;
    uint32_t id;
    unsigned nrules;
    const uint8_t *rules; /* view of the entries as they came: the signature covers these bytes */
    size_t rules_size;
    uint8_t max_chain; /* 1 .. 7 */
    unsigned nlinks;
    struct {
        uint64_t to, from;
        bool has_sig;
        uint8_t sig[ZT_SIG];
    } chain[ZT_CAP_CHAIN];
};

enum zt_thing_type {
    ZT_THING_MAC = 1,
    ZT_THING_IPV4 = 2,
    ZT_THING_IPV6 = 3,
};

/* Certificate of ownership. */
struct zt_coo {
    uint64_t nwid;
    int64_t timestamp;
    uint64_t flags;
    uint32_t id;
    unsigned n;
    struct {
        uint8_t type;
        uint8_t value[16];
    } thing[ZT_COO_THINGS];
    uint64_t issued_to, signed_by;
    bool has_sig;
    uint8_t sig[ZT_SIG];
};

#define ZT_REVOCATION_FAST 1u /* flags: pass on to everybody */

struct zt_revocation {
    uint32_t id;
    uint64_t nwid;
    uint32_t credential_id;
    int64_t threshold; /* revokes what is not newer */
    uint64_t flags;
    uint64_t target, signed_by;
    uint8_t type; /* enum zt_cred_type of what is revoked */
    bool has_sig;
    uint8_t sig[ZT_SIG];
};

void zt_rd_com(struct zt_rd *r, struct zt_com *out);
void zt_wr_com(struct zt_wr *w, const struct zt_com *com);
void zt_wr_com_signed(struct zt_wr *w, const struct zt_com *com);
/* Value of a tuple, 0 without. */
uint64_t zt_com_value(const struct zt_com *com, uint64_t id);
/* vl2.md 4.1. fingerprint: SHA-384 of the identity that showed `theirs`. */
bool zt_com_agrees(const struct zt_com *mine, const struct zt_com *theirs,
                   const uint8_t fingerprint[48]);
/* The seven tuples of a new one, unsigned. fingerprint: of the member's identity. */
void zt_com_make(uint64_t timestamp_ms, uint64_t max_delta_ms, uint64_t nwid, uint64_t issued_to,
                 const uint8_t fingerprint[48], struct zt_com *out);

void zt_rd_tag(struct zt_rd *r, struct zt_tag *out);
void zt_wr_tag(struct zt_wr *w, const struct zt_tag *tag);
void zt_wr_tag_signed(struct zt_wr *w, const struct zt_tag *tag);

void zt_rd_cap(struct zt_rd *r, struct zt_cap *out);
void zt_wr_cap(struct zt_wr *w, const struct zt_cap *cap);
void zt_wr_cap_signed(struct zt_wr *w, const struct zt_cap *cap);
/* Its holder: end of the chain, 0 without links. */
uint64_t zt_cap_issued_to(const struct zt_cap *cap);

void zt_rd_coo(struct zt_rd *r, struct zt_coo *out);
void zt_wr_coo(struct zt_wr *w, const struct zt_coo *coo);
void zt_wr_coo_signed(struct zt_wr *w, const struct zt_coo *coo);
/* value: 6, 4 or 16 bytes by type. */
bool zt_coo_owns(const struct zt_coo *coo, uint8_t type, const uint8_t *value);

void zt_rd_revocation(struct zt_rd *r, struct zt_revocation *out);
void zt_wr_revocation(struct zt_wr *w, const struct zt_revocation *rev);
void zt_wr_revocation_signed(struct zt_wr *w, const struct zt_revocation *rev);

#endif
