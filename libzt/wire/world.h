/* Planets and moons (vl1.md 5.3): the sets of roots, as bytes. Signing and verifying is in
 * crypto/sign.h; whether one replaces another is vl1/roots.c. */
#ifndef ZT_WIRE_WORLD_H
#define ZT_WIRE_WORLD_H

#include "base/addr.h"
#include "base/buf.h"
#include "wire/identity.h"

#define ZT_WORLD_ROOTS 4
#define ZT_WORLD_ENDPOINTS 32
#define ZT_WORLD_WIRE_MAX 8480
#define ZT_SIGNATURE 96

enum zt_world_type {
    ZT_WORLD_NULL = 0,
    ZT_WORLD_PLANET = 1,
    ZT_WORLD_MOON = 127,
};

struct zt_root {
    struct zt_identity id; /* public */
    unsigned neps;
    struct zt_ep eps[ZT_WORLD_ENDPOINTS];
};

struct zt_world {
    enum zt_world_type type;
    uint64_t id;
    uint64_t timestamp_ms;
    uint8_t update_key[ZT_PUB]; /* signs the next revision */
    uint8_t signature[ZT_SIGNATURE];
    unsigned nroots;
    struct zt_root roots[ZT_WORLD_ROOTS];
};

/* Bytes after the world are left in r. On bad data r is bad and out undefined. */
void zt_rd_world(struct zt_rd *r, struct zt_world *out);
void zt_wr_world(struct zt_wr *w, const struct zt_world *world);
/* The bytes that are signed: 7f x 8, the world without its signature, f7 x 8. */
void zt_wr_world_signed(struct zt_wr *w, const struct zt_world *world);

#endif
