/* The node's UDP sockets: bound, re-bound when interfaces change, read and written in batches.
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
#include "vl1/vl1.h" /* enum zt_underlay */

struct zt_udp;

struct zt_udp_stats {
    uint64_t rx_calls, rx_datagrams, rx_bytes, rx_gro;
    uint64_t tx_calls, tx_datagrams, tx_bytes, tx_gso, tx_dropped, tx_fallbacks;
};

/* p may be changed in place; it dies with the call. */
typedef void zt_udp_recv_fn(void *user, const struct zt_link *in, uint8_t *p, size_t n);

/* Bind port on every usable local address as the underlay says (loopback only / also / never).
 * port 0: a random one, 20000..65499. Returns 0, ZT_E_PORT (taken), ZT_E_IO. Loop thread. */
int zt_udp_open(struct zt_loop *l, enum zt_underlay underlay, uint16_t port, zt_udp_recv_fn *recv,
                void *user, struct zt_udp **out);
void zt_udp_close(struct zt_udp *u); /* frees later, after its handles closed */

uint16_t zt_udp_port(const struct zt_udp *u);
/* Own addresses with ports, to be announced. */
size_t zt_udp_local(const struct zt_udp *u, struct zt_ep *out, size_t cap);
/* Look at the interfaces again (every 30 s, or when told); true when something changed. */
bool zt_udp_rescan(struct zt_udp *u);

void zt_udp_send(struct zt_udp *u, const struct zt_link *to, const uint8_t *head, size_t nhead,
                 const uint8_t *body, size_t nbody, unsigned ttl);
void zt_udp_flush(struct zt_udp *u);
/* Do without segmentation or coalescing by the kernel though it has them (both are on otherwise);
 * affects sockets opened later too. */
void zt_udp_offload(struct zt_udp *u, bool gso, bool gro);
void zt_udp_stats(const struct zt_udp *u, struct zt_udp_stats *out);

#endif
