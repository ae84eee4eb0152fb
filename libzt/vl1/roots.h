/* Upstreams: the roots of the planet and of moons, how we reach them, which one we ask. */
#ifndef ZT_VL1_ROOTS_H
#define ZT_VL1_ROOTS_H

#include "base/heap.h"
#include "base/host.h"
#include "vl1/vl1.h"

/* Nothing heard from any root for so long: offline. Two heartbeats of 14 s fit in. */
#define ZT_ONLINE_MS 30000

struct zt_peer;

#define ZT_UPSTREAMS_MAX (ZT_WORLD_ROOTS * (1 + ZT_MOONS_MAX))

struct zt_roots {
    struct zt_world planet; /* id 0: none */
    enum zt_underlay underlay;
    bool is_root;
    bool online; /* as last told to the application */
    bool started;
    unsigned n; /* of up */
    struct zt_peer *up[ZT_UPSTREAMS_MAX];
    struct zt_timer timer; /* online or not */
};

/* Take the configured planet: no signature check, it is the trust anchor. 0, ZT_E_FORMAT,
 * ZT_E_NOMEM. */
int zt_roots_init(struct zt_vl1 *v, const struct zt_now *now, const uint8_t *planet, size_t n);
/* First tick: start calling. */
void zt_roots_start(struct zt_vl1 *v, const struct zt_now *now);
/* A world offered by a believed sender (zt_roots_believes): planets and moons replace ours only by
 * the rules of vl1.md 5.4. */
void zt_roots_offer(struct zt_vl1 *v, const struct zt_now *now, const struct zt_world *world);

/* May worlds in an OK(HELLO) of this peer be taken: is it an upstream, or the seed of a moon? */
bool zt_roots_believes(const struct zt_vl1 *v, const struct zt_peer *peer);
/* A world came or went: make the list of upstreams anew. 0 or ZT_E_NOMEM (some root is missing). */
int zt_roots_recompute(struct zt_vl1 *v, const struct zt_now *now);

/* Least relay quality (vl1.md 6.6), NULL when there is no upstream. */
struct zt_peer *zt_roots_best(const struct zt_vl1 *v, int64_t now_ms);
/* Whom to ask when the same question is asked for the turn-th time (from 0): the best one first,
 * then the others around, because the best may be silent, or may not know. NULL: none. */
struct zt_peer *zt_roots_turn(const struct zt_vl1 *v, int64_t now_ms, unsigned turn);
enum zt_role zt_roots_role(const struct zt_vl1 *v, const struct zt_peer *peer);
/* Path filter rule 2: upstreams only at the addresses their worlds name. */
bool zt_roots_endpoint_fits(const struct zt_vl1 *v, const struct zt_peer *peer,
                            const struct zt_ep *ep);
/* Call an upstream that has no usable path; sets peer->hello_at_ms. */
void zt_roots_service(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer);
/* This upstream got a usable path, or got it back. */
void zt_roots_reachable(struct zt_vl1 *v, const struct zt_now *now, const struct zt_peer *peer);
/* Anything was received from an upstream. */
void zt_roots_heard(struct zt_vl1 *v, const struct zt_now *now);

#endif
