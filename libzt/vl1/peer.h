/* A node whose identity we hold: keys, version, paths, and when it needs attention. */
#ifndef ZT_VL1_PEER_H
#define ZT_VL1_PEER_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "crypto/cipher.h"
#include "vl1/limit.h"
#include "vl1/path.h"

#define ZT_PEER_PATHS 64
#define ZT_PEERS_MAX 65536
#define ZT_PEER_ALIVE_MS 500000
#define ZT_PEER_FULL_HELLO_MS 60000
#define ZT_PEER_TRUST_MS 600000
#define ZT_PEER_PROBED 4

struct zt_expected;

/* The way to a peer, as the application is told of it. */
enum zt_reach {
    ZT_REACH_NONE, /* never heard, or not for ZT_PEER_ALIVE_MS */
    ZT_REACH_RELAYED,
    ZT_REACH_DIRECT,
};

struct zt_peer {
    struct zt_identity id; /* public */
    struct zt_keys keys;
    struct zt_timer timer; /* next time anything here is due */
    struct zt_list lru;    /* in zt_peers.lru, least recently heard first */
    bool is_upstream;
    enum zt_reach told;
    uint16_t proto, major, minor, rev; /* proto 0: unknown */

    int64_t added_ms;        /* when its identity was learned */
    int64_t last_receive_ms; /* ZT_LONG_AGO: never */
    int64_t last_active_ms;  /* last VL2 traffic proper (vl1.md 6.3) */
    int64_t last_trust_ms;
    int64_t last_full_hello_ms;
    int64_t last_push_sent_ms;
    int64_t last_push_in_ms;
    unsigned pushes_in; /* in a row, closer than 30 s */
    int64_t last_whois_ms;
    int64_t last_retry_ms;        /* of silent paths */
    int64_t last_try_ms;          /* of the endpoints that the settings name */
    struct zt_bucket echo, hello; /* answers to these */
    uint64_t hello_timestamp;     /* newest in any authentic HELLO, by the sender's clock */
    int64_t measure_at_ms; /* when to measure paths with a rough latency; ZT_NEVER: not due */

    unsigned hello_step; /* upstreams without a path: place in the retry schedule (roots.c) */
    int64_t hello_at_ms;
    unsigned next_ep;

    struct {
        struct zt_link link;
        int64_t at_ms;
        bool in_use;          /* it sent something there that was no HELLO */
    } probed[ZT_PEER_PROBED]; /* unknown links that got a HELLO lately */
    unsigned probed_at;

    /* Few peers have more than one or two: the table grows from nothing. A pointer to a path holds
     * until another is learned. */
    struct zt_path *paths;
    unsigned npaths, cap_paths;
    unsigned best, heard;  /* where the last look for the best, and for a link, ended */
    int64_t best_until_ms; /* the former is good until then */
    int64_t sign_at_ms;    /* last zt_peer_sign */

    struct zt_list unsaved; /* in zt_peers.unsaved: its file is out of date */
    int64_t saved_ms;
};

struct zt_peers {
    struct zt_map by_addr;
    struct zt_list lru;
    struct zt_list unsaved; /* oldest change first */
    struct zt_timer save_timer;
};

struct zt_vl1;

void zt_peers_init(struct zt_vl1 *v, uint64_t seed);
void zt_peers_fini(struct zt_vl1 *v);

struct zt_peer *zt_peer_get(const struct zt_vl1 *v, uint64_t addr); /* NULL: unknown */
/* Take a new identity; the caller has decided to trust it, and that the address is free. keys may
 * be NULL (derived here) or is moved from. Returns 0, ZT_E_NOMEM, ZT_E_CRYPTO, ZT_E_LIMIT. */
int zt_peer_add(struct zt_vl1 *v, const struct zt_now *now, const struct zt_identity *id,
                struct zt_keys *keys, struct zt_peer **out);

/* The path of this peer with this very link, or NULL. Quick when it is the link of the last call. */
struct zt_path *zt_peer_path(struct zt_peer *peer, const struct zt_link *link);

/* Did this come directly, from where the peer has shown to be? Else its source may be invented. */
static inline bool zt_peer_is_proven(struct zt_peer *peer, const struct zt_link *link,
                                     unsigned hops)
{
    return hops == 0 && zt_peer_path(peer, link) != NULL;
}
/* Least quality among usable paths, those in doubt last; with `any` also expired and silent ones.
 * With many paths the answer may be 20 ms old, so that a packet's cost doesn't grow with them. */
struct zt_path *zt_peer_best(struct zt_peer *peer, int64_t now_ms, bool any);
/* An authentic packet of this peer was handled (vl1.md 6.3). asked: what it answers, or NULL. */
void zt_peer_received(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                      const struct zt_link *link, unsigned hops, uint8_t verb, bool trusted,
                      const struct zt_expected *asked);
/* Before that: the peer chose this way for the packet. Another way than the paths we know is a sign
 * that it moved or restarted, so those that are quiet are doubted. */
void zt_peer_sign(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  const struct zt_link *link, unsigned hops);
/* There is traffic for this peer and no path: if it spoke from somewhere lately and our HELLO to
 * that link went unanswered, send another, at most one a second. */
void zt_peer_probe_again(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer);
/* There is traffic for this peer and no path: try the endpoints that the settings name for it, once
 * per 30 s (vl1.md 6.6). */
void zt_peer_try(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer);
/* Traffic for this peer takes a relay: ask silent paths whether they are back, each 5 s at most. */
void zt_peer_retry(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer);
/* A packet left on this path for the application: suspect it when it has been silent. */
void zt_peer_sent(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  struct zt_path *path);
/* We have new sockets: show them to the roots and to the peers we talk to, so that there are paths
 * over them before the old ones are missed. */
void zt_peers_reach_out(struct zt_vl1 *v, const struct zt_now *now);
/* See to what is due and set the timer anew. May free the peer. */
void zt_peer_service(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer);
void zt_peer_wake(struct zt_vl1 *v, struct zt_peer *peer, int64_t at_ms);
/* peers.d file (vl1.md 5.7). */
void zt_peer_save(struct zt_vl1 *v, struct zt_peer *peer);

static inline bool zt_peer_alive(const struct zt_peer *peer, int64_t now_ms)
{
    return now_ms - peer->last_receive_ms < ZT_PEER_ALIVE_MS;
}

/* Did it prove of late that it is a member of a network of ours? */
static inline bool zt_peer_is_trusted(const struct zt_peer *peer, int64_t now_ms)
{
    return now_ms - peer->last_trust_ms < ZT_PEER_TRUST_MS;
}

#endif
