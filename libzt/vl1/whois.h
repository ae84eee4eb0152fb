/* What waits: packets without a way to their destination, packets from unknown senders, packets
 * that VL2 put on hold; and the WHOIS requests that bring identities. */
#ifndef ZT_VL1_WHOIS_H
#define ZT_VL1_WHOIS_H

#include "base/heap.h"
#include "base/host.h"
#include "base/map.h"
#include "vl1/limit.h"
#include "vl1/vl1.h"

#define ZT_WAIT_MS 5000
#define ZT_WAIT_RETRY_MS 500
#define ZT_WAIT_ADDRESSES 256
#define ZT_WAIT_PER_ADDRESS 64
#define ZT_WAIT_BYTES (2u << 20) /* of all packets together */

struct zt_waits {
    struct zt_map by_addr;
    size_t bytes;
    struct zt_bucket strangers; /* WHOIS on behalf of unknown senders */
};

void zt_waits_init(struct zt_vl1 *v, uint64_t seed);
void zt_waits_fini(struct zt_vl1 *v);

/* Keep a copy of an outgoing packet until there is a way; asks for dest's identity when unknown.
 * 0 or ZT_E_LIMIT, ZT_E_NOMEM (counted). */
int zt_wait_tx(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
               const uint8_t *payload, size_t n, unsigned flags);
/* Keep a copy of a packet whose sender is unknown, as it came in. */
void zt_wait_rx(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                const uint8_t *p, size_t n);
/* Keep a copy of an opened packet (ZT_VERDICT_HOLD). */
void zt_wait_hold(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                  int64_t since_ms);
/* Ask for an identity that nothing waits for here. */
void zt_whois(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr);
bool zt_whois_wanted(const struct zt_vl1 *v, uint64_t addr);

/* Something changed for this address (all: for any): try again on the next tick, which is now. */
void zt_wait_kick(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr);
void zt_wait_kick_all(struct zt_vl1 *v, const struct zt_now *now);

#endif
