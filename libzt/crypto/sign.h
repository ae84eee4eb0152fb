/* Signing of worlds. */
#ifndef ZT_CRYPTO_SIGN_H
#define ZT_CRYPTO_SIGN_H

#include "crypto/identity.h"
#include "wire/world.h"

/* Fill world->signature with key's signature. Returns 0 or ZT_E_NOMEM. */
int zt_world_sign(struct zt_world *world, const struct zt_identity *key);
/* Does world->signature verify under this update key? */
bool zt_world_verify(const struct zt_world *world, const uint8_t update_key[ZT_PUB]);

#endif
