/* Signing of worlds. */
#ifndef ZT_CRYPTO_SIGN_H
#define ZT_CRYPTO_SIGN_H

#include "crypto/identity.h"
#include "wire/world.h"

/* Fill world->signature with key's signature. Returns 0, or ZT_E_INVAL without a private key. */
int zt_world_sign(struct zt_world *world, const struct zt_identity *key);
/* Does world->signature verify under this update key? */
bool zt_world_verify(const struct zt_world *world, const uint8_t update_key[ZT_PUB]);
/* May `next` take the place of `current` (vl1.md 5.4)? A current world of type or id 0, or NULL,
 * gives way to anything that is a planet or a moon, whatever its signature. */
bool zt_world_replaces(const struct zt_world *current, const struct zt_world *next);

#endif
