/* Choosing a path, sealing, cutting, sending. */
#ifndef ZT_VL1_TX_H
#define ZT_VL1_TX_H

#include "base/host.h"
#include "wire/packet.h"

struct zt_vl1;
struct zt_peer;

/* One datagram as it is; refused (false, counted) where the underlay forbids the endpoint. */
bool zt_tx_datagram(struct zt_vl1 *v, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl);

/* Fill in header and id, compress, seal for peer and send over the given link, cut as needed. p has
 * ZT_PKT_PAYLOAD bytes of header room and n bytes in all; flags as for zt_vl1_send. Returns 0 or
 * ZT_E_*; *id (may be NULL) gets the wire id. */
int zt_tx_packet(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                 const struct zt_link *link, uint8_t verb, uint8_t *p, size_t n, unsigned flags,
                 uint64_t *id);

/* Send by the best way there is: direct, else through the best upstream. p as above. ZT_E_NOPATH
 * when there is none; p is then unchanged. */
int zt_tx_route(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer, uint8_t verb,
                uint8_t *p, size_t n, unsigned flags, uint64_t *id);

/* HELLO over this link; relayed: the link is a relay's, so no endpoint is named in it. */
void zt_tx_hello(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                 const struct zt_link *link, bool relayed);
/* ECHO, or HELLO when full or when the peer does not know ECHO (vl1.md 6.4). */
void zt_tx_contact(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                   const struct zt_link *link, bool full);

/* The packet with this wire id, if it was a verb in_re that went to node `from` with ZT_TX_EXPECT;
 * else NULL. */
const struct zt_expected *zt_tx_expected(const struct zt_vl1 *v, uint64_t id, uint64_t from,
                                         uint8_t in_re);
/* Was it a HELLO or ECHO to this very endpoint? An authentic OK to it that comes directly from
 * there proves the endpoint, and its age is a round trip. */
bool zt_tx_asked(const struct zt_vl1 *v, const struct zt_expected *e, const struct zt_ep *ep);
int64_t zt_tx_age_ms(const struct zt_expected *e, int64_t now_ms);

#endif
