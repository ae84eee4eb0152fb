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

/* The checks that keep out who has no right to something. Each is proven:
 * tests/unit/vl2/test_gates.c is built against these sources with ZT_TEST_GATES, opens one at a
 * time, and sees somebody come through who otherwise doesn't. Everywhere else a gate is the check
 * and nothing more. */
#define ZT_GATES(X)                                                                   \
    X(FRAME, "a FRAME of a node without membership")                                  \
    X(EXT_FRAME, "an EXT_FRAME of one")                                               \
    X(MULTICAST_FRAME, "a MULTICAST_FRAME of one")                                    \
    X(LIKE, "a MULTICAST_LIKE of one")                                                \
    X(GATHER, "a MULTICAST_GATHER of one")                                            \
    X(UNWANTED, "ERROR(UNWANTED_MULTICAST) of one")                                   \
    X(TELL, "members of a group, told by one")                                        \
    X(COM_NETWORK, "a certificate of membership of another network")                  \
    X(COM_SIGNER, "one that the controller did not sign")                             \
    X(COM_AGREES, "one of another identity, or too old")                              \
    X(COM_REVOKED, "one that was revoked")                                            \
    X(CRED_SIGNER, "a tag, capability or ownership that the controller did not sign") \
    X(CRED_REVOKED, "one that was revoked")                                           \
    X(CRED_WINDOW, "one that is too old")                                             \
    X(REVOCATION_SIGNER, "a revocation that the controller did not sign")             \
    X(RECIPIENT, "sending to a node that has not shown its membership")               \
    X(RULES_IN, "a frame that the rules drop on the way in")                          \
    X(RULES_OUT, "a frame that the rules drop on the way out")                        \
    X(BRIDGE_IN, "a foreign source MAC from a node that is no bridge")                \
    X(BRIDGED_TO, "a foreign destination MAC while we are no bridge")                 \
    X(BRIDGE_OUT, "sending with a foreign source MAC while we are no bridge")         \
    X(CONFIG_SIGNER, "a configuration that the controller did not sign")              \
    X(CONFIG_SENDER, "an unsigned one from somebody else than the controller")        \
    X(CONFIG_SUBJECT, "one for another network or node")                              \
    X(CONFIG_AGE, "one that is older than ours, passed on by somebody")               \
    X(CONTROLLER_ERROR, "a refusal that is not the controller's")

enum zt_gate {
#define X(name, text) ZT_GATE_##name,
    ZT_GATES(X)
#undef X
        ZT_GATE_COUNT /* none */
};

#ifdef ZT_TEST_GATES
extern enum zt_gate zt_test_open_gate;
#define ZT_GATE(name, ok) (zt_test_open_gate == ZT_GATE_##name || (ok))
#else
#define ZT_GATE(name, ok) (ok)
#endif

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
    bool low_bandwidth;
    uint64_t judged; /* whose packet is being handled; 0: none is */

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
    ZT_RATE_RELAY,          /* news passed on to a network's members: 64, and 1 more per 1000 ms */
    ZT_RATE_CONFIG_REQUEST, /* of nodes the controller has no record of: 1 per 1000 ms */
    ZT_RATE_FORGERIES,      /* signatures that don't fit: ZT_FORGERIES, and 1 more per 1000 ms */
};

#define ZT_FORGERIES 16

/* May another event of this kind happen now? Takes a token if so. */
bool zt_vl2_rate(struct zt_vl2 *v, const struct zt_now *now, enum zt_rate_kind kind, uint64_t addr,
                 uint64_t nwid, unsigned burst);

/* A signature costs a hundred times what a packet does, and anybody may show us one. So the node
 * whose packet is being handled has only so many attempts: is there one left? (Counted, if not.) */
bool zt_vl2_may_check(struct zt_vl2 *v, const struct zt_now *now);
/* Yes, and it was no good. */
void zt_vl2_forged(struct zt_vl2 *v, const struct zt_now *now);

/* May this network's news (a revocation, a piece of configuration) be passed on to its members once
 * more? Each is passed on when it is new, so they die out by themselves; the limit is for a
 * controller that makes more of them than anybody can remember. */
bool zt_vl2_may_relay(struct zt_vl2 *v, const struct zt_now *now, uint64_t nwid);

/* A pause between two packets of our own making, in low bandwidth mode that many times as long. */
static inline int64_t zt_vl2_pause(const struct zt_vl2 *v, int64_t ms, int times)
{
    return v->low_bandwidth ? ms * times : ms;
}

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
