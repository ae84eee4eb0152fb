/* Neighbours: the MAC address behind an IP address, for IPv4 (ARP) and IPv6 (neighbour discovery).
 *
 * An entry is
 * - DERIVED: the address carries its node's address (6plane, RFC 4193, EUI-64 link-local): the MAC
 *   is computed, nothing is ever asked;
 * - ASKING: requests go out at 0, 100, 400, 1400 and 3400 ms; packets wait, bounded per entry and
 *   in all; without an answer 2 s later the entry and its packets go, and their sockets are told
 *   (EHOSTUNREACH). The next packet asks anew;
 * - KNOWN: an answer came, or a neighbour asked us, or sent us something while we knew nothing
 *   better. After FRESH_MS of age the next use asks again (REFRESHING);
 * - REFRESHING: the old MAC is used meanwhile; no answer: the entry goes.
 *
 * The table is bounded: the least recently used entry makes room. Keys are SipHash of network and
 * address, so a stranger cannot aim at places. A neighbour may change the MAC of its address by ARP
 * or ND only (as everywhere on Ethernet; vl2 has authenticated the frame's sender); ordinary
 * packets are a hint for unknown addresses alone.
 *
 * Multicast for both protocols is turned into the network's address-resolution groups by vl2. */
#include "stack/impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "lwip/inet_chksum.h"
#include "lwip/stats.h"
#include "stack/port.h"

#define NEIGH_MAX 16384
#define FRESH_MS 300000
#define WAITING_BYTES_MAX (128u << 10) /* one entry: two full datagrams in fragments */
#define WAITING_TOTAL_MAX (4u << 20)

static const int ask_again_ms[] = {100, 300, 1000, 2000, 2000}; /* the last one: give up */
#define ASKS ((unsigned)(sizeof ask_again_ms / sizeof ask_again_ms[0]))

enum state { DERIVED, ASKING, KNOWN, REFRESHING };

struct waiting {
    struct waiting *next;
    size_t n; /* frame bytes, after the headroom */
    uint16_t type;
    uint8_t bytes[];
};

struct zt_neigh {
    struct zt_list lru, of_net;
    struct zt_timer timer; /* while asking */
    struct zt_net *net;
    uint64_t key, mac;
    struct zt_ep ip;
    enum state state;
    unsigned asked;
    int64_t fresh_until_ms;
    struct waiting *first, **last;
    size_t waiting_bytes;
};

void zt_neigh_init(struct zt_stack *s)
{
    uint64_t seed;
    s->host.random(s->host.user, &seed, sizeof seed);
    zt_map_init(&s->neighs, seed);
    zt_list_init(&s->neigh_lru);
}

static uint64_t key_of(const struct zt_net *net, const struct zt_ep *ip)
{
    uint8_t b[8 + 17];
    zt_put64(b, net->nwid);
    b[8] = ip->family;
    memcpy(b + 9, ip->ip, 16);
    return zt_siphash(net->s->key, b, sizeof b);
}

static void drop_waiting(struct zt_neigh *ne)
{
    struct waiting *w = ne->first;
    while (w != NULL) {
        struct waiting *next = w->next;
        free(w);
        LINK_STATS_INC(link.drop);
        w = next;
    }
    ne->net->s->neigh_waiting_bytes -= ne->waiting_bytes;
    ne->waiting_bytes = 0;
    ne->first = NULL;
    ne->last = &ne->first;
}

static void forget(struct zt_neigh *ne)
{
    struct zt_stack *s = ne->net->s;
    drop_waiting(ne);
    zt_heap_remove(&s->timers, &ne->timer);
    zt_map_del(&s->neighs, ne->key);
    zt_list_remove(&ne->lru);
    zt_list_remove(&ne->of_net);
    s->neigh_count--;
    s->generation++; /* the output cache may point here */
    free(ne);
}

void zt_neigh_forget(struct zt_net *net)
{
    while (!zt_list_empty(&net->neighs))
        forget(ZT_CONTAINER(net->neighs.next, struct zt_neigh, of_net));
}

void zt_neigh_fini(struct zt_stack *s)
{
    assert(zt_list_empty(&s->neigh_lru)); /* networks are removed before */
    zt_map_fini(&s->neighs);
}

/* MAC of an address that carries it, or 0. */
static uint64_t derive(const struct zt_net *net, const struct zt_ep *ip)
{
    const uint8_t *b = ip->ip;
    if (ip->family != 6)
        return 0;
    if (b[0] == 0xfc) { /* 6plane: the whole /80 is the node's */
        uint64_t node = zt_be40(b + 5);
        struct zt_ep own = zt_ep_6plane(net->nwid, node);
        return memcmp(own.ip, b, 10) == 0 && !zt_addr_reserved(node) ? zt_mac_of(node, net->nwid)
                                                                     : 0;
    }
    if (b[0] == 0xfd) {
        uint64_t node = zt_be40(b + 11);
        struct zt_ep own = zt_ep_rfc4193(net->nwid, node);
        return memcmp(own.ip, b, 16) == 0 && !zt_addr_reserved(node) ? zt_mac_of(node, net->nwid)
                                                                     : 0;
    }
    if (b[0] == 0xfe && b[1] == 0x80 && b[11] == 0xff && b[12] == 0xfe &&
        (b[8] ^ 2) == zt_mac_first(net->nwid))
        return (uint64_t)(b[8] ^ 2) << 40 | (uint64_t)b[9] << 32 | (uint64_t)b[10] << 24 |
               zt_be32(b + 12) % (1u << 24);
    return 0;
}

static struct zt_neigh *get(struct zt_net *net, const struct zt_ep *ip)
{
    struct zt_neigh *ne = zt_map_get(&net->s->neighs, key_of(net, ip));
    return ne != NULL && ne->net == net && zt_ep_same_ip(&ne->ip, ip) ? ne : NULL;
}

static void on_timer(void *user, struct zt_timer *t);

static struct zt_neigh *add(struct zt_net *net, const struct zt_ep *ip)
{
    struct zt_stack *s = net->s;
    uint64_t key = key_of(net, ip);
    struct zt_neigh *ne = zt_map_get(&s->neighs, key);
    if (ne != NULL) /* 64 bits of a keyed hash met by chance: the newer one has it */
        forget(ne);
    if (s->neigh_count >= NEIGH_MAX)
        forget(ZT_CONTAINER(s->neigh_lru.next, struct zt_neigh, lru));
    ne = calloc(1, sizeof *ne);
    if (ne == NULL || zt_map_put(&s->neighs, key, ne) != 0) {
        free(ne);
        return NULL;
    }
    ne->net = net;
    ne->key = key;
    ne->ip = *ip;
    ne->ip.port = 0;
    ne->last = &ne->first;
    ne->state = ASKING;
    ne->timer.fire = on_timer;
    zt_list_init(&ne->lru);
    zt_list_init(&ne->of_net);
    zt_list_push_back(&s->neigh_lru, &ne->lru);
    zt_list_push_back(&net->neighs, &ne->of_net);
    s->neigh_count++;
    return ne;
}

/* --- asking --------------------------------------------------------------------------------- */

static void own_address(const struct zt_net *net, const struct zt_ep *for_ip, struct zt_ep *out)
{
    const struct zt_ep *a = for_ip->family == 4 ? net->addr4 : net->addr6;
    unsigned n = for_ip->family == 4 ? NET_IPV4_MAX : LWIP_IPV6_NUM_ADDRESSES;
    *out = (struct zt_ep){0};
    for (unsigned i = 0; i < n; i++) {
        if (a[i].family == 0)
            continue;
        if (out->family == 0 || zt_ep_in_prefix(&a[i], for_ip))
            *out = a[i];
        if (zt_ep_in_prefix(&a[i], for_ip))
            return;
    }
}

static void arp_send(struct zt_net *net, uint16_t op, uint64_t to, const struct zt_ep *from_ip,
                     uint64_t target_mac, const uint8_t *target_ip)
{
    uint8_t buf[ZT_FRAME_HEADROOM + ETH_HEADER + 28];
    uint8_t *eth = buf + ZT_FRAME_HEADROOM, *a = eth + ETH_HEADER;
    zt_put16(a, 1);
    zt_put16(a + 2, ETH_IPV4);
    a[4] = 6;
    a[5] = 4;
    zt_put16(a + 6, op);
    zt_put48(a + 8, net->mac);
    memcpy(a + 14, from_ip->ip, 4);
    zt_put48(a + 18, target_mac);
    memcpy(a + 24, target_ip, 4);
    ETHARP_STATS_INC(etharp.xmit);
    zt_net_emit(net, eth, ETH_HEADER + 28, to, ETH_ARP);
}

/* Neighbour solicitation (135) or advertisement (136) with one link-layer address option. */
static void nd_send(struct zt_net *net, uint8_t type, uint32_t flags, uint64_t to,
                    const uint8_t *src, const uint8_t *dst, const uint8_t *target)
{
    uint8_t buf[ZT_FRAME_HEADROOM + ETH_HEADER + 72] = {0};
    uint8_t *eth = buf + ZT_FRAME_HEADROOM, *ip = eth + ETH_HEADER, *icmp = ip + 40;
    ip[0] = 0x60;
    zt_put16(ip + 4, 32);
    ip[6] = 58;
    ip[7] = 255;
    memcpy(ip + 8, src, 16);
    memcpy(ip + 24, dst, 16);
    icmp[0] = type;
    zt_put32(icmp + 4, flags);
    memcpy(icmp + 8, target, 16);
    icmp[24] = type == 135 ? 1 : 2;
    icmp[25] = 1;
    zt_put48(icmp + 26, net->mac);
    /* Pseudo header: the addresses lie before the message; length and protocol are 32 and 58. */
    uint32_t sum = zt_lwip_chksum(ip + 8, 32 + 32) + (uint32_t)lwip_htons(32 + 58);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    uint16_t check = (uint16_t)~sum;
    memcpy(icmp + 2, &check, 2);
    ND6_STATS_INC(nd6.xmit);
    zt_net_emit(net, eth, ETH_HEADER + 72, to, ETH_IPV6);
}

static void ask(struct zt_neigh *ne)
{
    struct zt_net *net = ne->net;
    struct zt_ep own;
    own_address(net, &ne->ip, &own);
    if (own.family == 4) {
        arp_send(net, 1, ZT_MAC_BROADCAST, &own, 0, ne->ip.ip);
    } else if (own.family == 6) {
        uint8_t group[16] = {0xff, 0x02, [11] = 1, [12] = 0xff};
        memcpy(group + 13, ne->ip.ip + 13, 3);
        nd_send(net, 135, 0, 0x333300000000ULL | zt_be32(group + 12), own.ip, group, ne->ip.ip);
    }
    /* Out of memory for the timer: the entry just stays as it is; the next use asks again. */
    if (zt_heap_set(&net->s->timers, &ne->timer, net->s->now_ms + ask_again_ms[ne->asked]) == 0)
        ne->asked++;
}

static void on_timer(void *user, struct zt_timer *t)
{
    struct zt_neigh *ne = ZT_CONTAINER(t, struct zt_neigh, timer);
    if (ne->asked < ASKS) {
        ask(ne);
        return;
    }
    /* Out of the table first: whoever is told may send again, and gets a new entry. */
    struct zt_stack *s = ne->net->s;
    struct waiting *w = ne->first;
    s->neigh_waiting_bytes -= ne->waiting_bytes;
    ne->waiting_bytes = 0;
    ne->first = NULL;
    ne->last = &ne->first;
    forget(ne);
    while (w != NULL) {
        struct waiting *next = w->next;
        LINK_STATS_INC(link.drop);
        if (s->host.unreachable != NULL)
            s->host.unreachable(s->host.user, w->bytes + ZT_FRAME_HEADROOM + ETH_HEADER,
                                w->n - ETH_HEADER);
        free(w);
        w = next;
    }
}

static void known(struct zt_neigh *ne, uint64_t mac)
{
    struct zt_net *net = ne->net;
    struct zt_stack *s = net->s;
    ne->mac = mac;
    ne->state = KNOWN;
    ne->asked = 0;
    ne->fresh_until_ms = s->now_ms + FRESH_MS;
    zt_heap_remove(&s->timers, &ne->timer);
    struct waiting *w = ne->first;
    ne->first = NULL;
    ne->last = &ne->first;
    s->neigh_waiting_bytes -= ne->waiting_bytes;
    ne->waiting_bytes = 0;
    while (w != NULL) {
        struct waiting *next = w->next;
        zt_net_emit(net, w->bytes + ZT_FRAME_HEADROOM, w->n, mac, w->type);
        free(w);
        w = next;
    }
}

/* --- what output calls ---------------------------------------------------------------------- */

struct zt_neigh *zt_neigh_find(struct zt_net *net, const struct zt_ep *ip)
{
    struct zt_neigh *ne = get(net, ip);
    if (ne == NULL) {
        ne = add(net, ip);
        if (ne == NULL)
            return NULL;
        ne->mac = derive(net, ip);
        if (ne->mac != 0)
            ne->state = DERIVED;
    }
    return ne;
}

uint64_t zt_neigh_mac(struct zt_net *net, const struct zt_ep *ip)
{
    const struct zt_neigh *ne = get(net, ip);
    return ne != NULL ? ne->mac : 0;
}

static err_t wait_for(struct zt_neigh *ne, const uint8_t *eth, size_t n, uint16_t type)
{
    struct zt_stack *s = ne->net->s;
    if (ne->waiting_bytes + n > WAITING_BYTES_MAX ||
        s->neigh_waiting_bytes + n > WAITING_TOTAL_MAX) {
        LINK_STATS_INC(link.drop);
        return ERR_OK; /* as if lost on the way: an error would not make it wait */
    }
    struct waiting *w = malloc(sizeof *w + ZT_FRAME_HEADROOM + n);
    if (w == NULL)
        return ERR_MEM;
    w->next = NULL;
    w->n = n;
    w->type = type;
    memcpy(w->bytes + ZT_FRAME_HEADROOM, eth, n);
    *ne->last = w;
    ne->last = &w->next;
    ne->waiting_bytes += n;
    s->neigh_waiting_bytes += n;
    return ERR_OK;
}

err_t zt_neigh_send(struct zt_net *net, struct zt_neigh *ne, uint8_t *eth, size_t n, uint16_t type)
{
    struct zt_stack *s = net->s;
    zt_list_remove(&ne->lru);
    zt_list_push_back(&s->neigh_lru, &ne->lru);
    if (ne->state == ASKING) {
        err_t e = wait_for(ne, eth, n, type);
        if (ne->asked == 0)
            ask(ne);
        return e;
    }
    uint64_t mac = ne->mac;
    if (ne->state != DERIVED && ne->asked == 0 && s->now_ms >= ne->fresh_until_ms) {
        ne->state = REFRESHING;
        ask(ne); /* clobbers nothing: it has its own buffer */
    }
    zt_net_emit(net, eth, n, mac, type);
    return ERR_OK;
}

/* --- what comes in -------------------------------------------------------------------------- */

static bool is_loopback(const struct zt_ep *ip)
{
    static const uint8_t one[16] = {[15] = 1};
    return ip->family == 4 ? ip->ip[0] == 127 : memcmp(ip->ip, one, 16) == 0;
}

bool zt_neigh_hint(struct zt_net *net, const struct zt_ep *ip, uint64_t mac)
{
    struct zt_neigh *ne = get(net, ip);
    if (ne == NULL) {
        if (is_loopback(ip) || zt_stack_is_local(net->s, ip))
            return false;
        if (zt_mac_is_multicast(mac) || !zt_net_on_link(net, ip) || derive(net, ip) != 0)
            return true;
        ne = add(net, ip);
    }
    if (ne != NULL && ne->state == ASKING && !zt_mac_is_multicast(mac))
        known(ne, mac);
    return true;
}

/* A neighbour says where an address is. Unasked news only updates what we have, except from one
 * that asks us something, which is about to talk to us. */
static void told(struct zt_net *net, const struct zt_ep *ip, uint64_t mac, bool create)
{
    if (zt_mac_is_multicast(mac) || mac == 0 || !zt_net_on_link(net, ip) || zt_net_owns(net, ip))
        return;
    struct zt_neigh *ne = get(net, ip);
    if (ne == NULL && create && derive(net, ip) == 0)
        ne = add(net, ip);
    if (ne != NULL && ne->state != DERIVED)
        known(ne, mac);
}

void zt_neigh_arp(struct zt_net *net, const uint8_t *eth, size_t n)
{
    const uint8_t *a = eth + ETH_HEADER;
    ETHARP_STATS_INC(etharp.recv);
    if (n < ETH_HEADER + 28 || zt_be16(a) != 1 || zt_be16(a + 2) != ETH_IPV4 || a[4] != 6 ||
        a[5] != 4) {
        ETHARP_STATS_INC(etharp.drop);
        return;
    }
    uint16_t op = zt_be16(a + 6);
    uint64_t sender_mac = zt_be48(a + 8);
    struct zt_ep sender = zt_ep_make(4, a + 14, 0), target = zt_ep_make(4, a + 24, 0);
    if (sender_mac == net->mac)
        return;
    bool for_us = zt_net_owns(net, &target);
    told(net, &sender, sender_mac, for_us && op == 1);
    if (op == 1 && for_us)
        arp_send(net, 2, sender_mac, &target, sender_mac, a + 14);
}

/* The link-layer address option of this type, or 0. */
static uint64_t nd_option(const uint8_t *p, size_t n, uint8_t type)
{
    while (n >= 8) {
        size_t size = (size_t)p[1] * 8;
        if (size == 0 || size > n)
            return 0;
        if (p[0] == type && size == 8)
            return zt_be48(p + 2);
        p += size;
        n -= size;
    }
    return 0;
}

void zt_neigh_nd(struct zt_net *net, const uint8_t *eth, size_t n)
{
    const uint8_t *ip = eth + ETH_HEADER, *icmp = ip + 40;
    size_t len = zt_be16(ip + 4);
    ND6_STATS_INC(nd6.recv);
    if (len < 24 || n < ETH_HEADER + 40 + len || ip[7] != 255 || icmp[1] != 0) {
        ND6_STATS_INC(nd6.drop);
        return;
    }
    uint32_t sum = zt_lwip_chksum(ip + 8, (int)(32 + len)) + (uint32_t)lwip_htons((u16_t)len) +
                   (uint32_t)lwip_htons(58);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    if (sum != 0xffff) {
        ND6_STATS_INC(nd6.chkerr);
        return;
    }
    struct zt_ep source = zt_ep_make(6, ip + 8, 0), target = zt_ep_make(6, icmp + 8, 0);
    if (icmp[0] == 136) {
        uint64_t mac = nd_option(icmp + 24, len - 24, 2);
        told(net, &target, mac != 0 ? mac : zt_be48(eth + 6), false);
        return;
    }
    if (icmp[0] != 135 || !zt_net_owns(net, &target))
        return;
    static const uint8_t none[16], all_nodes[16] = {0xff, 0x02, [15] = 1};
    uint64_t mac = nd_option(icmp + 24, len - 24, 1);
    if (mac == 0)
        mac = zt_be48(eth + 6);
    if (memcmp(source.ip, none, 16) == 0) { /* somebody checks for duplicates */
        nd_send(net, 136, 0x20000000, 0x333300000001ULL, target.ip, all_nodes, target.ip);
        return;
    }
    if (zt_mac_is_multicast(mac))
        return;
    told(net, &source, mac, true);
    nd_send(net, 136, 0x60000000, mac, target.ip, source.ip, target.ip);
}
