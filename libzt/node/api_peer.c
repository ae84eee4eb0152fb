/* /peer: other nodes, and the paths to them. */
#include <stdio.h>
#include <stdlib.h>

#include "node/api_priv.h"

/* A monotonic time as wall-clock time; 0: never. */
static json_t *wall(const struct zt_now *now, int64_t mono_ms)
{
    return json_integer(mono_ms < 0 ? 0 : now->wall_ms - (now->mono_ms - mono_ms));
}

static json_t *path_json(const struct zt_node *n, const struct zt_path_info *i,
                         const struct zt_now *now, bool more)
{
    struct zt_ep local = zt_udp_of(n->udp, i->sock);
    json_t *o = json_object();
    json_object_set_new(o, "address", zt_api_ep(&i->ep));
    json_object_set_new(o, "lastSend", wall(now, i->last_out_ms));
    json_object_set_new(o, "lastReceive", wall(now, i->last_in_ms));
    json_object_set_new(o, "localSocket", json_integer(i->sock));
    json_object_set_new(o, "localPort", json_integer(local.port));
    json_object_set_new(o, "active", json_boolean(!i->expired));
    json_object_set_new(o, "expired", json_boolean(i->expired));
    json_object_set_new(o, "preferred", json_boolean(i->preferred));
    json_object_set_new(o, "trustedPathId", zt_api_number(i->trusted_path));
    if (!more)
        return o;
    json_object_set_new(o, "latency", json_integer(i->latency_ms));
    json_object_set_new(o, "local", zt_api_ep(&local));
    return o;
}

static json_t *peer_json(const struct zt_node *n, const struct zt_peer_info *p,
                         const struct zt_now *now, bool more)
{
    static const char *const roles[] = {"LEAF", "MOON", "PLANET"};
    json_t *o = json_object(), *paths = json_array();
    char version[48];
    for (unsigned k = 0; k < p->npaths; k++)
        json_array_append_new(paths, path_json(n, &p->paths[k], now, more));
    snprintf(version, sizeof version, "%d.%d.%d", p->version_major, p->version_minor,
             p->version_rev);
    json_object_set_new(o, "address", zt_api_hex(p->addr, 10));
    json_object_set_new(o, "version", json_string(version));
    json_object_set_new(o, "versionMajor", json_integer(p->version_major));
    json_object_set_new(o, "versionMinor", json_integer(p->version_minor));
    json_object_set_new(o, "versionRev", json_integer(p->version_rev));
    json_object_set_new(o, "latency", json_integer(p->latency_ms));
    json_object_set_new(o, "role", json_string(roles[p->role]));
    json_object_set_new(o, "isBonded", json_false());
    json_object_set_new(o, "tunneled", json_false()); /* through the fallback by TCP: never */
    json_object_set_new(o, "paths", paths);
    if (more)
        json_object_set_new(o, "alive", json_boolean(p->is_alive));
    return o;
}

static json_t *one_peer_json(struct zt_node *n, uint64_t addr, bool more)
{
    const struct zt_now *now = zt_loop_now(n->loop);
    struct zt_peer_info p;
    return zt_core_peer(n->core, now, addr, &p) == 0 ? peer_json(n, &p, now, more) : NULL;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

json_t *zt_peers_json(struct zt_node *n, bool more)
{
    size_t total = zt_core_peers(n->core, NULL, 0);
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    json_t *a = json_array();
    size_t k = ids == NULL ? 0 : zt_core_peers(n->core, ids, total);
    if (k > total)
        k = total;
    if (k > 1)
        qsort(ids, k, sizeof *ids, by_number);
    for (size_t i = 0; i < k; i++)
        json_array_append_new(a, one_peer_json(n, ids[i], more));
    free(ids);
    return a;
}

void zt_api_peers(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    zt_api_json(to, 200, zt_peers_json(n, false));
}

void zt_api_peer(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                 struct zt_api_to to)
{
    json_t *o = one_peer_json(n, id, false);
    zt_api_json(to, 200, o != NULL ? o : json_object());
}
