#include "wire/world.h"

#include "wire/packet.h"

static void read_root(struct zt_rd *r, struct zt_root *root)
{
    zt_rd_identity(r, &root->id);
    /* A private key has no business here; the reference reads over one, so do we. */
    memset(root->id.priv, 0, ZT_PRIV);
    root->id.has_priv = false;
    root->neps = zt_rd_u8(r);
    if (root->neps > ZT_WORLD_ENDPOINTS) {
        root->neps = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < root->neps && !r->bad; i++)
        zt_rd_ep(r, &root->eps[i]);
}

void zt_rd_world(struct zt_rd *r, struct zt_world *out)
{
    memset(out, 0, sizeof *out);
    uint8_t type = zt_rd_u8(r);
    if (type != ZT_WORLD_NULL && type != ZT_WORLD_PLANET && type != ZT_WORLD_MOON)
        r->bad = true;
    out->type = (enum zt_world_type)type;
    out->id = zt_rd_u64(r);
    out->timestamp_ms = zt_rd_u64(r);
    zt_rd_bytes(r, out->update_key, sizeof out->update_key);
    zt_rd_bytes(r, out->signature, sizeof out->signature);
    out->nroots = zt_rd_u8(r);
    if (out->nroots > ZT_WORLD_ROOTS) {
        out->nroots = 0;
        r->bad = true;
    }
    for (unsigned i = 0; i < out->nroots && !r->bad; i++)
        read_root(r, &out->roots[i]);
    if (type == ZT_WORLD_MOON)
        zt_rd_skip(r, zt_rd_u16(r)); /* dictionary, without known use */
}

static void write_world(struct zt_wr *w, const struct zt_world *world, bool with_signature)
{
    zt_wr_u8(w, (uint8_t)world->type);
    zt_wr_u64(w, world->id);
    zt_wr_u64(w, world->timestamp_ms);
    zt_wr_bytes(w, world->update_key, sizeof world->update_key);
    if (with_signature)
        zt_wr_bytes(w, world->signature, sizeof world->signature);
    zt_wr_u8(w, (uint8_t)world->nroots);
    for (unsigned i = 0; i < world->nroots; i++) {
        const struct zt_root *root = &world->roots[i];
        zt_wr_identity(w, &root->id, false);
        zt_wr_u8(w, (uint8_t)root->neps);
        for (unsigned k = 0; k < root->neps; k++)
            zt_wr_ep(w, &root->eps[k]);
    }
    if (world->type == ZT_WORLD_MOON)
        zt_wr_u16(w, 0);
}

void zt_wr_world(struct zt_wr *w, const struct zt_world *world)
{
    write_world(w, world, true);
}

void zt_wr_world_signed(struct zt_wr *w, const struct zt_world *world)
{
    zt_wr_u64(w, 0x7f7f7f7f7f7f7f7fULL);
    write_world(w, world, false);
    zt_wr_u64(w, 0xf7f7f7f7f7f7f7f7ULL);
}
