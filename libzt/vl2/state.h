/* Inside of VL2: the object that the files of this folder share. One thread owns all of it. */
#ifndef ZT_VL2_STATE_H
#define ZT_VL2_STATE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "vl1/vl1.h"
#include "vl2/mcast.h"
#include "vl2/vl2.h"

#define ZT_VL2_NETWORKS 256         /* joined at once */
#define ZT_LATER_MAX 64             /* frames to ourselves that wait for the next tick */
#define ZT_RATE_SLOTS 512           /* power of two */
#define ZT_LONG_AGO (INT64_MIN / 4) /* a monotonic time before any deadline */

/* A frame for our own interface, made while the interface was sending: delivered at the next tick,
 * since the interface can't be entered twice. */
struct zt_later {
    struct zt_list link;
    uint64_t nwid;
    size_t n;
    uint8_t eth[];
};

/* Token buckets for (kind, node, network), direct mapped: a bounded table that strangers may fill
 * but not grow. Two keys that share a slot take it from each other, which resets the bucket; with
 * the secret seed nobody can aim for that. */
struct zt_rate_slot {
    uint64_t key;
    int64_t at_ms;
    unsigned tokens;
};

struct zt_vl2 {
    struct zt_vl1 *vl1;
    const struct zt_host *host;
    struct zt_drops *drops;

    struct zt_map networks; /* nwid -> struct zt_network */
    struct zt_heap timers;
    struct zt_mcast mcast;
    struct zt_controller *controller; /* NULL: we are none */

    struct zt_list later; /* struct zt_later */
    unsigned nlater;
    struct zt_timer later_timer;

    uint64_t seed; /* secret, for hashes */
    uint64_t prng; /* choices that need not be secure */
    struct zt_rate_slot rates[ZT_RATE_SLOTS];

    /* Where packets are built; the header's room comes first. */
    uint8_t out[ZT_PKT_PAYLOAD + ZT_PAYLOAD_MAX];
};

/* What a timer's fire function gets as user. */
struct zt_tick {
    struct zt_vl2 *v;
    const struct zt_now *now;
};

enum zt_rate_kind {
    ZT_RATE_NEED_CREDENTIALS, /* ERROR 0x06: 1 per 1000 ms */
    ZT_RATE_CREDENTIALS_IN,   /* NETWORK_CREDENTIALS: 8, and 1 more per 1000 ms (vl2.md P28) */
    ZT_RATE_CONFIG_REQUEST,   /* of nodes the controller has no record of: 1 per 1000 ms */
};

/* May another event of this kind happen now? Takes a token if so. */
bool zt_vl2_rate(struct zt_vl2 *v, const struct zt_now *now, enum zt_rate_kind kind, uint64_t addr,
                 uint64_t nwid, unsigned burst);

uint32_t zt_vl2_random(struct zt_vl2 *v);
uint64_t zt_vl2_hash(const struct zt_vl2 *v, uint64_t a, uint64_t b);

static inline int zt_vl2_refuse(struct zt_vl2 *v, enum zt_drop reason, int code)
{
    zt_drop_count(v->drops, reason);
    return code;
}

/* Build a payload in v->out and send it. One packet at a time. */
static inline struct zt_wr zt_vl2_begin(struct zt_vl2 *v)
{
    return zt_wr(v->out + ZT_PKT_PAYLOAD, ZT_PKT_MAX_SENT - ZT_PKT_PAYLOAD);
}

/* Returns 0, or ZT_E_* of zt_vl1_send (counted), ZT_E_SPACE when w overflowed. */
int zt_vl2_send(struct zt_vl2 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
                const struct zt_wr *w, unsigned flags);

/* Copy a frame (Ethernet header and the rest) for delivery at the next tick. */
void zt_vl2_later(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid, const uint8_t eth[14],
                  const uint8_t *p, size_t n);

#endif
