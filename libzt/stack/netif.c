/* Frames between a network and lwIP.
 *
 * Out: lwIP gives a chain of pbufs that starts with the IP header. It is flattened once, into a
 * buffer that has room before it for the Ethernet header and for what vl1 puts before that, so that
 * the frame is sealed where it lies. A packet to one of our own addresses never becomes a frame: a
 * copy waits in a bounded queue and comes back in the next tick, so that lwIP is never entered from
 * its own output.
 *
 * In: one pbuf and one copy a frame, handed straight to the IP layer. Neighbour traffic (ARP,
 * ICMPv6 133 to 137) is kept from lwIP altogether. */
#include "stack/impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "lwip/igmp.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"
#include "lwip/mld6.h"
#include "lwip/pbuf.h"
#include "lwip/stats.h"

struct loop_packet {
    struct zt_list link;
    struct netif *nif;
    struct pbuf *p;
    uint8_t family;
};

struct zt_ep zt_ep_of4(const ip4_addr_t *a)
{
    return zt_ep_make(4, &a->addr, 0);
}

struct zt_ep zt_ep_of6(const ip6_addr_t *a)
{
    return zt_ep_make(6, a->addr, 0);
}

static struct zt_net *net_of(const struct netif *nif)
{
    return ((const struct zt_port *)(const void *)nif)->net;
}

/* --- out ------------------------------------------------------------------------------------ */

void zt_net_emit(struct zt_net *net, uint8_t *eth, size_t n, uint64_t to, uint16_t type)
{
    struct zt_stack *s = net->s;
    zt_put48(eth, to);
    zt_put48(eth + 6, net->mac);
    zt_put16(eth + 12, type);
    if (s->host.frame(s->host.user, net->nwid, eth, n) != 0)
        LINK_STATS_INC(link.drop);
    else
        LINK_STATS_INC(link.xmit);
}

static uint8_t *flatten(struct zt_net *net, struct pbuf *p, size_t *n)
{
    uint8_t *eth = net->s->frame + ZT_FRAME_HEADROOM;
    if (p->tot_len > NET_MTU_MAX) {
        LINK_STATS_INC(link.lenerr);
        return NULL;
    }
    pbuf_copy_partial(p, eth + ETH_HEADER, p->tot_len, 0);
    *n = (size_t)ETH_HEADER + p->tot_len;
    return eth;
}

static err_t loop_back(struct zt_stack *s, struct netif *nif, struct pbuf *p, uint8_t family)
{
    struct loop_packet *l;
    if (s->loop_bytes + p->tot_len > LOOP_BYTES_MAX) {
        LINK_STATS_INC(link.drop);
        return ERR_MEM;
    }
    l = malloc(sizeof *l);
    struct pbuf *copy = pbuf_alloc(PBUF_RAW, p->tot_len, PBUF_RAM);
    if (l == NULL || copy == NULL) {
        free(l);
        if (copy != NULL)
            pbuf_free(copy);
        LINK_STATS_INC(link.memerr);
        return ERR_MEM;
    }
    pbuf_copy_partial(p, copy->payload, p->tot_len, 0);
    *l = (struct loop_packet){.nif = nif, .p = copy, .family = family};
    zt_list_init(&l->link);
    zt_list_push_back(&s->loop, &l->link);
    s->loop_bytes += p->tot_len;
    zt_stack_arm(s, &s->loopback, s->now_ms);
    return ERR_OK;
}

static void loop_free(struct zt_stack *s, struct loop_packet *l)
{
    s->loop_bytes -= l->p->tot_len;
    zt_list_remove(&l->link);
    free(l);
}

void zt_loop_clear(struct zt_stack *s, const struct netif *nif)
{
    ZT_LIST_EACH(it, &s->loop)
    {
        struct loop_packet *l = ZT_CONTAINER(it, struct loop_packet, link);
        if (nif == NULL || l->nif == nif) {
            struct pbuf *p = l->p;
            loop_free(s, l);
            pbuf_free(p);
        }
    }
}

/* What arrives while these are delivered waits for the next tick: a loop that feeds itself must not
 * keep the thread. */
void zt_loop_deliver(struct zt_stack *s)
{
    struct zt_list *last = s->loop.prev;
    bool more = !zt_list_empty(&s->loop);
    while (more && !zt_list_empty(&s->loop)) {
        struct loop_packet *l = ZT_CONTAINER(s->loop.next, struct loop_packet, link);
        struct netif *nif = l->nif;
        struct pbuf *p = l->p;
        uint8_t family = l->family;
        more = &l->link != last;
        loop_free(s, l);
        (void)(family == 4 ? ip4_input(p, nif) : ip6_input(p, nif));
    }
    if (!zt_list_empty(&s->loop))
        zt_stack_arm(s, &s->loopback, s->now_ms);
}

/* The neighbour a packet goes to, without walking prefixes and hashing keys each time. */
static struct zt_neigh *neighbour(struct zt_net *net, const struct zt_ep *dst)
{
    struct zt_stack *s = net->s;
    struct zt_out_slot *c = &s->out_cache[zt_ep_hash(dst) % ROUTE_CACHE];
    if (c->generation == s->generation && c->net == net && zt_ep_equal(&c->dst, dst))
        return c->neigh;
    struct zt_ep hop = zt_route_hop(net, dst);
    struct zt_neigh *ne = zt_neigh_find(net, &hop);
    /* Finding may have evicted another one: the generation is read afterwards. */
    if (ne != NULL)
        *c = (struct zt_out_slot){s->generation, net, *dst, ne};
    return ne;
}

static err_t output_unicast(struct zt_net *net, struct pbuf *p, const struct zt_ep *dst,
                            uint16_t type)
{
    size_t n;
    struct zt_neigh *ne = neighbour(net, dst);
    if (ne == NULL) {
        LINK_STATS_INC(link.memerr);
        return ERR_MEM;
    }
    uint8_t *eth = flatten(net, p, &n);
    return eth == NULL ? ERR_BUF : zt_neigh_send(net, ne, eth, n, type);
}

static err_t output_multi(struct zt_net *net, struct pbuf *p, uint64_t mac, uint16_t type)
{
    size_t n;
    uint8_t *eth = flatten(net, p, &n);
    if (eth == NULL)
        return ERR_BUF;
    zt_net_emit(net, eth, n, mac, type);
    return ERR_OK;
}

static uint64_t multicast_mac4(const ip4_addr_t *a)
{
    return 0x01005e000000ULL | (lwip_ntohl(a->addr) & 0x7fffff);
}

static uint64_t multicast_mac6(const ip6_addr_t *a)
{
    return 0x333300000000ULL | lwip_ntohl(a->addr[3]);
}

static err_t output4(struct netif *nif, struct pbuf *p, const ip4_addr_t *to)
{
    struct zt_net *net = net_of(nif);
    if (ip4_addr_isbroadcast(to, nif))
        return output_multi(net, p, ZT_MAC_BROADCAST, ETH_IPV4);
    if (ip4_addr_ismulticast(to))
        return output_multi(net, p, multicast_mac4(to), ETH_IPV4);
    struct zt_ep dst = zt_ep_of4(to);
    if (zt_net_owns(net, &dst))
        return loop_back(net->s, nif, p, 4);
    return output_unicast(net, p, &dst, ETH_IPV4);
}

static err_t output6(struct netif *nif, struct pbuf *p, const ip6_addr_t *to)
{
    struct zt_net *net = net_of(nif);
    if (ip6_addr_ismulticast(to))
        return output_multi(net, p, multicast_mac6(to), ETH_IPV6);
    struct zt_ep dst = zt_ep_of6(to);
    if (zt_net_owns(net, &dst))
        return loop_back(net->s, nif, p, 6);
    return output_unicast(net, p, &dst, ETH_IPV6);
}

/* --- groups --------------------------------------------------------------------------------- */

/* Several IP groups may share a MAC; vl2 keeps a set, so the last one that leaves must be known. */
static bool other_group4(struct netif *nif, const ip4_addr_t *group)
{
    for (struct igmp_group *g = netif_igmp_data(nif); g != NULL; g = g->next)
        if (!ip4_addr_cmp(&g->group_address, group) &&
            multicast_mac4(&g->group_address) == multicast_mac4(group))
            return true;
    return false;
}

static bool other_group6(struct netif *nif, const ip6_addr_t *group)
{
    for (struct mld_group *g = netif_mld6_data(nif); g != NULL; g = g->next)
        if (!ip6_addr_cmp_zoneless(&g->group_address, group) &&
            multicast_mac6(&g->group_address) == multicast_mac6(group))
            return true;
    return false;
}

static void subscribe(struct netif *nif, uint64_t mac, enum netif_mac_filter_action action)
{
    struct zt_net *net = net_of(nif);
    struct zt_stack *s = net->s;
    s->host.subscribe(s->host.user, net->nwid, mac, 0, action == NETIF_ADD_MAC_FILTER);
    zt_stack_arm(s, &s->groups, s->now_ms + 100); /* its report is to be sent */
}

static err_t filter4(struct netif *nif, const ip4_addr_t *group,
                     enum netif_mac_filter_action action)
{
    if (!other_group4(nif, group))
        subscribe(nif, multicast_mac4(group), action);
    return ERR_OK;
}

static err_t filter6(struct netif *nif, const ip6_addr_t *group,
                     enum netif_mac_filter_action action)
{
    if (!other_group6(nif, group))
        subscribe(nif, multicast_mac6(group), action);
    return ERR_OK;
}

err_t zt_port_init(struct netif *nif)
{
    struct zt_net *net = net_of(nif);
    bool first = net->port[0] == NULL || &net->port[0]->nif == nif;
    nif->name[0] = 'z';
    nif->name[1] = 't';
    nif->hwaddr_len = 6;
    zt_put48(nif->hwaddr, net->mac);
    nif->mtu = (u16_t)net->mtu;
    nif->output = output4;
    nif->output_ip6 = output6;
    nif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_LINK_UP;
    if (first) { /* the others only carry one more IPv4 address */
        nif->flags |= NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
        netif_set_igmp_mac_filter(nif, filter4);
        netif_set_mld_mac_filter(nif, filter6);
    }
    return ERR_OK;
}

/* --- in ------------------------------------------------------------------------------------- */

static void reassembly_starts(struct zt_stack *s)
{
    /* Both reassemblers count whole seconds; one more than the longest life empties them. */
    s->reassembly_until_ms = s->now_ms + 1000 * (IP_REASS_MAXAGE + 2);
    zt_stack_arm(s, &s->reassembly, s->now_ms + 1000);
}

/* Nothing from outside comes from one of our own addresses or from loopback, which programs may
 * trust. */
static bool is_from_elsewhere(struct zt_net *net, const struct zt_ep *from, const uint8_t *eth)
{
    if (zt_neigh_hint(net, from, zt_be48(eth + 6)))
        return true;
    LINK_STATS_INC(link.proterr);
    return false;
}

/* Is it for lwIP? Takes out what is ours, notes what needs a timer. */
static bool look4(struct zt_net *net, const uint8_t *eth, size_t n)
{
    const uint8_t *ip = eth + ETH_HEADER;
    if (n < ETH_HEADER + 20 || ip[0] >> 4 != 4) {
        LINK_STATS_INC(link.lenerr);
        return false;
    }
    struct zt_ep from = zt_ep_make(4, ip + 12, 0);
    if (!is_from_elsewhere(net, &from, eth))
        return false;
    if ((zt_be16(ip + 6) & 0x3fff) != 0)
        reassembly_starts(net->s);
    if (ip[9] == 2) /* IGMP: a query sets timers */
        zt_stack_arm(net->s, &net->s->groups, net->s->now_ms + 100);
    return true;
}

/* Is there a fragment header behind the other extension headers? */
static bool has_fragment6(const uint8_t *ip, size_t n)
{
    size_t at = 40;
    uint8_t next = ip[6];
    while ((next == 0 || next == 43 || next == 60) && at + 8 <= n) {
        next = ip[at];
        at += 8 + (size_t)ip[at + 1] * 8;
    }
    return next == 44;
}

static bool look6(struct zt_net *net, const uint8_t *eth, size_t n)
{
    const uint8_t *ip = eth + ETH_HEADER;
    if (n < ETH_HEADER + 40 || ip[0] >> 4 != 6) {
        LINK_STATS_INC(link.lenerr);
        return false;
    }
    uint8_t next = ip[6];
    if (next == 58 && n > ETH_HEADER + 40) {
        uint8_t type = ip[40];
        if (type >= 133 && type <= 137) {
            zt_neigh_nd(net, eth, n);
            return false;
        }
    }
    struct zt_ep from = zt_ep_make(6, ip + 8, 0);
    if (!is_from_elsewhere(net, &from, eth))
        return false;
    if (has_fragment6(ip, n - ETH_HEADER))
        reassembly_starts(net->s);
    if (next == 0) /* hop-by-hop: perhaps a listener query */
        zt_stack_arm(net->s, &net->s->groups, net->s->now_ms + 100);
    return true;
}

void zt_net_input(struct zt_net *net, const uint8_t *eth, size_t n)
{
    struct zt_stack *s = net->s;
    if (n < ETH_HEADER || n > ETH_HEADER + 65535u)
        goto drop;
    uint64_t to = zt_be48(eth);
    if (to != net->mac && !zt_mac_is_multicast(to))
        goto drop;
    uint16_t type = zt_be16(eth + 12);
    LINK_STATS_INC(link.recv);
    if (type == ETH_ARP) {
        zt_neigh_arp(net, eth, n);
        return;
    }
    if (type != ETH_IPV4 && type != ETH_IPV6) {
        LINK_STATS_INC(link.proterr);
        return;
    }
    if (!(type == ETH_IPV4 ? look4(net, eth, n) : look6(net, eth, n)))
        return;
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(n - ETH_HEADER), PBUF_RAM);
    if (p == NULL) {
        LINK_STATS_INC(link.memerr);
        return;
    }
    memcpy(p->payload, eth + ETH_HEADER, n - ETH_HEADER);
    if (zt_mac_is_multicast(to))
        p->flags |= to == ZT_MAC_BROADCAST ? PBUF_FLAG_LLBCAST : PBUF_FLAG_LLMCAST;
    (void)(type == ETH_IPV4 ? ip4_input(p, &net->port[0]->nif) : ip6_input(p, &net->port[0]->nif));
    zt_stack_kick(s);
    return;
drop:
    LINK_STATS_INC(link.drop);
}
