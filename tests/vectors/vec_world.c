/* world.json: planets and moons. */
#include <string.h>

#include "crypto/sign.h"
#include "vec.h"
#include "vec_identity.h"

static void signing_key(struct vec *v, json_t *c, struct zt_identity *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->pub, vec_hex_n(v, c, "public_key", ZT_PUB), ZT_PUB);
    memcpy(out->priv, vec_hex_n(v, c, "private_key", ZT_PRIV), ZT_PRIV);
    out->has_priv = true;
}

static void root(struct vec *v, json_t *c, struct zt_root *out)
{
    json_t *eps = vec_field(v, c, "stable_endpoints"), *ep;
    size_t i;
    vec_identity_field(v, c, "identity", &out->id);
    if (!VEC_CHECK(v, json_array_size(eps) <= ZT_WORLD_ENDPOINTS))
        return;
    json_array_foreach(eps, i, ep)
        VEC_CHECK(v, zt_ep_parse(json_string_value(ep), &out->eps[out->neps++]) == 0);
}

/* Build the world from its fields, sign and write it, read it back. */
static void world(struct vec *v, json_t *c)
{
    struct zt_world w = {0}, back;
    struct zt_identity key;
    uint8_t bytes[ZT_WORLD_WIRE_MAX];
    json_t *roots = vec_field(v, c, "roots"), *one;
    size_t i, n;

    w.type = (enum zt_world_type)vec_int(v, c, "type");
    w.id = vec_hex_u64(v, c, "id");
    w.timestamp_ms = (uint64_t)vec_int(v, c, "timestamp");
    memcpy(w.update_key, vec_hex_n(v, c, "updates_must_be_signed_by", ZT_PUB), ZT_PUB);
    if (!VEC_CHECK(v, json_array_size(roots) <= ZT_WORLD_ROOTS))
        return;
    json_array_foreach(roots, i, one) root(v, one, &w.roots[w.nroots++]);

    struct zt_wr wr = zt_wr(bytes, sizeof bytes);
    zt_wr_world_signed(&wr, &w);
    vec_eq_hex(v, c, "signed_message", bytes, wr.n);
    signing_key(v, vec_field(v, c, "signing_key"), &key);
    VEC_CHECK(v, zt_world_sign(&w, &key) == 0);
    vec_eq_hex(v, c, "signature", w.signature, sizeof w.signature);
    wr = zt_wr(bytes, sizeof bytes);
    zt_wr_world(&wr, &w);
    vec_eq_hex(v, c, "serialized", bytes, wr.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && memcmp(&w, &back, sizeof w) == 0);
    VEC_CHECK(v, zt_world_verify(&back, key.pub));
    back.timestamp_ms++;
    VEC_CHECK(v, !zt_world_verify(&back, key.pub));
}

static bool read_world(struct vec *v, json_t *c, const char *field, struct zt_world *out)
{
    size_t n;
    const uint8_t *p = vec_hex(v, c, field, &n);
    struct zt_rd r = zt_rd(p, n);
    if (n == 0) /* none held */
        return false;
    zt_rd_world(&r, out);
    return VEC_CHECK(v, !r.bad);
}

int vec_world(struct vec *v)
{
    static const char *const worlds[] = {"planet", "moon", "planet_without_roots"};
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++) {
        vec_case(v, worlds[i], 0, NULL);
        world(v, vec_field(v, v->root, worlds[i]));
    }
    VEC_EACH(v, "updates", "case", c)
    {
        struct zt_world current, next;
        bool held = read_world(v, c, "current", &current);
        if (VEC_CHECK(v, read_world(v, c, "update", &next)))
            vec_eq_bool(v, c, "should_replace", zt_world_replaces(held ? &current : NULL, &next));
    }
    VEC_EACH(v, "deserialize", "case", c)
    {
        struct zt_world w;
        size_t n;
        const uint8_t *p = vec_hex(v, c, "bytes", &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_world(&r, &w);
        /* The reference takes a dictionary that ends after the data; that is truncated to us. */
        if (vec_bool(v, c, "ok") && (size_t)vec_int(v, c, "bytes_used") > n) {
            VEC_CHECK(v, r.bad);
        } else {
            vec_eq_bool(v, c, "ok", !r.bad);
            if (!r.bad)
                vec_eq_int(v, c, "bytes_used", (int64_t)r.pos);
        }
    }
    return 0;
}
