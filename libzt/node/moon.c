#include "node/moon.h"

#include "base/err.h"
#include "node/node_priv.h"

int zt_moon_orbit(struct zt_node *n, uint64_t id, uint64_t seed)
{
    int rc = zt_core_orbit(n->core, zt_loop_now(n->loop), id, seed);
    zt_host_drain(n);
    zt_loop_touch(n->loop);
    return rc;
}

int zt_moon_deorbit(struct zt_node *n, uint64_t id)
{
    int rc = zt_core_deorbit(n->core, zt_loop_now(n->loop), id);
    zt_host_drain(n);
    zt_loop_touch(n->loop);
    return rc;
}

static json_t *hex_text(const uint8_t *p, size_t n)
{
    char text[2 * ZT_SIGNATURE + 1];
    return json_string(zt_hex_encode(p, n, text));
}

static json_t *root_json(const struct zt_root *root)
{
    char id[ZT_IDENTITY_STR], ep[ZT_EP_STR];
    json_t *o = json_object(), *eps = json_array();
    for (unsigned i = 0; i < root->neps; i++)
        json_array_append_new(eps, json_string(zt_ep_format(&root->eps[i], ep)));
    json_object_set_new(o, "identity", json_string(zt_identity_format(&root->id, false, id)));
    json_object_set_new(o, "stableEndpoints", eps);
    return o;
}

static json_t *moon_json(const struct zt_moon_info *m)
{
    char text[24];
    json_t *o = json_object(), *roots = json_array();
    bool held = !m->is_waiting;
    for (unsigned i = 0; i < m->world.nroots; i++)
        json_array_append_new(roots, root_json(&m->world.roots[i]));
    snprintf(text, sizeof text, "%016llx", (unsigned long long)m->id);
    json_object_set_new(o, "id", json_string(text));
    json_object_set_new(o, "timestamp", json_integer((json_int_t)m->world.timestamp_ms));
    json_object_set_new(o, "signature",
                        held ? hex_text(m->world.signature, ZT_SIGNATURE) : json_null());
    json_object_set_new(o, "updatesMustBeSignedBy",
                        held ? hex_text(m->world.update_key, ZT_PUB) : json_null());
    json_object_set_new(o, "waiting", json_boolean(m->is_waiting));
    json_object_set_new(o, "roots", roots);
    if (m->is_waiting) { /* ours: whom we are waiting for */
        snprintf(text, sizeof text, "%010llx", (unsigned long long)m->seed);
        json_object_set_new(o, "seed", json_string(text));
    }
    return o;
}

json_t *zt_moon_json(struct zt_node *n, uint64_t id)
{
    struct zt_moon_info m;
    return zt_core_moon(n->core, id, &m) == 0 ? moon_json(&m) : json_object();
}

json_t *zt_moons_json(struct zt_node *n, bool with_waiting)
{
    uint64_t ids[ZT_MOONS_MAX];
    size_t total = zt_core_moons(n->core, ids, ZT_MOONS_MAX);
    json_t *a = json_array();
    for (size_t i = 0; i < total && i < ZT_MOONS_MAX; i++) {
        struct zt_moon_info m;
        if (zt_core_moon(n->core, ids[i], &m) == 0 && (with_waiting || !m.is_waiting))
            json_array_append_new(a, moon_json(&m));
    }
    return a;
}
