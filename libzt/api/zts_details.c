/* From the node's descriptions to the public structures, field by field with clamped counts: for events
 * and for questions. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/zts_priv.h"
#include "wire/packet.h" /* the version that we announce */

void zts_fill_node(uint64_t addr, const uint16_t ports[3], struct zts_node_details *d)
{
    *d = (struct zts_node_details){.address = addr,
                                   .primaryPort = ports[0],
                                   .secondaryPort = ports[1],
                                   .tertiaryPort = ports[2],
                                   .versionMajor = ZT_VERSION_MAJOR,
                                   .versionMinor = ZT_VERSION_MINOR,
                                   .versionRev = ZT_VERSION_REV};
}

void zts_fill_route(const struct zt_route *r, struct zts_virtual_network_route *out)
{
    memset(out, 0, sizeof *out);
    zts_storage_from_ep(&r->target, &out->target);
    zts_storage_from_ep(&r->via, &out->via);
    out->flags = r->flags;
    out->metric = r->metric;
}

/* The API knows six states; a network that wants a login refuses us until then. */
static enum ZTS_VirtualNetworkStatus public_status(enum zt_net_status s)
{
    return s == ZT_NET_AUTHENTICATION_REQUIRED ? ZTS_NETWORK_STATUS_ACCESS_DENIED
                                               : (enum ZTS_VirtualNetworkStatus)s;
}
_Static_assert((int)ZT_NET_OK == (int)ZTS_NETWORK_STATUS_OK &&
                   (int)ZT_NET_CLIENT_TOO_OLD == (int)ZTS_NETWORK_STATUS_CLIENT_TOO_OLD,
               "the states have one numbering");

static void add_group(struct zts_network_details *d, uint64_t mac, uint32_t adi)
{
    for (unsigned i = 0; i < d->multicastSubscriptionCount; i++)
        if (d->multicastSubscriptions[i].mac == mac && d->multicastSubscriptions[i].adi == adi)
            return;
    if (d->multicastSubscriptionCount < ZTS_MAX_MULTICAST_SUBSCRIPTIONS)
        d->multicastSubscriptions[d->multicastSubscriptionCount++] =
            (struct zts_multicast_group){.mac = mac, .adi = adi};
}

/* The groups of the interface; when the node can't be asked any more, those that its addresses imply. */
static void fill_groups(const struct zt_net_info *n, struct zts_network_details *d)
{
    struct zt_group_info *g = malloc(ZTS_MAX_MULTICAST_SUBSCRIPTIONS * sizeof *g);
    size_t total = 0;
    if (g == NULL || zts_node_groups(n->nwid, g, ZTS_MAX_MULTICAST_SUBSCRIPTIONS, &total) != 0)
        total = 0;
    for (size_t i = 0; i < total && i < ZTS_MAX_MULTICAST_SUBSCRIPTIONS; i++)
        add_group(d, g[i].mac, g[i].adi);
    free(g);
    for (unsigned i = 0; i < n->naddrs; i++) {
        uint64_t mac;
        uint32_t adi;
        zt_resolution_group(&n->addrs[i], &mac, &adi);
        add_group(d, mac, adi);
    }
}

void zts_fill_network(const struct zt_net_info *n, struct zts_network_details *d)
{
    memset(d, 0, sizeof *d);
    d->nwid = n->nwid;
    d->mac = n->mac;
    memcpy(d->name, n->name, sizeof d->name - 1);
    d->status = public_status(n->status);
    d->type = n->is_public ? ZTS_NETWORK_TYPE_PUBLIC : ZTS_NETWORK_TYPE_PRIVATE;
    d->mtu = n->mtu;
    d->bridge = n->bridge;
    d->broadcastEnabled = n->broadcast;
    d->portError = n->port_error != 0 ? ZTS_ERR_GENERAL : 0;
    d->netconfRevision = n->revision;
    for (unsigned i = 0; i < n->naddrs && i < ZTS_MAX_ZT_ASSIGNED_ADDRESSES; i++) {
        zts_storage_from_ep(&n->addrs[i], &d->assignedAddresses[d->assignedAddressCount++]);
    }
    for (unsigned i = 0; i < n->nroutes && i < ZTS_MAX_NETWORK_ROUTES; i++)
        zts_fill_route(&n->routes[i], &d->routes[d->routeCount++]);
    fill_groups(n, d);
}

int64_t zts_wall_shift_ms(void)
{
    struct timespec m, w;
    clock_gettime(CLOCK_MONOTONIC, &m);
    clock_gettime(CLOCK_REALTIME, &w);
    return (int64_t)(w.tv_sec - m.tv_sec) * 1000 + (w.tv_nsec - m.tv_nsec) / 1000000;
}

void zts_fill_peer(const struct zt_peer_info *p, struct zts_peer_details *d)
{
    int64_t shift = zts_wall_shift_ms();
    *d = (struct zts_peer_details){.address = p->addr,
                                 .versionMajor = p->version_major,
                                 .versionMinor = p->version_minor,
                                 .versionRev = p->version_rev,
                                 .latency = p->latency_ms,
                                 .role = (enum zts_peer_role)p->role};
    for (unsigned i = 0; i < p->npaths && d->pathCount < ZTS_MAX_PEER_NETWORK_PATHS; i++) {
        const struct zt_path_info *f = &p->paths[i];
        struct zts_physical_path *t = &d->paths[d->pathCount++];
        zts_storage_from_ep(&f->ep, &t->address);
        t->lastSend = f->last_out_ms < 0 ? 0 : (uint64_t)(f->last_out_ms + shift);
        t->lastReceive = f->last_in_ms < 0 ? 0 : (uint64_t)(f->last_in_ms + shift);
        t->trustedPathId = f->trusted_path;
        t->expired = f->expired;
        t->preferred = f->preferred;
    }
}
