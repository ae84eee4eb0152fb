/* Questions to the running node: what events tell, at any time. Each is one short visit to the loop. */
#include <stdlib.h>
#include <string.h>

#include "api/zts_priv.h"

struct query {
    uint64_t id;
    void *out, *more;
    size_t cap, *total;
};

static int ask(int (*fn)(struct zt_node *, void *), struct query *q)
{
    return zts_control_error(zts_with_node(fn, q));
}

/* ---- node -------------------------------------------------------------------------------------- */

static int node(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    int rc = zt_node_status(n, q->out);
    return rc != 0 ? rc : zt_node_ports(n, q->more);
}

int zts_query_node(struct zts_node_details *details, int *is_online)
{
    struct zt_status_info s;
    uint16_t ports[3];
    struct query q = {.out = &s, .more = ports};
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (details == NULL)
        return ZTS_ERR_ARG;
    int rc = ask(node, &q);
    if (rc != ZTS_ERR_OK)
        return rc;
    zts_fill_node(s.addr, ports, details);
    if (is_online != NULL)
        *is_online = s.online;
    return ZTS_ERR_OK;
}

/* ---- networks ---------------------------------------------------------------------------------- */

static int networks(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    return zt_node_networks(n, q->out, q->cap, q->total);
}

static int peers(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    return zt_node_peers(n, q->out, q->cap, q->total);
}

static int ids(int (*fn)(struct zt_node *, void *), uint64_t *out, unsigned int *count)
{
    size_t total = 0;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (count == NULL || (out == NULL && *count > 0))
        return ZTS_ERR_ARG;
    struct query q = {.out = out, .cap = *count, .total = &total};
    int rc = ask(fn, &q);
    if (rc == ZTS_ERR_OK)
        *count = (unsigned int)total;
    return rc;
}

int zts_query_networks(uint64_t *out, unsigned int *count)
{
    return ids(networks, out, count);
}

static int network(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    return zt_node_network(n, q->id, q->out);
}

/* *out is the caller's to free. */
static int fetch_network(uint64_t nwid, struct zt_net_info **out)
{
    struct query q = {.id = nwid, .out = malloc(sizeof **out)};
    *out = NULL;
    if (q.out == NULL)
        return ZTS_ERR_GENERAL;
    int rc = ask(network, &q);
    if (rc == ZTS_ERR_OK)
        *out = q.out;
    else
        free(q.out);
    return rc;
}

int zts_query_network(const uint64_t networkId, struct zts_network_details *details)
{
    struct zt_net_info *info = NULL;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (details == NULL || networkId == 0)
        return ZTS_ERR_ARG;
    int rc = fetch_network(networkId, &info);
    if (rc == ZTS_ERR_OK)
        zts_fill_network(info, details);
    free(info);
    return rc;
}

static bool bad_list(const void *out, const unsigned int *count)
{
    return count == NULL || (out == NULL && *count > 0);
}

int zts_query_addresses(const uint64_t networkId, struct zts_sockaddr_storage *addrs,
                        unsigned int *count)
{
    struct zt_net_info *info = NULL;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_list(addrs, count) || networkId == 0)
        return ZTS_ERR_ARG;
    int rc = fetch_network(networkId, &info);
    if (rc == ZTS_ERR_OK) {
        for (unsigned i = 0; i < info->naddrs && i < *count; i++)
            zts_storage_from_ep(&info->addrs[i], &addrs[i]);
        *count = info->naddrs;
    }
    free(info);
    return rc;
}

int zts_query_routes(const uint64_t networkId, struct zts_virtual_network_route *routes,
                     unsigned int *count)
{
    struct zt_net_info *info = NULL;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_list(routes, count) || networkId == 0)
        return ZTS_ERR_ARG;
    int rc = fetch_network(networkId, &info);
    if (rc == ZTS_ERR_OK) {
        for (unsigned i = 0; i < info->nroutes && i < *count; i++)
            zts_fill_route(&info->routes[i], &routes[i]);
        *count = info->nroutes;
    }
    free(info);
    return rc;
}

static int groups(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    return zt_node_groups(n, q->id, q->out, q->cap, q->total);
}

int zts_node_groups(uint64_t nwid, struct zt_group_info *out, size_t cap, size_t *total)
{
    struct query q = {.id = nwid, .out = out, .cap = cap, .total = total};
    return zts_with_node(groups, &q);
}

_Static_assert(sizeof(struct zts_multicast_group) == sizeof(struct zt_group_info) &&
                   offsetof(struct zts_multicast_group, adi) == offsetof(struct zt_group_info, adi),
               "written in place");

int zts_query_groups(const uint64_t networkId, struct zts_multicast_group *out, unsigned int *count)
{
    size_t total = 0;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_list(out, count) || networkId == 0)
        return ZTS_ERR_ARG;
    int rc = zts_control_error(
        zts_node_groups(networkId, (struct zt_group_info *)(void *)out, *count, &total));
    if (rc == ZTS_ERR_OK)
        *count = (unsigned int)total;
    return rc;
}

static int ifindex(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    int rc = zt_node_ifindex(n, q->id);
    return rc == 0 ? ZT_E_NOENT : rc;
}

int zts_query_interface(const uint64_t networkId)
{
    struct query q = {.id = networkId};
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (networkId == 0)
        return ZTS_ERR_ARG;
    int rc = zts_with_node(ifindex, &q);
    return rc > 0 ? rc : zts_control_error(rc);
}

/* ---- peers ------------------------------------------------------------------------------------- */

int zts_query_peers(uint64_t *out, unsigned int *count)
{
    return ids(peers, out, count);
}

static int peer(struct zt_node *n, void *arg)
{
    struct query *q = arg;
    return zt_node_peer(n, q->id, q->out);
}

int zts_query_peer(const uint64_t nodeId, struct zts_peer_details *details)
{
    struct zt_peer_info info;
    struct query q = {.id = nodeId, .out = &info};
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (details == NULL || nodeId == 0)
        return ZTS_ERR_ARG;
    int rc = ask(peer, &q);
    if (rc == ZTS_ERR_OK)
        zts_fill_peer(&info, details);
    return rc;
}

int zts_query_paths(const uint64_t nodeId, struct zts_physical_path *paths, unsigned int *count)
{
    struct zts_peer_details p;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_list(paths, count))
        return ZTS_ERR_ARG;
    int rc = zts_query_peer(nodeId, &p);
    if (rc == ZTS_ERR_OK) {
        unsigned n = p.pathCount < *count ? p.pathCount : *count;
        if (n > 0)
            memcpy(paths, p.paths, n * sizeof *paths);
        *count = p.pathCount;
    }
    return rc;
}
