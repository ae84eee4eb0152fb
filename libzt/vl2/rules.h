/* The rules engine (vl2.md 5): whether a frame may pass, as a pure function of the frame, the
 * rules, and what the two ends have been certified. Wire form of the rules: wire/rules.h. */
#ifndef ZT_VL2_RULES_H
#define ZT_VL2_RULES_H

#include "base/addr.h"
#include "wire/creds.h"
#include "wire/rules.h"

#define ZT_NET_BROADCAST 0x2u /* network flags, vl2.md 3.4 */
#define ZT_NET_NDP_EMULATION 0x4u
#define ZT_NET_UNKNOWN_MATCHES 0x8u /* a match of an unknown type is true */
#define ZT_NET_NO_COMPRESS 0x10u

/* What somebody holds. Only what is valid now: the caller has applied time window and revocations
 * (zt_cred_in_window). tags and caps are sorted by id. */
struct zt_held_tag {
    uint32_t id, value;
    int64_t timestamp;
};

struct zt_held_cap {
    uint32_t id;
    unsigned n;
    const struct zt_rule *rules;
    int64_t timestamp;
};

struct zt_holdings {
    const struct zt_held_tag *tags;
    const struct zt_held_cap *caps;
    const struct zt_coo *coos;
    unsigned ntags, ncaps, ncoos;
};

/* The network as the evaluator sees it. */
struct zt_policy {
    uint64_t self; /* own address */
    uint64_t flags;
    const struct zt_rule *rules;
    unsigned nrules;
    const struct zt_ep *addrs; /* our own, port = prefix length */
    unsigned naddrs;
    struct zt_holdings own;
    /* Credentials of others count while |timestamp - theirs| <= window_ms. */
    int64_t timestamp, window_ms;
};

/* One frame. p: what follows the Ethernet header. */
struct zt_filter_frame {
    uint64_t source, dest; /* node addresses; dest 0: multicast or bridged, not chosen yet */
    uint64_t mac_source, mac_dest;
    uint16_t ethertype, vlan;
    const uint8_t *p;
    size_t n;
    uint32_t random; /* of this frame, for MATCH_RANDOM */
};

enum zt_filter_result {
    ZT_FILTER_DROP = 0,
    ZT_FILTER_ACCEPT = 1,
    ZT_FILTER_SUPER = 2, /* inbound: we are the target of a tee or redirect; no further checks */
};

#define ZT_FILTER_COPIES 3

/* What became of it, and the EXT_FRAMEs to send: at most a copy for the base rules and one for a
 * capability, and the frame itself when it was redirected. */
struct zt_filter_outcome {
    enum zt_filter_result result;
    uint8_t bucket; /* of PRIORITY, 255 none */
    unsigned ncopies;
    struct {
        uint64_t to;
        uint8_t flags; /* of EXT_FRAME */
        size_t n;      /* send this many bytes of the frame */
    } copies[ZT_FILTER_COPIES];
};

/* Our frame to frame->dest; remote: what we know of it, or NULL. no_tee: the copies were sent for
 * an earlier destination of the same frame. */
void zt_filter_out(const struct zt_policy *net, const struct zt_filter_frame *frame,
                   const struct zt_holdings *remote, bool no_tee, struct zt_filter_outcome *out);
/* A frame from frame->source; remote: what it showed us, or NULL. */
void zt_filter_in(const struct zt_policy *net, const struct zt_filter_frame *frame,
                  const struct zt_holdings *remote, struct zt_filter_outcome *out);

static inline bool zt_cred_in_window(const struct zt_policy *net, int64_t timestamp)
{
    uint64_t d = timestamp > net->timestamp ? (uint64_t)timestamp - (uint64_t)net->timestamp
                                            : (uint64_t)net->timestamp - (uint64_t)timestamp;
    return d <= (uint64_t)net->window_ms;
}

#endif
