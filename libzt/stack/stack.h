/* The TCP/IP stack (lwIP) as node/ sees it: interfaces that eat and give Ethernet frames, and time.
 *
 * lwIP is one per process, so there is one struct zt_stack at a time. Loop thread only. Sockets are
 * not here: node/proxy uses lwIP's raw API directly, on the same thread; it must call
 * zt_stack_kick() after it gave lwIP something to do, so that timers start.
 *
 * Every network has one lwIP netif (further IPv4 addresses: extra netifs with the same MAC behind
 * the same frame port, see design.md). Neighbours are resolved by stack/neigh: a bounded hash table
 * filled from ARP, ND and addresses that carry the node's address. Timers run only while they have
 * work; TCP's tick is fine-grained while data is in flight. */
#ifndef ZT_STACK_STACK_H
#define ZT_STACK_STACK_H

#include "base/addr.h"
#include "base/host.h"
#include "base/info.h"

struct zt_stack;

#define ZT_STACK_ADDRS 16 /* of each family that a network can have, beside the link-local one */

struct zt_stack_host {
    void *user;
    /* A frame to the network: n >= 14 bytes at eth, with ZT_FRAME_HEADROOM writable bytes before
     * it; both may be clobbered. Nonzero return: it could not be taken (counted as a drop by lwIP).
     */
    int (*frame)(void *user, uint64_t nwid, uint8_t *eth, size_t n);
    /* The interface listens (or no longer) to a multicast group (vl2.md 7.1). */
    void (*subscribe)(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add);
    void (*random)(void *user, void *out, size_t n);
    /* A neighbour did not answer: this packet of ours (from the IP header on) is thrown away. Not
     * called from within lwIP. May be NULL. */
    void (*unreachable)(void *user, const uint8_t *ip, size_t n);
};

/* Returns 0, ZT_E_NOMEM, ZT_E_BUSY (there is one already). host is copied. After zt_stack_free a
 * new one may be made in the same process. */
int zt_stack_new(const struct zt_stack_host *host, int64_t mono_ms, struct zt_stack **out);
void zt_stack_free(struct zt_stack *s);
/* From now on frames go nowhere and nobody is told anything: before freeing it in a forked child. */
void zt_stack_mute(struct zt_stack *s);

/* Make, or update (MTU, addresses added and removed, routes), the interface of a network from its
 * description. Returns 0, ZT_E_NOMEM, ZT_E_LIMIT. */
int zt_stack_net_set(struct zt_stack *s, const struct zt_net_info *info);
void zt_stack_net_remove(struct zt_stack *s, uint64_t nwid);

/* A frame from the network. */
void zt_stack_input(struct zt_stack *s, uint64_t nwid, const uint8_t *eth, size_t n);

/* Time: before giving the stack anything, zt_stack_now; zt_stack_tick runs what is due. */
void zt_stack_now(struct zt_stack *s, int64_t mono_ms);
void zt_stack_tick(struct zt_stack *s, int64_t mono_ms);
int64_t zt_stack_deadline(const struct zt_stack *s); /* ZT_NEVER when idle */
void zt_stack_kick(struct zt_stack *s);
/* What is sent to this node goes another way from now on: connections to it that have waited for an
 * acknowledgment in vain send again at once, not when their growing time-out ends. */
void zt_stack_rerouted(struct zt_stack *s, uint64_t node);
/* The end of a turn, before what was sent leaves: one ACK a connection for all that came. */
void zt_stack_flush(struct zt_stack *s);

/* A SYN came for a port on which nobody listens: fn names a listener that takes it all the same, or NULL.
 * fn NULL, as at first: nobody. */
struct ip_addr;
struct tcp_pcb_listen;
typedef struct tcp_pcb_listen *zt_stack_catch_fn(void *user, const struct ip_addr *to);
void zt_stack_catch_all(struct zt_stack *s, zt_stack_catch_fn *fn, void *user);

/* Is this one of our own addresses / on-link or routed through a network? Longest prefix; nwid may
 * be NULL. */
bool zt_stack_is_local(const struct zt_stack *s, const struct zt_ep *ip);
/* lwIP's number of a network's interface, 0: it has none. */
unsigned zt_stack_ifindex(const struct zt_stack *s, uint64_t nwid);
bool zt_stack_routes(const struct zt_stack *s, const struct zt_ep *ip, uint64_t *nwid);

#endif
