/* Inside stack/: the objects that its files share. Nobody else includes this.
 *
 * stack.c    the object, its clock and timers, networks and their addresses
 * netif.c    frames in and out
 * pcbs.c     connections by their ends
 * pool.c     memory
 * recovery.c what TCP has lost
 * rate.c     how fast TCP sends
 * neigh.c    IP address to MAC address
 * route.c    which interface and which next hop */
#ifndef ZT_STACK_IMPL_H
#define ZT_STACK_IMPL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "lwip/netif.h"
#include "stack/stack.h"
#include "wire/packet.h"

#define ETH_HEADER 14
#define ETH_IPV4 0x0800
#define ETH_ARP 0x0806
#define ETH_IPV6 0x86dd

#define NET_MTU_MAX 9890 /* vl2.md 6.3 */
#define NET_MTU_MIN 1280
#define NET_IPV4_MAX ZT_STACK_ADDRS
#define NET_IPV6_MAX ZT_STACK_ADDRS /* besides the link-local one */
#define ROUTE_CACHE 256             /* direct-mapped; a power of two */
#define ACKS_OWED 64                /* connections; a turn with more sends the rest's at once */
#define LOOP_BYTES_MAX (4u << 20)

struct zt_neigh;
struct tcp_seg;

/* One lwIP interface. A network has one for IPv6 and its first IPv4 address, and one more for each
 * further IPv4 address. */
struct zt_port {
    struct netif nif; /* first: lwIP's pointer is ours */
    struct zt_net *net;
};

struct zt_net {
    struct zt_list link; /* in zt_stack.nets */
    struct zt_stack *s;
    uint64_t nwid, mac;
    unsigned mtu;
    bool has_group4; /* unused places in port[] are NULL; port[0] always exists */
    struct zt_port *port[NET_IPV4_MAX];
    struct zt_ep addr4[NET_IPV4_MAX]; /* of port[i]; family 0: none; port = prefix length */
    struct zt_ep addr6[LWIP_IPV6_NUM_ADDRESSES]; /* [0] is link-local */
    unsigned nroutes;
    struct zt_route routes[ZT_INFO_ROUTES];
    struct zt_list neighs;
};

struct zt_route_hit {
    struct netif *nif; /* NULL: no route */
    struct zt_net *net;
    struct zt_ep hop; /* whom to resolve; port 0 */
    bool is_local;    /* one of our own addresses */
};

struct zt_route_slot {
    uint64_t generation;
    struct zt_ep src, dst;
    struct zt_route_hit hit;
};

struct zt_out_slot {
    uint64_t generation;
    const struct zt_net *net;
    struct zt_ep dst;
    struct zt_neigh *neigh;
};

/* Connections by their two ends (pcbs.c). */
struct zt_pcb_table {
    struct tcp_pcb **bucket;
    size_t mask, count; /* buckets - 1; bucket NULL: no memory yet, and none needed */
    struct tcp_pcb *last;
};

/* Freed pieces of lwIP's, by class of size (pool.c). */
#define POOL_CLASSES 6
struct zt_pool {
    void *free[POOL_CLASSES];
    size_t bytes;
    uint64_t allocations; /* that went to malloc */
};

struct zt_stack {
    struct zt_stack_host host;
    int64_t now_ms, epoch_ms;
    uint64_t key[2];
    struct zt_list nets;
    struct zt_map by_nwid;
    unsigned nnetifs;
    uint64_t generation; /* changes when a route or a neighbour goes: caches are void then */
    struct zt_route_slot route_cache[ROUTE_CACHE];
    struct zt_out_slot out_cache[ROUTE_CACHE];

    struct zt_pcb_table pcbs;
    struct zt_pool pool;
    struct tcp_pcb *owed[ACKS_OWED]; /* have an ACK to send at the end of the turn; NULL: gone */
    unsigned nowed;
    struct tcp_pcb *waiting; /* for the pace (rate.c) */

    struct zt_heap timers;
    struct zt_timer tcp_slow, tcp_fast, groups, reassembly, loopback, pace;
    int64_t reassembly_until_ms;

    struct zt_map neighs;
    struct zt_list neigh_lru; /* least recently used first */
    size_t neigh_count, neigh_waiting_bytes;

    zt_stack_catch_fn *catch_all;
    void *catch_user;

    struct zt_list loop; /* frames to ourselves */
    size_t loop_bytes;

    uint8_t frame[ZT_FRAME_HEADROOM + ETH_HEADER + NET_MTU_MAX];
};

/* stack.c */
struct zt_stack *zt_stack_current(void);
void zt_stack_arm(struct zt_stack *s, struct zt_timer *t, int64_t at_ms); /* only ever earlier */

/* pcbs.c */
int zt_pcbs_init(struct zt_stack *s);
void zt_pcbs_fini(struct zt_stack *s);

/* pool.c */
void zt_pool_trim(struct zt_stack *s); /* all rest: keep little */
void zt_pool_fini(struct zt_stack *s);

/* recovery.c */
void zt_recovery_tick(struct tcp_pcb *pcb); /* before each run of the slow timer */

/* rate.c: seg leaves; it has arrived at the peer; so much did with this acknowledgment (SACK). */
void zt_rate_sent(struct tcp_pcb *pcb, struct tcp_seg *seg);
void zt_rate_arrived(struct tcp_pcb *pcb, const struct tcp_seg *seg);
void zt_rate_acked(struct tcp_pcb *pcb, uint32_t arrived);
void zt_rate_go_on(struct zt_stack *s); /* those that waited for the pace */
void zt_rate_forget(struct tcp_pcb *pcb);

/* netif.c */
err_t zt_port_init(struct netif *nif);
void zt_net_input(struct zt_net *net, const uint8_t *eth, size_t n);
/* Address the frame (its IP packet is in place, at s->frame + headroom + header) and give it out.
 */
void zt_net_emit(struct zt_net *net, uint8_t *eth, size_t n, uint64_t to, uint16_t type);
void zt_loop_deliver(struct zt_stack *s);
void zt_loop_clear(struct zt_stack *s, const struct netif *nif); /* NULL: all */
struct zt_ep zt_ep_of4(const ip4_addr_t *a);
struct zt_ep zt_ep_of6(const ip6_addr_t *a);

/* neigh.c */
void zt_neigh_init(struct zt_stack *s);
void zt_neigh_fini(struct zt_stack *s);
void zt_neigh_forget(struct zt_net *net);
struct zt_neigh *zt_neigh_find(struct zt_net *net, const struct zt_ep *ip);
uint64_t zt_neigh_mac(struct zt_net *net, const struct zt_ep *ip); /* 0: not known */
/* Send the IP packet in this frame to a neighbour, now or when it is resolved. */
err_t zt_neigh_send(struct zt_net *net, struct zt_neigh *to, uint8_t *eth, size_t n, uint16_t type);
void zt_neigh_arp(struct zt_net *net, const uint8_t *eth, size_t n);
/* ICMPv6 133..137: always ours, lwIP never sees it. */
void zt_neigh_nd(struct zt_net *net, const uint8_t *eth, size_t n);
/* A packet came from this address: good for the answer, if it is on-link, when nothing better is
 * known. False: the address is one of our own, or of any host's. */
bool zt_neigh_hint(struct zt_net *net, const struct zt_ep *ip, uint64_t mac);

/* route.c */
void zt_route_find(struct zt_stack *s, const struct zt_ep *src, const struct zt_ep *dst,
                   struct zt_route_hit *hit);
/* The next hop inside a network that was chosen already. */
struct zt_ep zt_route_hop(const struct zt_net *net, const struct zt_ep *dst);
bool zt_net_owns(const struct zt_net *net, const struct zt_ep *ip);
bool zt_net_on_link(const struct zt_net *net, const struct zt_ep *ip);

#endif
