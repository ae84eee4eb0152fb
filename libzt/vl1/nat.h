/* Getting from a relay to a direct path: what we look like from outside, telling others, trying
 * endpoints we were told, and, as a root, introducing two nodes to each other. */
#ifndef ZT_VL1_NAT_H
#define ZT_VL1_NAT_H

#include "base/heap.h"
#include "base/host.h"
#include "vl1/limit.h"
#include "vl1/vl1.h"

#define ZT_LOCAL_ENDPOINTS 32
#define ZT_SURFACES 32
#define ZT_PROBES 64
#define ZT_PROBE_TRIES 4
#define ZT_UNITE_SLOTS 16384 /* 512 KiB, of roots only */

struct zt_peer;

struct zt_surface { /* one row of self-awareness (vl1.md 6.9) */
    uint64_t reporter;
    struct zt_link link; /* how we reach the reporter */
    struct zt_ep seen;   /* what it sees of us */
    int64_t at_ms;
    bool trusted;
};

struct zt_probe {
    struct zt_timer timer;
    uint64_t peer; /* 0: free */
    struct zt_link link;
    unsigned left;
    bool full; /* always HELLO */
};

struct zt_united {
    uint64_t low, high; /* 0: free */
    int64_t at_ms; /* of the last introduction */
    unsigned step; /* how many before it, up to the end of the schedule */
};

struct zt_nat {
    struct zt_ep local[ZT_LOCAL_ENDPOINTS];
    unsigned nlocal;
    struct zt_surface surfaces[ZT_SURFACES];
    unsigned nsurfaces;
    struct zt_probe probes[ZT_PROBES];
    struct zt_united *united; /* ZT_UNITE_SLOTS, while one of them says something; else NULL */
    unsigned nunited;         /* pairs in it */
    int64_t united_ms;        /* newest introduction in it */
    struct zt_timer united_timer;
    struct zt_bucket strangers;  /* endpoints tried for peers that share no network with us */
    struct zt_bucket introduced; /* RENDEZVOUS that were followed */
    uint64_t seed;
};

void zt_nat_init(struct zt_vl1 *v, uint64_t seed);
void zt_nat_fini(struct zt_vl1 *v);

/* Try to reach peer at this link: at once, and unless it answered again after 100, 350 and 1000 ms.
 */
void zt_nat_probe(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  const struct zt_link *link, bool full);
/* Forget what hangs on a socket that is closed. */
void zt_nat_socket_gone(struct zt_vl1 *v, int sock);
/* Direct HELLO or OK(HELLO) said what our endpoint looks like. */
void zt_nat_seen(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *reporter,
                 const struct zt_link *link, const struct zt_ep *seen);

void zt_nat_push_when_due(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                          const struct zt_link *link, unsigned hops);
enum zt_verdict zt_nat_pushed(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx);
enum zt_verdict zt_nat_rendezvous(struct zt_vl1 *v, const struct zt_now *now,
                                  const struct zt_rx *rx);

/* Root: a packet head from src was relayed towards `to`, who is dest or a root nearer to it. */
void zt_nat_unite(struct zt_vl1 *v, const struct zt_now *now, uint64_t src, uint64_t dest,
                  struct zt_peer *to);

#endif
