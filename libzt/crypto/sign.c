#include "crypto/sign.h"

#include <assert.h>

#include "base/err.h"

_Static_assert(ZT_SIGNATURE == ZT_SIGNATURE_BYTES, "one signature format");

#define SIGNED_MAX (ZT_WORLD_WIRE_MAX + 16)

static size_t signed_bytes(const struct zt_world *world, uint8_t out[SIGNED_MAX])
{
    struct zt_wr w = zt_wr(out, SIGNED_MAX);
    zt_wr_world_signed(&w, world);
    assert(!w.bad);
    return w.n;
}

int zt_world_sign(struct zt_world *world, const struct zt_identity *key)
{
    uint8_t msg[SIGNED_MAX];
    if (!key->has_priv || world->nroots > ZT_WORLD_ROOTS)
        return ZT_E_INVAL;
    zt_identity_sign(key, msg, signed_bytes(world, msg), world->signature);
    return 0;
}

bool zt_world_verify(const struct zt_world *world, const uint8_t update_key[ZT_PUB])
{
    uint8_t msg[SIGNED_MAX];
    return zt_identity_verify(update_key, msg, signed_bytes(world, msg), world->signature);
}

bool zt_world_replaces(const struct zt_world *current, const struct zt_world *next)
{
    if (next->type == ZT_WORLD_NULL)
        return false;
    if (current == NULL || current->type == ZT_WORLD_NULL || current->id == 0)
        return true;
    return next->type == current->type && next->id == current->id &&
           next->timestamp_ms > current->timestamp_ms && zt_world_verify(next, current->update_key);
}
