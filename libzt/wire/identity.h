/* An identity as bytes and text (vl1.md 1.4, 1.5). Syntax only: the proof of work, agreement and
 * signatures are in crypto/identity.h. */
#ifndef ZT_WIRE_IDENTITY_H
#define ZT_WIRE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ZT_PUB 64
#define ZT_PRIV 64
#define ZT_IDENTITY_WIRE 71 /* public, binary */
#define ZT_IDENTITY_STR 271 /* secret text and the end */

struct zt_identity {
    uint64_t addr;
    uint8_t pub[ZT_PUB];   /* X25519 public key, Ed25519 public key */
    uint8_t priv[ZT_PRIV]; /* X25519 scalar, Ed25519 seed; zero without has_priv */
    bool has_priv;
};

/* Text of n bytes (need not end in 0). Returns 0 or ZT_E_FORMAT. */
int zt_identity_parse(const char *text, size_t n, struct zt_identity *out);
/* Public (141 characters) or secret (270) form and the end; returns out. */
char *zt_identity_format(const struct zt_identity *id, bool secret, char out[ZT_IDENTITY_STR]);

/* Binary. On bad data marks r bad and zeroes out; bytes after the identity are left. */
void zt_rd_identity(struct zt_rd *r, struct zt_identity *out);
void zt_wr_identity(struct zt_wr *w, const struct zt_identity *id, bool secret);

/* Same address and public key. */
bool zt_identity_equal(const struct zt_identity *a, const struct zt_identity *b);

#endif
