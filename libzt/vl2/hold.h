/* Frames to members that have not proven their membership to us.
 *
 * On a private network nothing goes to a node before it has shown a certificate that fits ours:
 * anybody can tell a root that it listens to a group, and a revoked member knows the others'
 * addresses. Instead such a node gets our certificate and is asked for its own (ERROR 0x06, which
 * every member answers); the frame waits here and follows when the answer has come, after one round
 * trip. What is inbound is treated alike (zt_network_refuse).
 *
 * Bounds: ZT_HOLD_MAX frames and ZT_HOLD_BYTES a network, ZT_HOLD_MS each; asking is limited to
 * once a second and node. */
#ifndef ZT_VL2_HOLD_H
#define ZT_VL2_HOLD_H

#include "vl2/network.h"

#define ZT_HOLD_MAX 256
#define ZT_HOLD_BYTES (1u << 20)
#define ZT_HOLD_MS 5000
#define ZT_HOLD_RETRY_MS 1100 /* a push is not repeated within a second */

/* May frames go to this member (NULL: no memory for one) now? If not, it is counted and asked. */
bool zt_hold_ready(struct zt_network *net, const struct zt_now *now, struct zt_member *m);

/* Keep a copy of what can't go yet: an Ethernet frame of ours, or a multicast to one recipient. */
void zt_hold_frame(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                   const uint8_t *eth, size_t n);
void zt_hold_mcast(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                   const struct zt_group_id *id, const struct zt_mcast_frame *f, uint32_t limit);

/* It has proven itself: send what waits for it. */
void zt_hold_release(struct zt_network *net, const struct zt_now *now, struct zt_member *m);
/* Of net->hold_timer: ask again. */
void zt_hold_due(void *user, struct zt_timer *t);
/* m NULL: all. */
void zt_hold_drop(struct zt_network *net, const struct zt_member *m);

#endif
