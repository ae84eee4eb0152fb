/* Which interface a packet leaves by, and who is its next hop.
 *
 * Candidates are the prefixes of our own addresses (on-link) and the managed routes of every
 * network; the longest prefix wins, then the lower metric, then the older network. Routes change
 * rarely and packets are many: a small direct-mapped cache by (source, destination) keeps the walk
 * off the data path; every change makes all of it void by a new generation.
 *
 * Whether a default route is among them is the owner's choice (node/netset.c). */
#include "stack/impl.h"

#include "lwip/ip4_addr.h"
#include "lwip/ip6_addr.h"
#include "stack/hooks.h"

static bool is_link_local6(const struct zt_ep *ep)
{
    return ep->family == 6 && ep->ip[0] == 0xfe && (ep->ip[1] & 0xc0) == 0x80;
}

static bool is_multicast(const struct zt_ep *ep)
{
    return ep->family == 6 ? ep->ip[0] == 0xff : (ep->ip[0] & 0xf0) == 0xe0;
}

bool zt_net_owns(const struct zt_net *net, const struct zt_ep *ip)
{
    if (ip->family == 4) {
        for (unsigned i = 0; i < NET_IPV4_MAX; i++)
            if (zt_ep_same_ip(&net->addr4[i], ip))
                return true;
    } else {
        for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
            if (zt_ep_same_ip(&net->addr6[i], ip))
                return true;
    }
    return false;
}

bool zt_net_on_link(const struct zt_net *net, const struct zt_ep *ip)
{
    if (ip->family == 4) {
        for (unsigned i = 0; i < NET_IPV4_MAX; i++)
            if (zt_ep_in_prefix(&net->addr4[i], ip))
                return true;
    } else {
        for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
            if (zt_ep_in_prefix(&net->addr6[i], ip))
                return true;
    }
    for (unsigned i = 0; i < net->nroutes; i++)
        if (net->routes[i].via.family == 0 && zt_ep_in_prefix(&net->routes[i].target, ip))
            return true;
    return false;
}

/* The interface of `net` to send to dst from: that of the source address if one is given, else of
 * the address whose prefix dst is in, else of the first address. */
static struct netif *port_for(struct zt_net *net, const struct zt_ep *src, const struct zt_ep *dst)
{
    struct zt_port *first = NULL, *near = NULL;
    if (dst->family == 6)
        return &net->port[0]->nif;
    for (unsigned i = 0; i < NET_IPV4_MAX; i++) {
        if (net->addr4[i].family == 0)
            continue;
        if (src->family == 4 && zt_ep_same_ip(&net->addr4[i], src))
            return &net->port[i]->nif;
        if (near == NULL && zt_ep_in_prefix(&net->addr4[i], dst))
            near = net->port[i];
        if (first == NULL)
            first = net->port[i];
    }
    if (near == NULL)
        near = first;
    return near != NULL ? &near->nif : NULL;
}

/* Longest matching prefix of one network, in bits, or -1; *via is set for a gateway route. */
static int best_prefix(const struct zt_net *net, const struct zt_ep *dst, unsigned *metric,
                       const struct zt_ep **via)
{
    int best = -1;
    unsigned n = dst->family == 4 ? NET_IPV4_MAX : LWIP_IPV6_NUM_ADDRESSES;
    const struct zt_ep *a = dst->family == 4 ? net->addr4 : net->addr6;
    *metric = 0;
    *via = NULL;
    for (unsigned i = 0; i < n; i++)
        if (zt_ep_in_prefix(&a[i], dst) && a[i].port > best)
            best = a[i].port;
    for (unsigned i = 0; i < net->nroutes; i++) {
        const struct zt_route *r = &net->routes[i];
        if (!zt_ep_in_prefix(&r->target, dst))
            continue;
        if (r->via.family != 0 && (r->via.family != dst->family || zt_net_owns(net, &r->via)))
            continue;
        if (r->target.port > best || (r->target.port == best && r->metric < *metric)) {
            best = r->target.port;
            *metric = r->metric;
            *via = r->via.family != 0 ? &r->via : NULL;
        }
    }
    return best;
}

struct zt_ep zt_route_hop(const struct zt_net *net, const struct zt_ep *dst)
{
    unsigned metric;
    const struct zt_ep *via;
    struct zt_ep hop = *dst;
    if (best_prefix(net, dst, &metric, &via) >= 0 && via != NULL)
        hop = *via;
    hop.port = 0;
    return hop;
}

/* Multicast, broadcast and link-local destinations have no prefix of their own: the source address
 * tells the network; without one it is the only network, or the oldest. */
static struct zt_net *net_by_source(struct zt_stack *s, const struct zt_ep *src, bool or_first)
{
    ZT_LIST_EACH(it, &s->nets)
    {
        struct zt_net *net = ZT_CONTAINER(it, struct zt_net, link);
        if (src->family != 0 && zt_net_owns(net, src))
            return net;
    }
    return or_first && !zt_list_empty(&s->nets) ? ZT_CONTAINER(s->nets.next, struct zt_net, link)
                                                : NULL;
}

static void find_slow(struct zt_stack *s, const struct zt_ep *src, const struct zt_ep *dst,
                      struct zt_route_hit *hit)
{
    static const struct zt_ep all_ones = {.family = 4, .ip = {255, 255, 255, 255}};
    int best = -1;
    unsigned best_metric = 0;
    *hit = (struct zt_route_hit){.hop = *dst};
    if (is_multicast(dst) || is_link_local6(dst) || zt_ep_same_ip(dst, &all_ones)) {
        hit->net = net_by_source(s, src, true);
        hit->is_local = hit->net != NULL && zt_net_owns(hit->net, dst);
        hit->nif = hit->net != NULL ? port_for(hit->net, src, dst) : NULL;
        return;
    }
    ZT_LIST_EACH(it, &s->nets)
    {
        struct zt_net *net = ZT_CONTAINER(it, struct zt_net, link);
        const struct zt_ep *via;
        unsigned metric;
        if (zt_net_owns(net, dst)) {
            *hit = (struct zt_route_hit){.net = net, .hop = *dst, .is_local = true};
            hit->nif = port_for(net, dst, dst);
            return;
        }
        int bits = best_prefix(net, dst, &metric, &via);
        /* A source address that lives here settles it between equal prefixes of two networks. */
        bool tie = bits == best && bits >= 0 &&
                   (metric < best_metric || (src->family != 0 && zt_net_owns(net, src)));
        if (bits > best || tie) {
            struct netif *nif = port_for(net, src, dst);
            if (nif == NULL)
                continue;
            best = bits;
            best_metric = metric;
            hit->net = net;
            hit->nif = nif;
            hit->hop = via != NULL ? *via : *dst;
        }
    }
    hit->hop.port = 0;
}

void zt_route_find(struct zt_stack *s, const struct zt_ep *src, const struct zt_ep *dst,
                   struct zt_route_hit *hit)
{
    struct zt_route_slot *c =
        &s->route_cache[(zt_ep_hash(dst) ^ zt_ep_hash(src) >> 7) % ROUTE_CACHE];
    if (c->generation != s->generation || !zt_ep_equal(&c->dst, dst) ||
        !zt_ep_equal(&c->src, src)) {
        c->generation = s->generation;
        c->src = *src;
        c->dst = *dst;
        find_slow(s, src, dst, &c->hit);
    }
    *hit = c->hit;
}

struct netif *zt_lwip_route4(const ip4_addr_t *src, const ip4_addr_t *dst)
{
    struct zt_ep from = {0}, to = zt_ep_of4(dst);
    struct zt_route_hit hit;
    if (src != NULL && !ip4_addr_isany(src))
        from = zt_ep_of4(src);
    zt_route_find(zt_stack_current(), &from, &to, &hit);
    return hit.nif;
}

struct netif *zt_lwip_route6(const ip6_addr_t *src, const ip6_addr_t *dst)
{
    struct zt_ep from = {0}, to = zt_ep_of6(dst);
    struct zt_route_hit hit;
    if (src != NULL && !ip6_addr_isany(src))
        from = zt_ep_of6(src);
    zt_route_find(zt_stack_current(), &from, &to, &hit);
    return hit.nif;
}

static struct zt_ep bare(const struct zt_ep *ip)
{
    struct zt_ep ep = *ip;
    ep.port = 0;
    return ep;
}

bool zt_stack_is_local(const struct zt_stack *s, const struct zt_ep *ip)
{
    ZT_LIST_EACH(it, &s->nets)
    {
        if (zt_net_owns(ZT_CONTAINER(it, struct zt_net, link), ip))
            return true;
    }
    return false;
}

bool zt_stack_routes(const struct zt_stack *s, const struct zt_ep *ip, uint64_t *nwid)
{
    struct zt_ep none = {0}, dst = bare(ip);
    struct zt_route_hit hit;
    if (is_multicast(&dst) || is_link_local6(&dst))
        return false;
    find_slow((struct zt_stack *)s, &none, &dst, &hit);
    if (hit.nif != NULL && nwid != NULL)
        *nwid = hit.net->nwid;
    return hit.nif != NULL;
}
