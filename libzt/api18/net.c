/* Networks, their addresses and routes, and what is known of peers. */
#include <stdio.h>

#include "api18/api18.h"

int zts_net_join(uint64_t net_id)
{
    return zts_engine_act(ZTS_ACT_JOIN, net_id, 0);
}

int zts_net_leave(uint64_t net_id)
{
    return zts_engine_act(ZTS_ACT_LEAVE, net_id, 0);
}

/* ---- one fact about a network
 * --------------------------------------------------------------------
 */

int zts_net_transport_is_ready(const uint64_t net_id)
{
    struct zt_net_info n;
    return zts_engine_net(net_id, &n) == ZTS_ERR_OK && n.naddrs > 0;
}

uint64_t zts_net_get_mac(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? (uint64_t)(int64_t)rc : n.mac;
}

int zts_net_get_mac_str(uint64_t net_id, char *dst, unsigned int len)
{
    struct zt_net_info n;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (dst == NULL || len < ZTS_MAC_ADDRSTRLEN)
        return ZTS_ERR_ARG;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    const uint64_t m = n.mac;
    snprintf(dst, ZTS_MAC_ADDRSTRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(m >> 40 & 255),
             (unsigned)(m >> 32 & 255), (unsigned)(m >> 24 & 255), (unsigned)(m >> 16 & 255),
             (unsigned)(m >> 8 & 255), (unsigned)(m & 255));
    return ZTS_ERR_OK;
}

int zts_net_get_broadcast(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? rc : n.broadcast;
}

int zts_net_get_mtu(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? rc : (int)n.mtu;
}

int zts_net_get_name(uint64_t net_id, char *dst, unsigned int len)
{
    struct zt_net_info n;
    if (!zts_engine_online())
        return ZTS_ERR_SERVICE;
    if (dst == NULL || len != ZTS_MAX_NETWORK_SHORT_NAME_LENGTH)
        return ZTS_ERR_ARG;
    int rc = zts_engine_net(net_id, &n);
    if (rc == ZTS_ERR_OK)
        snprintf(dst, len, "%s", n.name);
    return rc;
}

int zts_net_get_status(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    /* There are six states here; one that wants a login refuses us until then. */
    return n.status == ZT_NET_AUTHENTICATION_REQUIRED ? ZTS_NETWORK_STATUS_ACCESS_DENIED
                                                      : (int)n.status;
}

int zts_net_get_type(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? rc : n.is_public ? ZTS_NETWORK_TYPE_PUBLIC : ZTS_NETWORK_TYPE_PRIVATE;
}

uint64_t zts_net_compute_adhoc_id(uint16_t start_port, uint16_t end_port)
{
    return 0xffull << 56 | (uint64_t)start_port << 40 | (uint64_t)end_port << 24;
}

/* ---- addresses
 * -----------------------------------------------------------------------------------
 */

/* The family in zt_ep's numbers; 0: neither. */
static uint8_t ep_family(unsigned int family)
{
    return family == ZTS_AF_INET ? 4 : family == ZTS_AF_INET6 ? 6 : 0;
}

static int first_addr(uint64_t net_id, unsigned int family, struct zt_ep *out)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    for (unsigned i = 0; i < n.naddrs; i++)
        if (n.addrs[i].family == ep_family(family)) {
            *out = n.addrs[i];
            return ZTS_ERR_OK;
        }
    return ZTS_ERR_NO_RESULT;
}

int zts_addr_is_assigned(uint64_t net_id, unsigned int family)
{
    struct zt_ep ep;
    return ep_family(family) != 0 && first_addr(net_id, family, &ep) == ZTS_ERR_OK;
}

int zts_addr_get(uint64_t net_id, unsigned int family, struct zts_sockaddr_storage *addr)
{
    struct zt_ep ep;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (net_id == 0 || ep_family(family) == 0 || addr == NULL)
        return ZTS_ERR_ARG;
    int rc = first_addr(net_id, family, &ep);
    if (rc == ZTS_ERR_OK)
        zts18_ep_storage(&ep, addr);
    return rc;
}

int zts_addr_get_str(uint64_t net_id, unsigned int family, char *dst, unsigned int len)
{
    struct zt_ep ep;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (net_id == 0 || ep_family(family) == 0 || dst == NULL || len < ZTS_INET6_ADDRSTRLEN)
        return ZTS_ERR_ARG;
    int rc = first_addr(net_id, family, &ep);
    if (rc == ZTS_ERR_OK)
        zts18_ep_text(&ep, dst);
    return rc;
}

int zts_addr_get_all(uint64_t net_id, struct zts_sockaddr_storage *addr, unsigned int *count)
{
    struct zt_net_info n;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (net_id == 0 || addr == NULL || count == NULL || *count != ZTS_MAX_ASSIGNED_ADDRESSES)
        return ZTS_ERR_ARG;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK || n.naddrs == 0)
        return rc != ZTS_ERR_OK ? rc : ZTS_ERR_NO_RESULT;
    *count = n.naddrs < ZTS_MAX_ASSIGNED_ADDRESSES ? n.naddrs : ZTS_MAX_ASSIGNED_ADDRESSES;
    for (unsigned i = 0; i < *count; i++)
        zts18_ep_storage(&n.addrs[i], &addr[i]);
    return ZTS_ERR_OK;
}

static int computed(struct zt_ep ep, uint64_t net_id, uint64_t node_id,
                    struct zts_sockaddr_storage *addr)
{
    if (net_id == 0 || node_id == 0 || addr == NULL)
        return ZTS_ERR_ARG;
    ep.port = 0;
    zts18_ep_storage(&ep, addr);
    return ZTS_ERR_OK;
}

int zts_addr_compute_6plane(const uint64_t net_id, const uint64_t node_id,
                            struct zts_sockaddr_storage *addr)
{
    return computed(zt_ep_6plane(net_id, node_id), net_id, node_id, addr);
}

int zts_addr_compute_rfc4193(const uint64_t net_id, const uint64_t node_id,
                             struct zts_sockaddr_storage *addr)
{
    return computed(zt_ep_rfc4193(net_id, node_id), net_id, node_id, addr);
}

static int computed_text(struct zt_ep ep, uint64_t net_id, uint64_t node_id, char *dst,
                         unsigned int len)
{
    if (net_id == 0 || node_id == 0 || dst == NULL || len != ZTS_IP_MAX_STR_LEN)
        return ZTS_ERR_ARG;
    zts18_ep_text(&ep, dst);
    return ZTS_ERR_OK;
}

int zts_addr_compute_6plane_str(uint64_t net_id, uint64_t node_id, char *dst, unsigned int len)
{
    return computed_text(zt_ep_6plane(net_id, node_id), net_id, node_id, dst, len);
}

int zts_addr_compute_rfc4193_str(uint64_t net_id, uint64_t node_id, char *dst, unsigned int len)
{
    return computed_text(zt_ep_rfc4193(net_id, node_id), net_id, node_id, dst, len);
}

int zts_route_is_assigned(uint64_t net_id, unsigned int family)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    for (unsigned i = 0; i < n.nroutes; i++)
        if (ep_family(family) != 0 && n.routes[i].target.family == ep_family(family))
            return 1;
    return 0;
}

/* ---- groups of questions
 * -------------------------------------------------------------------------
 */

int zts_core_lock_obtain(void)
{
    return zts_engine_group_begin();
}

int zts_core_lock_release(void)
{
    return zts_engine_group_end();
}

int zts_core_query_addr_count(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? rc : (int)n.naddrs;
}

int zts_core_query_addr(uint64_t net_id, unsigned int idx, char *addr, unsigned int len)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    if (addr == NULL || len < ZTS_INET6_ADDRSTRLEN || idx >= n.naddrs)
        return ZTS_ERR_ARG;
    zts18_ep_text(&n.addrs[idx], addr);
    return ZTS_ERR_OK;
}

int zts_core_query_route_count(uint64_t net_id)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    return rc != ZTS_ERR_OK ? rc : (int)n.nroutes;
}

int zts_core_query_route(uint64_t net_id, unsigned int idx, char *target, char *via,
                         unsigned int len, uint16_t *flags, uint16_t *metric)
{
    struct zt_net_info n;
    int rc = zts_engine_net(net_id, &n);
    if (rc != ZTS_ERR_OK)
        return rc;
    if (target == NULL || via == NULL || flags == NULL || metric == NULL ||
        len < ZTS_INET6_ADDRSTRLEN || idx >= n.nroutes)
        return ZTS_ERR_ARG;
    const struct zt_route *r = &n.routes[idx];
    zts18_ep_text(&r->target, target);
    zts18_ep_text(&r->via, via);
    *flags = r->flags;
    *metric = r->metric;
    return ZTS_ERR_OK;
}

int zts_core_query_path_count(uint64_t peer_id)
{
    struct zt_peer_info p;
    int rc = zts_engine_peer(peer_id, &p);
    return rc != ZTS_ERR_OK ? rc : (int)p.npaths;
}

int zts_core_query_path(uint64_t peer_id, unsigned int idx, char *dst, unsigned int len)
{
    struct zt_peer_info p;
    int rc = zts_engine_peer(peer_id, &p);
    if (rc != ZTS_ERR_OK)
        return rc;
    if (dst == NULL || len < ZTS_MAX_ENDPOINT_STR_LEN || idx >= p.npaths)
        return ZTS_ERR_ARG;
    char ip[ZTS_IP_MAX_STR_LEN];
    zts18_ep_text(&p.paths[idx].ep, ip);
    snprintf(dst, len, "%s/%u", ip, p.paths[idx].ep.port);
    return ZTS_ERR_OK;
}

int zts_core_query_mc_count(uint64_t net_id)
{
    return zts_engine_groups(net_id, NULL, 0);
}

int zts_core_query_mc(uint64_t net_id, unsigned int idx, uint64_t *mac, uint32_t *adi)
{
    struct zt_group_info g[ZTS_MAX_MULTICAST_SUBSCRIPTIONS];
    int total = zts_engine_groups(net_id, g, ZTS_MAX_MULTICAST_SUBSCRIPTIONS);
    if (total < 0)
        return total;
    if (mac == NULL || adi == NULL || idx >= (unsigned)total ||
        idx >= ZTS_MAX_MULTICAST_SUBSCRIPTIONS)
        return ZTS_ERR_ARG;
    *mac = g[idx].mac;
    *adi = g[idx].adi;
    return ZTS_ERR_OK;
}
