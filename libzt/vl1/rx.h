/* From a datagram to a verified, dispatched packet. */
#ifndef ZT_VL1_RX_H
#define ZT_VL1_RX_H

#include "vl1/vl1.h"

/* A complete packet for us, as received; it is opened in place. */
void zt_rx_packet(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                  uint8_t *p, size_t n);
/* An opened packet of a VL2 verb: hand it up and act on the verdict. */
void zt_rx_upper(struct zt_vl1 *v, const struct zt_now *now, struct zt_rx *rx, int64_t since_ms);

/* A member of a network of ours proved itself on this link. */
void zt_rx_trust(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link);

#endif
