/* VL1 as VL2 and core see it: authenticated packets between node addresses, over direct paths or
 * relays. One object per node, one thread; time, randomness and I/O come through arguments and
 * struct zt_host. Spec: vl1.md. */
#ifndef ZT_VL1_VL1_H
#define ZT_VL1_VL1_H

#include "base/drop.h"
#include "base/host.h"
#include "base/info.h"
#include "base/settings.h"
#include "wire/identity.h"
#include "wire/packet.h"
#include "wire/world.h"

struct zt_vl1;
struct zt_peer;

/* An authenticated, decrypted, decompressed packet while it is being handled. Everything in it dies
 * with the call. The 28 bytes before payload may be overwritten by the handler. */
struct zt_rx {
    struct zt_peer *peer;
    uint64_t from; /* node address of the sender */
    struct zt_link link;
    uint64_t id; /* packet id on the wire */
    uint8_t verb, hops;
    uint8_t *payload;
    size_t n;
};

enum zt_verdict {
    ZT_VERDICT_IGNORED, /* does not count as received from the peer */
    ZT_VERDICT_OK,      /* counts */
    ZT_VERDICT_TRUSTED, /* counts, and the sender proved membership of a common network */
    ZT_VERDICT_HOLD,    /* keep the packet and hand it up again (500 ms, at most 5 s) */
};

/* How VL2 hooks in. now and rx are only valid during the call. Handlers may send. */
struct zt_vl1_upper {
    void *user;
    /* A VL2 verb (vl1.md 4.14). */
    enum zt_verdict (*packet)(void *user, const struct zt_now *now, const struct zt_rx *rx);
    /* OK that passed the expected-reply table, for a VL2 verb (in_re ECHO with 16 bytes too: vl1.md
     * 4.2). body: after the 9-byte prefix. */
    enum zt_verdict (*ok)(void *user, const struct zt_now *now, const struct zt_rx *rx,
                          uint8_t in_re_verb, uint64_t in_re_id, uint8_t *body, size_t n);
    /* ERROR of a code VL1 does not handle itself. body: after the code. */
    enum zt_verdict (*error)(void *user, const struct zt_now *now, const struct zt_rx *rx,
                             uint8_t in_re_verb, uint64_t in_re_id, uint8_t code,
                             const uint8_t *body, size_t n);
    /* Path filter rule 3: is this endpoint inside one of our own virtual networks? */
    bool (*is_virtual)(void *user, const struct zt_ep *ep);
    /* An upstream that had no usable path has one. May be NULL, as all of these may. */
    void (*upstream_up)(void *user, const struct zt_now *now, uint64_t addr);
};

/* Which addresses may be used for the outside (design.md, Running without the internet). */
enum zt_underlay {
    ZT_UNDERLAY_NORMAL,        /* no loopback */
    ZT_UNDERLAY_LOOPBACK_TOO,  /* the planet names loopback endpoints among others */
    ZT_UNDERLAY_LOOPBACK_ONLY, /* the planet names nothing else: leave the machine never */
};

struct zt_vl1_config {
    const struct zt_identity *identity; /* with private key; copied */
    const struct zt_host *host;         /* borrowed, outlives the object */
    struct zt_drops *drops;             /* borrowed: counters to use */
    const uint8_t *planet;              /* serialized, or NULL */
    size_t nplanet;
};

/* Returns 0, ZT_E_NOMEM, ZT_E_FORMAT (planet), ZT_E_INVAL. */
int zt_vl1_new(const struct zt_vl1_config *cfg, const struct zt_now *now, struct zt_vl1 **out);
void zt_vl1_free(struct zt_vl1 *v);
void zt_vl1_set_upper(struct zt_vl1 *v, const struct zt_vl1_upper *upper); /* copied */

/* New settings, copied; takes effect with the next packet. Paths that they forbid end. */
void zt_vl1_configure(struct zt_vl1 *v, const struct zt_now *now, const struct zt_settings *s);

/* p is decrypted in place and needs no slack. */
void zt_vl1_datagram(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in,
                     uint8_t *p, size_t n);
void zt_vl1_tick(struct zt_vl1 *v, const struct zt_now *now);
/* Monotonic ms; the time of construction until the first tick, which starts everything. */
int64_t zt_vl1_deadline(const struct zt_vl1 *v);

/* Answer to host.check_identity. */
void zt_vl1_identity_checked(struct zt_vl1 *v, const struct zt_now *now,
                             const struct zt_identity *id, bool valid);
/* Own addresses and ports that others may try (announced by PUSH_DIRECT_PATHS). Copied; up to 32.
 */
void zt_vl1_set_local(struct zt_vl1 *v, const struct zt_now *now, const struct zt_ep *eps,
                      size_t n);
/* This socket of the host is closed: no path leads over it any more. Where the endpoints of the
 * paths lost belong to busy peers, they are asked at once over the sockets that are left. */
void zt_vl1_socket_gone(struct zt_vl1 *v, const struct zt_now *now, int sock);
/* How others saw us of late; at most cap, returns how many. */
size_t zt_vl1_surface(const struct zt_vl1 *v, const struct zt_now *now, struct zt_ep *out,
                      size_t cap);
/* A peers.d file (vl1.md 5.7): remember the identity and try its endpoints. */
int zt_vl1_restore_peer(struct zt_vl1 *v, const struct zt_now *now, const uint8_t *p, size_t n);
/* Hand every peer with a path to host.save (shutdown). Peers whose paths changed are handed over a
 * minute later, and all once a day, by themselves. */
void zt_vl1_save_peers(struct zt_vl1 *v);

#define ZT_TX_COMPRESS 1u /* try LZ4 */
#define ZT_TX_EXPECT 2u   /* register: an OK for it will be accepted */

/* Send a verb to a node. The ZT_PKT_PAYLOAD bytes before payload are used for the header and
 * payload is encrypted in place: both are clobbered. With no path or identity yet the packet is
 * copied and waits (<= 5 s, bounded queue). id (may be NULL) gets the wire id, 0 while it waits.
 * Returns 0, ZT_E_SPACE (payload above ZT_PKT_MAX_SENT - 28), ZT_E_INVAL (own or reserved address),
 * ZT_E_LIMIT (queue). */
int zt_vl1_send(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
                uint8_t *payload, size_t n, unsigned flags, uint64_t *id);

/* A USER_MESSAGE for the application of another node. data is copied. Types up to 65535 are reserved
 * by the protocol's owner. As zt_vl1_send. */
int zt_vl1_send_message(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint64_t type,
                        const uint8_t *data, size_t n);

/* Answer a packet on the link it came in on. body is copied (<= 1400 bytes, else ZT_E_SPACE). */
int zt_vl1_reply_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                    const uint8_t *body, size_t n);
int zt_vl1_reply_error(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                       uint8_t code, const uint8_t *body, size_t n);

/* Did the sender prove that it is where this packet came from? Its source may be invented else, so
 * an answer to it should not be much larger than the question. */
bool zt_vl1_is_proven(const struct zt_rx *rx);

uint64_t zt_vl1_address(const struct zt_vl1 *v);
const struct zt_identity *zt_vl1_identity(const struct zt_vl1 *v);
/* Public identity of a node we know, or NULL. */
const struct zt_identity *zt_vl1_identity_of(const struct zt_vl1 *v, uint64_t addr);
/* Ask the best upstream for this identity, unless it is known or was asked for just now. */
void zt_vl1_whois(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr);
bool zt_vl1_is_root(const struct zt_vl1 *v); /* our own identity is in a world */
bool zt_vl1_is_upstream(const struct zt_vl1 *v, uint64_t addr);
/* Addresses of all upstreams, at most cap; returns how many. */
size_t zt_vl1_upstreams(const struct zt_vl1 *v, uint64_t *out, size_t cap);
uint64_t zt_vl1_best_upstream(const struct zt_vl1 *v, const struct zt_now *now); /* 0: none */
bool zt_vl1_online(const struct zt_vl1 *v);
enum zt_underlay zt_vl1_underlay(const struct zt_vl1 *v);

#define ZT_MOONS_MAX 16

struct zt_moon_info {
    uint64_t id, seed; /* seed: 0 unless waiting */
    bool is_waiting;   /* wanted, not yet received: world is empty */
    struct zt_world world;
};

/* Moons (moons.c). A moon from the host's own storage: no signature is asked for. 0, ZT_E_FORMAT
 * (no moon, or another id), ZT_E_EXIST (held, and this is no newer revision), ZT_E_LIMIT,
 * ZT_E_NOMEM. */
int zt_vl1_load_moon(struct zt_vl1 *v, const struct zt_now *now, uint64_t id, const uint8_t *p,
                     size_t n);
/* Want this moon, which the node `seed` knows; nothing happens when it is held. 0, ZT_E_INVAL (id
 * 0, seed no node's address or our own), ZT_E_LIMIT. */
int zt_vl1_orbit(struct zt_vl1 *v, const struct zt_now *now, uint64_t id, uint64_t seed);
/* Neither hold nor want it any more. 0 or ZT_E_NOENT. */
int zt_vl1_deorbit(struct zt_vl1 *v, const struct zt_now *now, uint64_t id);
size_t zt_vl1_moons(const struct zt_vl1 *v, uint64_t *out, size_t cap); /* returns the total */
int zt_vl1_moon(const struct zt_vl1 *v, uint64_t id, struct zt_moon_info *out); /* or ZT_E_NOENT */

/* Retry packets that a handler put on ZT_VERDICT_HOLD for this sender, now. */
void zt_vl1_release(struct zt_vl1 *v, const struct zt_now *now, uint64_t from);
/* Peer latency in ms over its best direct path, -1 unknown; alive direct path? */
int zt_vl1_latency(const struct zt_vl1 *v, const struct zt_now *now, uint64_t addr);

void zt_vl1_status(const struct zt_vl1 *v, struct zt_status_info *out); /* its fields only */
/* Every table of this layer, at most ZT_INFO_TABLES; returns how many. Walks them: not for each
 * packet. */
size_t zt_vl1_tables(const struct zt_vl1 *v, struct zt_table_info *out);
size_t zt_vl1_peers(const struct zt_vl1 *v, uint64_t *out, size_t cap); /* returns the total */
int zt_vl1_peer(const struct zt_vl1 *v, const struct zt_now *now, uint64_t addr,
                struct zt_peer_info *out); /* 0 or ZT_E_NOENT */

#endif
