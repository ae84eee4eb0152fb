/* The frame path (vl2.md 6): from the interface to the network and back, bridging, and NDP
 * emulation. */
#ifndef ZT_VL2_FRAME_H
#define ZT_VL2_FRAME_H

#include "vl2/network.h"

/* From the interface; see zt_vl2_frame. */
int zt_frame_send(struct zt_network *net, const struct zt_now *now, uint8_t *eth, size_t n);

enum zt_verdict zt_frame_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx);
enum zt_verdict zt_ext_frame_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx);
enum zt_verdict zt_mcast_frame_in(struct zt_vl2 *v, const struct zt_now *now,
                                  const struct zt_rx *rx);

/* May this frame of ours go to dest (0: not chosen yet)? Sends the copies that the rules ask for;
 * counts a refusal. */
bool zt_frame_allowed(struct zt_network *net, const struct zt_now *now, uint64_t dest,
                      uint64_t mac_source, uint64_t mac_dest, uint16_t ethertype, const uint8_t *p,
                      size_t n, bool no_tee);

/* EXT_FRAME payload: nwid, flags, MACs, ethertype, frame. */
void zt_wr_ext_frame(struct zt_wr *w, uint64_t nwid, uint8_t flags, uint64_t mac_dest,
                     uint64_t mac_source, uint16_t ethertype, const uint8_t *p, size_t n);

/* An answer to this neighbour solicitation (IPv6 packet of n bytes) from what the address says, if
 * any: writes the 72 bytes of the advertisement, returns the node's address, else 0 (vl2.md 7.6).
 */
#define ZT_NDP_ADVERTISEMENT 72
uint64_t zt_ndp_answer(const struct zt_netconf *cfg, const uint8_t *p, size_t n,
                       uint8_t out[ZT_NDP_ADVERTISEMENT]);

#endif
