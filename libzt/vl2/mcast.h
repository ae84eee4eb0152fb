/* Multicast: who listens to what, and sending to them (vl2.md 7).
 *
 * A group is (network, MAC, ADI). Its members come from MULTICAST_LIKE and from gathering; they
 * expire after 600 s without news. A root keeps groups of networks it has not joined, to answer
 * gathers. What others tell of members counts only for groups that there are: they come of LIKEs
 * and of what we send ourselves, so that nobody fills the table with answers.
 *
 * A frame for a group with fewer known members than the network's limit waits 5 s for more: whoever
 * is learned in that time gets it too. While nobody at all is known the gather is repeated at 200
 * ms, 500 ms, 1 s and so on, so that a first ARP request does not depend on a single packet.
 *
 * Bounds: ZT_MCAST_GROUPS groups and ZT_MCAST_MEMBERS memberships in all, ZT_MCAST_PER_GROUP
 * members a group (the one heard of longest ago makes room), ZT_MCAST_PER_SENDER memberships one
 * node may claim for itself, ZT_MCAST_WAITING frames a group and ZT_MCAST_WAITING_BYTES in all. */
#ifndef ZT_VL2_MCAST_H
#define ZT_VL2_MCAST_H

#include "base/heap.h"
#include "base/host.h"
#include "base/list.h"
#include "base/map.h"

struct zt_network;
struct zt_vl2;
struct zt_rx;
struct zt_wr;

#define ZT_MCAST_GROUPS 131072
#define ZT_MCAST_MEMBERS 524288
#define ZT_MCAST_PER_GROUP 16384
#define ZT_MCAST_PER_SENDER 2048
#define ZT_MCAST_WAITING 32
#define ZT_MCAST_WAITING_BYTES (4u << 20)
#define ZT_MCAST_EXPIRY_MS 600000
#define ZT_MCAST_SWEEP_MS 30000
#define ZT_MCAST_WAIT_MS 5000
#define ZT_GATHER_INTERVAL_MS 60000
#define ZT_GATHER_INTERVAL_LOW 3 /* times as long in low bandwidth mode */

struct zt_group_id {
    uint64_t nwid, mac;
    uint32_t adi;
};

struct zt_group;

struct zt_mcast {
    struct zt_vl2 *vl2;
    struct zt_map groups;  /* hash -> first of a chain */
    struct zt_map senders; /* address -> who has memberships */
    struct zt_list all;    /* every group */
    size_t ngroups, nmembers, waiting_bytes;
    struct zt_timer sweep;
};

void zt_mcast_init(struct zt_mcast *m, struct zt_vl2 *v);
void zt_mcast_fini(struct zt_mcast *m);
/* The network was left: forget its groups. */
void zt_mcast_forget(struct zt_mcast *m, uint64_t nwid);

/* addr listens to the group. Frames that wait for members go to it at once. Counts refusals. */
void zt_mcast_add(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                  uint64_t addr);
/* The same, said by this very node, which may say no more than it may have, each minute: a member of
 * a large group is searched for. */
void zt_mcast_like(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                   uint64_t from);
void zt_mcast_remove(struct zt_mcast *m, struct zt_group_id id, uint64_t addr);

/* A multicast frame that passed the rules for "no destination". */
struct zt_mcast_frame {
    uint64_t source;     /* MAC to put in the packet, or 0: the sender's own */
    uint64_t mac_source; /* MAC for the rules */
    uint64_t origin;     /* address that must not get it, or 0 */
    uint16_t ethertype;
    const uint8_t *p;
    size_t n;
};
/* Returns 0, or ZT_E_*: counted. */
int zt_mcast_send(struct zt_network *net, const struct zt_now *now, struct zt_group_id id,
                  const struct zt_mcast_frame *frame);

/* One copy, or none yet (hold.h). limit: how many other members the recipient may tell us, 0: none.
 */
void zt_mcast_send_to(struct zt_network *net, const struct zt_now *now,
                      const struct zt_group_id *id, const struct zt_mcast_frame *f, uint32_t limit,
                      uint64_t to);

/* How many of the members that it asks for this packet's sender is told: few, when the answer could
 * hit somebody else. */
uint32_t zt_gather_limit(const struct zt_rx *rx, uint32_t limit);

/* Write total, count and addresses (vl2.md 2.7), at most limit and as many as fit in w; self: count
 * ourselves as a member. Returns how many addresses were written; with 0 nothing is. */
unsigned zt_mcast_results(struct zt_mcast *m, const struct zt_now *now, struct zt_group_id id,
                          uint64_t asker, bool self, uint32_t limit, struct zt_wr *w);

/* Is there such a group, with or without members? */
bool zt_mcast_has(const struct zt_mcast *m, struct zt_group_id id);
/* How many members are known (tests, status). */
size_t zt_mcast_count(const struct zt_mcast *m, struct zt_group_id id);

#endif
