/* The node's UDP sockets: bound, re-bound when interfaces change, read and written in batches.
 *
 * There is a socket for each usable local address and each port in use: the primary one, and two
 * that come and go, the secondary (another way through NATs that spoil the first) and the tertiary
 * (the one that a port mapping leads to).
 *
 * Receive: recvmmsg into a fixed arena with UDP_GRO where the kernel has it; each datagram is
 * handed up with its link. Send: zt_udp_send copies into the batch; zt_udp_flush sends all of it,
 * equal-sized runs to one endpoint as one UDP_SEGMENT message, the rest by sendmmsg. What a kernel
 * refuses (GSO too large for the device, no checksum offload) falls back for that send and is
 * remembered per socket; a full socket buffer drops, counted. */
#ifndef ZT_NODE_UDP_H
#define ZT_NODE_UDP_H

#include "node/loop.h"
#include "base/addr.h"
#include "node/conf.h"
#include "vl1/vl1.h" /* enum zt_underlay */

struct zt_udp;

struct zt_udp_stats {
    uint64_t rx_calls, rx_datagrams, rx_bytes, rx_gro;
    uint64_t tx_calls, tx_datagrams, tx_bytes, tx_gso, tx_dropped, tx_fallbacks;
};

enum zt_udp_slot {
    ZT_UDP_PRIMARY,
    ZT_UDP_SECONDARY,
    ZT_UDP_TERTIARY,
    ZT_UDP_SLOTS,
};

/* p may be changed in place; it dies with the call. */
typedef void zt_udp_recv_fn(void *user, const struct zt_link *in, uint8_t *p, size_t n);
/* This socket was closed while others go on: its address or port is not ours any more. */
typedef void zt_udp_gone_fn(void *user, int sock);

struct zt_udp_config {
    struct zt_loop *loop;
    enum zt_underlay underlay;
    const struct zt_conf *conf; /* addresses and interfaces to use; borrowed; NULL: no rules */
    zt_udp_recv_fn *recv;
    zt_udp_gone_fn *gone; /* may be NULL */
    void *user;
};

/* Bind port on every usable local address as the underlay says (loopback only / also / never).
 * port 0: a random one, 20000..65499. Returns 0, ZT_E_PORT (taken), ZT_E_IO. Loop thread. */
int zt_udp_open(const struct zt_udp_config *cfg, uint16_t port, struct zt_udp **out);
void zt_udp_close(struct zt_udp *u); /* frees later, after its handles closed */

uint16_t zt_udp_port(const struct zt_udp *u);
/* Port of this slot, 0: not in use. */
uint16_t zt_udp_slot(const struct zt_udp *u, enum zt_udp_slot slot);
/* Give the secondary or tertiary slot another port. Returns 0; ZT_E_PORT, ZT_E_IO: it has none now.
 */
int zt_udp_set_slot(struct zt_udp *u, enum zt_udp_slot slot, uint16_t port);
int zt_udp_set_random(struct zt_udp *u, enum zt_udp_slot slot);
void zt_udp_clear_slot(struct zt_udp *u, enum zt_udp_slot slot);
/* Own addresses with ports, to be announced; the primary port's first. */
size_t zt_udp_local(const struct zt_udp *u, struct zt_ep *out, size_t cap);
/* What the socket of this number is bound to; family 0: there is none. */
struct zt_ep zt_udp_of(const struct zt_udp *u, int sock);
/* Look at the interfaces and the rules again (every 30 s, or when told); true when something
 * changed. */
bool zt_udp_rescan(struct zt_udp *u);

void zt_udp_send(struct zt_udp *u, const struct zt_link *to, const uint8_t *head, size_t nhead,
                 const uint8_t *body, size_t nbody, unsigned ttl);
void zt_udp_flush(struct zt_udp *u);
/* Do without segmentation or coalescing by the kernel though it has them (both are on otherwise);
 * affects sockets opened later too. */
void zt_udp_offload(struct zt_udp *u, bool gso, bool gro);
void zt_udp_stats(const struct zt_udp *u, struct zt_udp_stats *out);

#endif
