/* Events as the 1.8 generation has them: from the common form to its message. On the event thread.
 */
#include "zts18/ZeroTierSockets.h"

#include "api/zts_event18.h"

static zts_peer_info_t peer_info; /* large, and there is one event thread */

static void fill_path(const struct zt_path_info *f, int64_t shift, zts_path_t *t)
{
    struct zts_sockaddr_in in4 = {.sin_family = ZTS_AF_INET, .sin_port = htons(f->ep.port)};
    struct zts_sockaddr_in6 in6 = {.sin6_family = ZTS_AF_INET6, .sin6_port = htons(f->ep.port)};
    memcpy(&in4.sin_addr, f->ep.ip, 4);
    memcpy(&in6.sin6_addr, f->ep.ip, 16);
    if (f->ep.family == 4)
        memcpy(&t->address, &in4, sizeof in4);
    else
        memcpy(&t->address, &in6, sizeof in6);
    t->last_tx = f->last_out_ms < 0 ? 0 : (uint64_t)(f->last_out_ms + shift);
    t->last_rx = f->last_in_ms < 0 ? 0 : (uint64_t)(f->last_in_ms + shift);
    t->trusted_path_id = f->trusted_path;
    t->latency = (float)f->latency_ms;
    t->expired = f->expired;
    t->preferred = f->preferred;
}

static zts_peer_info_t *fill_peer(const struct zt_peer_info *p, int64_t shift)
{
    zts_peer_info_t *d = &peer_info;
    memset(d, 0, sizeof *d);
    d->peer_id = p->addr;
    d->ver_major = p->version_major;
    d->ver_minor = p->version_minor;
    d->ver_rev = p->version_rev;
    d->latency = p->latency_ms;
    d->role = (zts_peer_role_t)p->role;
    for (unsigned i = 0; i < p->npaths && d->path_count < ZTS_MAX_PEER_NETWORK_PATHS; i++)
        fill_path(&p->paths[i], shift, &d->paths[d->path_count++]);
    return d;
}

/* Which file is it? 0: one that this generation has no event for. */
static int stored_code(const char *file)
{
    if (strcmp(file, "identity.secret") == 0)
        return ZTS_EVENT_STORE_IDENTITY_SECRET;
    if (strcmp(file, "identity.public") == 0)
        return ZTS_EVENT_STORE_IDENTITY_PUBLIC;
    if (strcmp(file, "planet") == 0)
        return ZTS_EVENT_STORE_PLANET;
    if (strncmp(file, "peers.d/", 8) == 0)
        return ZTS_EVENT_STORE_PEER;
    size_t n = strlen(file);
    if (strncmp(file, "networks.d/", 11) == 0 &&
        (n < 11 || strcmp(file + n - 11, ".local.conf") != 0))
        return ZTS_EVENT_STORE_NETWORK;
    return 0;
}

/* Number 205 and 206 are the older generation's alone: an error is 204 here, and a termination
 * follows NODE_DOWN anyway. */
static int code_of(const struct zts_event18 *e)
{
    if (e->file != NULL)
        return stored_code(e->file);
    return e->code == 205 ? ZTS_EVENT_NODE_FATAL_ERROR : e->code == 206 ? 0 : e->code;
}

void zts_emit18(void (*handler)(void *), const struct zts_event18 *e)
{
    int code = code_of(e);
    if (code == 0)
        return;
    zts_event_msg_t msg = {
        .event_code = (int16_t)code,
        .node = (zts_node_info_t *)(uintptr_t)e->node,
        .network = (zts_net_info_t *)(uintptr_t)e->network,
        .netif = (zts_netif_info_t *)(uintptr_t)e->netif,
        .route = (zts_route_info_t *)(uintptr_t)e->route,
        .addr = (zts_addr_info_t *)(uintptr_t)e->addr,
        .peer = e->peer != NULL ? fill_peer(e->peer, e->wall_shift_ms) : NULL,
        .cache = (void *)(uintptr_t)e->data,
        .len = (int)e->ndata,
    };
    handler(&msg);
}
