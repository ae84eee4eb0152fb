/* Multicast groups of a network and their announcement (vl2.md 7.1, 7.2). */
#ifndef ZT_VL2_GROUPS_H
#define ZT_VL2_GROUPS_H

#include "vl2/network.h"

int zt_groups_subscribe(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                        uint32_t adi);
int zt_groups_unsubscribe(struct zt_network *net, uint64_t mac, uint32_t adi);
bool zt_groups_has(const struct zt_network *net, uint64_t mac, uint32_t adi);
/* A multicast came from behind our bridge. */
void zt_groups_bridged(struct zt_network *net, const struct zt_now *now, uint64_t mac,
                       uint32_t adi);

/* Tell those who are due, and of what is new; forget groups behind our bridge that are over.
 * Returns when to look again. */
int64_t zt_groups_announce(struct zt_network *net, const struct zt_now *now);
/* To a member that is just heard, when it was not told for long. */
void zt_groups_show(struct zt_network *net, const struct zt_now *now, struct zt_member *m);
/* This root is told everything at the next pass. */
void zt_groups_root_up(struct zt_network *net, uint64_t addr);

#endif
