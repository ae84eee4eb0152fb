/* Peers and their upkeep.
 *
 * A peer is made from an identity that was proven (HELLO and proof of work), vouched for by a root
 * (WHOIS), read from the planet or from the peer cache. It goes 500 s after it was last heard,
 * unless it is an upstream. At most ZT_PEERS_MAX are kept: a new one pushes out the one unheard for
 * longest, on the next tick, because handlers may hold a pointer until then.
 *
 * Paths are learned only from an OK that came directly and answers a HELLO or ECHO that we sent to
 * that very endpoint: the round trip is proof. (For the reference any expected OK will do; but one
 * caught on its way and repeated from elsewhere would steal the path.) Any other direct packet from
 * an unknown link makes us send a HELLO there, at most one a second.
 *
 * Moving. A peer that restarts with another port, or whose NAT does, is first heard from a link we
 * don't know, or through the relay. Both make us doubt its quiet paths (path.c), the former probes
 * the link, and once that is proven, every path not heard since the question was sent is doubted
 * however recent its last packet is: traffic moves over after one round trip. Several ports of one
 * address are alternatives, too, of a peer with several sockets: unless it uses them we keep to the
 * one that answers (the "sibling" rule of vl1.md 6.3), and at most four.
 *
 * The answer that makes a path may have waited for a check of our identity, so its round trip is a
 * first guess; an ECHO soon after gives a better one.
 *
 * Sockets come and go with the addresses of the machine. A path over one that is closed stays as a
 * note of the endpoint: over "any socket", silent, until the endpoint is a path again or it
 * expires.
 *
 * Upkeep is driven by one timer per peer, set to the earliest time at which anything is due. Facts
 * that put work off (a packet was sent, a packet arrived) do not move the timer: it fires, finds
 * that nothing is due yet, and is set anew; so traffic costs no heap operation, and a peer that
 * nobody talks to costs one wake-up, its expiry. Heartbeats are rounded up to whole seconds so that
 * those of many peers share a wake-up. */
#include "vl1/peer.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl1/nat.h"
#include "vl1/roots.h"
#include "vl1/rx.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

#define PROBE_UNKNOWN_MS 1000
#define MEASURE_MS 50
#define SIBLINGS_MAX 4
#define ROUND_MS 1000
#define PEER_FILE_FORMAT 2
#define TRY_MS 30000
#define RETRY_MS 5000
#define REACH_OUT_MAX 256
#define FEW_PATHS 4 /* so many are looked through for every packet */
#define BEST_MS 20  /* with more, the best one stands for so long */
#define SAVE_DELAY_MS 60000
#define SAVE_PAUSE_MS 1000
#define SAVE_AT_ONCE 64
#define SAVE_AGAIN_MS (24 * 3600 * 1000LL)

/* Files are written a minute after the first change, and not all at once: a node that crashes
 * loses little, and one that meets many others doesn't keep its disk busy. */
static void save_some(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_list *unsaved = &tick->v->peers.unsaved;
    for (unsigned i = 0; i < SAVE_AT_ONCE && !zt_list_empty(unsaved); i++) {
        struct zt_peer *peer = ZT_CONTAINER(unsaved->next, struct zt_peer, unsaved);
        peer->saved_ms = tick->now->mono_ms;
        zt_peer_save(tick->v, peer);
    }
    if (!zt_list_empty(unsaved))
        (void)zt_heap_set(&tick->v->heap, t, tick->now->mono_ms + SAVE_PAUSE_MS);
}

static void mark_unsaved(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    if (!zt_list_empty(&peer->unsaved))
        return;
    zt_list_push_back(&v->peers.unsaved, &peer->unsaved);
    if (v->peers.save_timer.pos == 0)
        (void)zt_heap_set(&v->heap, &v->peers.save_timer, now->mono_ms + SAVE_DELAY_MS);
}

void zt_peers_init(struct zt_vl1 *v, uint64_t seed)
{
    zt_map_init(&v->peers.by_addr, seed);
    zt_list_init(&v->peers.lru);
    zt_list_init(&v->peers.unsaved);
    v->peers.save_timer.fire = save_some;
}

static void peer_free(struct zt_vl1 *v, struct zt_peer *peer)
{
    zt_heap_remove(&v->heap, &peer->timer);
    zt_list_remove(&peer->lru);
    zt_list_remove(&peer->unsaved);
    zt_map_del(&v->peers.by_addr, peer->id.addr);
    zt_keys_fini(&peer->keys);
    free(peer->paths);
    free(peer);
}

void zt_peers_fini(struct zt_vl1 *v)
{
    ZT_LIST_EACH(it, &v->peers.lru)
    peer_free(v, ZT_CONTAINER(it, struct zt_peer, lru));
    zt_map_fini(&v->peers.by_addr);
}

struct zt_peer *zt_peer_get(const struct zt_vl1 *v, uint64_t addr)
{
    return zt_map_get(&v->peers.by_addr, addr);
}

static void fire(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    zt_peer_service(tick->v, tick->now, ZT_CONTAINER(t, struct zt_peer, timer));
}

/* Make room by letting the stalest peer that is no upstream expire on the next tick. */
static void push_out_one(struct zt_vl1 *v, const struct zt_now *now)
{
    ZT_LIST_EACH(it, &v->peers.lru)
    {
        struct zt_peer *peer = ZT_CONTAINER(it, struct zt_peer, lru);
        if (!peer->is_upstream) {
            peer->added_ms = peer->last_receive_ms = ZT_LONG_AGO;
            zt_peer_wake(v, peer, now->mono_ms);
            return;
        }
    }
}

int zt_peer_add(struct zt_vl1 *v, const struct zt_now *now, const struct zt_identity *id,
                struct zt_keys *keys, struct zt_peer **out)
{
    if (v->peers.by_addr.count >= ZT_PEERS_MAX) {
        push_out_one(v, now);
        if (v->peers.by_addr.count >= ZT_PEERS_MAX + 16)
            return ZT_E_LIMIT;
    }
    struct zt_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return ZT_E_NOMEM;
    peer->id.addr = id->addr;
    memcpy(peer->id.pub, id->pub, sizeof peer->id.pub);

    int rc = 0;
    if (keys != NULL) {
        peer->keys = *keys;
        zt_wipe(keys, sizeof *keys);
    } else {
        uint8_t shared[ZT_SHARED_KEY];
        rc = zt_identity_agree(&v->id, id, shared);
        if (rc == 0)
            rc = zt_keys_init(&peer->keys, shared);
        zt_wipe(shared, sizeof shared);
        if (rc != 0) {
            free(peer);
            return rc;
        }
    }
    peer->timer.fire = fire;
    peer->added_ms = now->mono_ms;
    peer->last_receive_ms = ZT_LONG_AGO;
    peer->last_active_ms = peer->last_trust_ms = peer->last_full_hello_ms = ZT_LONG_AGO;
    peer->last_push_sent_ms = peer->last_push_in_ms = peer->last_whois_ms = ZT_LONG_AGO;
    peer->last_try_ms = peer->last_retry_ms = ZT_LONG_AGO;
    peer->hello_at_ms = ZT_LONG_AGO;
    peer->measure_at_ms = ZT_NEVER;
    for (unsigned i = 0; i < ZT_PEER_PROBED; i++)
        peer->probed[i].at_ms = ZT_LONG_AGO;
    peer->sign_at_ms = ZT_LONG_AGO;
    peer->saved_ms = now->mono_ms;
    zt_list_init(&peer->lru);
    zt_list_init(&peer->unsaved);

    rc = zt_heap_set(&v->heap, &peer->timer, now->mono_ms + ZT_PEER_ALIVE_MS);
    if (rc == 0)
        rc = zt_map_put(&v->peers.by_addr, id->addr, peer);
    if (rc != 0) {
        zt_heap_remove(&v->heap, &peer->timer);
        zt_keys_fini(&peer->keys);
        free(peer);
        return rc;
    }
    zt_list_push_back(&v->peers.lru, &peer->lru);
    *out = peer;
    return 0;
}

struct zt_path *zt_peer_path(struct zt_peer *peer, const struct zt_link *link)
{
    if (peer->heard < peer->npaths && zt_link_equal(&peer->paths[peer->heard].link, link))
        return &peer->paths[peer->heard];
    for (unsigned i = 0; i < peer->npaths; i++)
        if (zt_link_equal(&peer->paths[i].link, link)) {
            peer->heard = i;
            return &peer->paths[i];
        }
    return NULL;
}

struct zt_path *zt_peer_best(struct zt_peer *peer, int64_t now_ms, bool any)
{
    struct zt_path *best = NULL;
    int64_t least = INT64_MAX;
    if (!any && peer->npaths > FEW_PATHS && now_ms < peer->best_until_ms) {
        best = &peer->paths[peer->best];
        if (zt_path_alive(best, now_ms) && !best->doubted)
            return best;
        best = NULL;
    }
    for (unsigned i = 0; i < peer->npaths; i++) {
        struct zt_path *path = &peer->paths[i];
        if (!any && !zt_path_usable(path, now_ms))
            continue;
        int64_t q = zt_path_quality(path, now_ms);
        if (path->doubted)
            q += INT64_MAX / 2;
        if (q <= least) {
            least = q;
            best = path;
        }
    }
    if (!any && best != NULL) {
        peer->best = (unsigned)(best - peer->paths);
        peer->best_until_ms = now_ms + BEST_MS;
    }
    return best;
}

/* Places moved: what was found by place is to be looked for again. */
static void paths_changed(struct zt_peer *peer)
{
    peer->best_until_ms = ZT_LONG_AGO;
}

void zt_peer_wake(struct zt_vl1 *v, struct zt_peer *peer, int64_t at_ms)
{
    if (peer->timer.pos == 0 || peer->timer.at_ms > at_ms)
        (void)zt_heap_set(&v->heap, &peer->timer, at_ms); /* queued since zt_peer_add: no growth */
}

/* Tell the application when the way to a peer changes: by a relay, directly, none at all. The last
 * shows by time alone, so the timer must fire then. */
static void report_reach(struct zt_vl1 *v, struct zt_peer *peer, int64_t now_ms)
{
    enum zt_reach reach = zt_peer_best(peer, now_ms, false) != NULL ? ZT_REACH_DIRECT
                          : zt_peer_alive(peer, now_ms)             ? ZT_REACH_RELAYED
                                                                    : ZT_REACH_NONE;
    if (reach == peer->told)
        return;
    peer->told = reach;
    if (reach != ZT_REACH_NONE)
        zt_peer_wake(v, peer, peer->last_receive_ms + ZT_PEER_ALIVE_MS);
    zt_event(v, ZT_EVENT_PEER, peer->id.addr);
}

/* Paths were lost or are doubted: whoever waits for an answer over them need not wait any longer.
 */
static void rerouted(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    zt_peer_wake(v, peer, now->mono_ms);
    zt_event(v, ZT_EVENT_REROUTED, peer->id.addr);
}

static bool is_sibling(const struct zt_path *path, const struct zt_link *link)
{
    return (path->link.sock == link->sock || path->link.sock < 0) &&
           zt_ep_same_ip(&path->link.ep, &link->ep);
}

/* Which of two paths to give up: one that is silent, else the one of worse quality. */
static bool is_worse(const struct zt_path *a, const struct zt_path *b, int64_t now_ms)
{
    if (a->silent != b->silent)
        return a->silent;
    return zt_path_quality(a, now_ms) > zt_path_quality(b, now_ms);
}

/* One more place, or NULL: there are enough, or no memory. */
static struct zt_path *add_place(struct zt_peer *peer)
{
    if (peer->npaths == peer->cap_paths) {
        unsigned cap = peer->cap_paths == 0 ? 2 : 2 * peer->cap_paths;
        struct zt_path *paths =
            cap > ZT_PEER_PATHS ? NULL : realloc(peer->paths, cap * sizeof *paths);
        if (paths == NULL)
            return NULL;
        peer->paths = paths;
        peer->cap_paths = cap;
    }
    return &peer->paths[peer->npaths++];
}

/* Where to put a path to this link: in place of a dead one of the same host, in a free place, or in
 * place of the worst. NULL: no memory for the first one. */
static struct zt_path *slot_for(struct zt_peer *peer, const struct zt_link *link, int64_t now_ms)
{
    struct zt_path *worst = NULL, *oldest_sibling = NULL;
    unsigned siblings = 0;
    for (unsigned i = 0; i < peer->npaths; i++) {
        struct zt_path *path = &peer->paths[i];
        if (worst == NULL || is_worse(path, worst, now_ms))
            worst = path;
        if (!is_sibling(path, link))
            continue;
        if (path->silent)
            return path;
        siblings++;
        if (oldest_sibling == NULL || path->last_in_ms < oldest_sibling->last_in_ms)
            oldest_sibling = path;
    }
    if (siblings >= SIBLINGS_MAX)
        return oldest_sibling;
    struct zt_path *place = add_place(peer);
    return place != NULL ? place : worst;
}

/* The peer answered from this link what we asked it there rtt ms ago. */
static void learn(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  const struct zt_link *link, int64_t rtt)
{
    int64_t asked_ms = now->mono_ms - rtt;
    bool in_use = false, has_sibling = false;
    for (unsigned i = 0; i < ZT_PEER_PROBED; i++)
        in_use |= peer->probed[i].in_use && zt_link_equal(&peer->probed[i].link, link);
    for (unsigned i = 0; i < peer->npaths; i++)
        has_sibling |= is_sibling(&peer->paths[i], link) && !peer->paths[i].silent &&
                       peer->paths[i].last_in_ms > asked_ms;
    if (has_sibling && !in_use)
        return; /* another socket of a peer that is well where we know it */

    struct zt_path *slot = slot_for(peer, link, now->mono_ms);
    if (slot == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
        return;
    }
    paths_changed(peer);
    mark_unsaved(v, now, peer);
    zt_path_init(slot, link, now->mono_ms);
    zt_path_latency(slot, rtt, true);
    peer->measure_at_ms = now->mono_ms + MEASURE_MS;
    zt_peer_wake(v, peer, peer->measure_at_ms);
    bool doubt = false;
    for (unsigned i = 0; i < peer->npaths; i++) {
        struct zt_path *path = &peer->paths[i];
        if (path != slot && path->last_in_ms <= asked_ms)
            doubt |= zt_path_doubt(path, now->mono_ms, true);
    }
    if (doubt)
        rerouted(v, now, peer);
    if (peer->is_upstream)
        zt_roots_reachable(v, now, peer);
    else
        zt_wait_kick(v, now, peer->id.addr);
}

/* Send a HELLO to a link that this peer spoke from, so that its OK can make it a path. */
static void probe_unknown(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                          const struct zt_link *link, bool in_use)
{
    for (unsigned i = 0; i < ZT_PEER_PROBED; i++)
        if (zt_link_equal(&peer->probed[i].link, link)) {
            peer->probed[i].in_use |= in_use;
            if (now->mono_ms - peer->probed[i].at_ms < PROBE_UNKNOWN_MS)
                return;
        }
    unsigned at = peer->probed_at++ % ZT_PEER_PROBED;
    if (now->mono_ms - peer->probed[at].at_ms < PROBE_UNKNOWN_MS)
        return; /* four links within a second: enough */
    peer->probed[at].link = *link;
    peer->probed[at].at_ms = now->mono_ms;
    peer->probed[at].in_use = in_use;
    zt_nat_probe(v, now, peer, link, true);
}

void zt_peer_probe_again(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    unsigned last = 0;
    for (unsigned i = 1; i < ZT_PEER_PROBED; i++)
        if (peer->probed[i].at_ms > peer->probed[last].at_ms)
            last = i;
    int64_t age = now->mono_ms - peer->probed[last].at_ms;
    if (age < PROBE_UNKNOWN_MS || age >= ZT_PATH_EXPIRE_MS)
        return;
    peer->probed[last].at_ms = now->mono_ms;
    zt_tx_hello(v, now, peer, &peer->probed[last].link, false);
}

void zt_peer_retry(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    if (peer->npaths == 0 || now->mono_ms - peer->last_retry_ms < RETRY_MS)
        return;
    peer->last_retry_ms = now->mono_ms;
    for (unsigned i = 0; i < peer->npaths; i++)
        if (peer->paths[i].silent)
            zt_tx_contact(v, now, peer, &peer->paths[i].link, false);
}

void zt_peer_try(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    const struct zt_set_node *node = NULL;
    if (v->settings.nnodes > 0 && now->mono_ms - peer->last_try_ms >= TRY_MS)
        node = zt_settings_node(&v->settings, peer->id.addr);
    if (node == NULL)
        return;
    peer->last_try_ms = now->mono_ms;
    for (unsigned i = 0; i < node->ntry; i++)
        if (zt_path_allowed(v, peer, &node->try_at[i]))
            zt_nat_probe(v, now, peer, &(struct zt_link){.sock = -1, .ep = node->try_at[i]}, true);
        else
            zt_drop_count(v->drops, ZT_DROP_PATH);
}

/* Forget paths that are not allowed any more. */
static void drop_forbidden_paths(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < peer->npaths; i++)
        if (zt_path_allowed(v, peer, &peer->paths[i].link.ep))
            peer->paths[kept++] = peer->paths[i];
    if (kept == peer->npaths)
        return;
    peer->npaths = kept;
    paths_changed(peer);
    report_reach(v, peer, now->mono_ms);
    zt_peer_wake(v, peer, now->mono_ms);
}

void zt_vl1_configure(struct zt_vl1 *v, const struct zt_now *now, const struct zt_settings *s)
{
    v->settings = *s;
    ZT_LIST_EACH(it, &v->peers.lru)
    {
        struct zt_peer *peer = ZT_CONTAINER(it, struct zt_peer, lru);
        drop_forbidden_paths(v, now, peer);
        peer->last_try_ms = ZT_LONG_AGO;
    }
}

static void received_direct(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                            const struct zt_link *link, uint8_t verb,
                            const struct zt_expected *asked)
{
    bool proven = asked != NULL && zt_tx_asked(v, asked, &link->ep);
    int64_t rtt = proven ? zt_tx_age_ms(asked, now->mono_ms) : 0;
    struct zt_path *path = zt_peer_path(peer, link);
    if (path != NULL) {
        bool was_usable = zt_path_usable(path, now->mono_ms);
        zt_path_heard(path, now->mono_ms);
        if (proven)
            zt_path_latency(path, rtt, false);
        if (!was_usable) {
            zt_peer_wake(v, peer, now->mono_ms + ZT_PATH_HEARTBEAT_MS);
            if (peer->is_upstream)
                zt_roots_reachable(v, now, peer);
        }
        return;
    }
    if (!zt_path_allowed(v, peer, &link->ep)) {
        zt_drop_count(v->drops, ZT_DROP_PATH);
        return;
    }
    if (proven)
        learn(v, now, peer, link, rtt);
    else
        probe_unknown(v, now, peer, link, verb != ZT_VERB_HELLO);
}

void zt_peer_sign(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  const struct zt_link *link, unsigned hops)
{
    if (peer->npaths == 0 ||
        (hops == 0 && (zt_peer_path(peer, link) != NULL || !zt_path_allowed(v, peer, &link->ep))))
        return;
    if (peer->npaths > FEW_PATHS && now->mono_ms - peer->sign_at_ms < BEST_MS)
        return;
    peer->sign_at_ms = now->mono_ms;
    bool doubt = false;
    for (unsigned i = 0; i < peer->npaths; i++)
        doubt |= zt_path_doubt(&peer->paths[i], now->mono_ms, false);
    if (doubt)
        rerouted(v, now, peer);
}

static bool is_activity(uint8_t verb)
{
    return verb == ZT_VERB_FRAME || verb == ZT_VERB_EXT_FRAME ||
           verb == ZT_VERB_NETWORK_CONFIG_REQUEST || verb == ZT_VERB_NETWORK_CONFIG ||
           verb == ZT_VERB_MULTICAST_FRAME;
}

void zt_peer_received(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                      const struct zt_link *link, unsigned hops, uint8_t verb, bool trusted,
                      const struct zt_expected *asked)
{
    int64_t t = now->mono_ms;
    if (peer->last_receive_ms != t) {
        peer->last_receive_ms = t;
        zt_list_remove(&peer->lru);
        zt_list_push_back(&v->peers.lru, &peer->lru);
    }
    if (is_activity(verb)) {
        /* Becoming active starts the heartbeats, which the timer does not know about yet. */
        if (t - peer->last_active_ms >= ZT_PEER_ALIVE_MS)
            zt_peer_wake(v, peer, t + ZT_PATH_HEARTBEAT_MS);
        peer->last_active_ms = t;
    }
    if (trusted)
        peer->last_trust_ms = t;
    if (trusted && hops == 0)
        zt_rx_trust(v, now, link);
    if (hops == 0)
        received_direct(v, now, peer, link, verb, asked);
    if (hops == 0 || peer->told == ZT_REACH_NONE)
        report_reach(v, peer, t);
    if (peer->is_upstream)
        zt_roots_heard(v, now);
    if (zt_peer_is_trusted(peer, t))
        zt_nat_push_when_due(v, now, peer, link, hops);
}

/* Two round trips, within bounds; when the latency is unknown, the middle one. */
static int64_t patience(const struct zt_path *path, int64_t least, int64_t unknown, int64_t most)
{
    int64_t ms = 2 * (int64_t)path->latency_ms;
    if (path->latency_ms == ZT_LATENCY_UNKNOWN)
        return unknown;
    return ms < least ? least : ms > most ? most : ms;
}

static int64_t unanswered_ms(const struct zt_path *path)
{
    return patience(path, ZT_PATH_UNANSWERED_MS, ZT_PATH_UNANSWERED_MS, ZT_PATH_SUSPECT_MS);
}

void zt_peer_sent(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  struct zt_path *path)
{
    int64_t t = now->mono_ms;
    path->last_out_ms = t;
    bool is_first = path->unheard_ms == ZT_LONG_AGO;
    if (is_first)
        path->unheard_ms = t;
    if (path->probes > 0 || path->silent)
        return;
    if (is_first ? t - path->last_in_ms > ZT_PATH_SUSPECT_MS
                 : t - path->unheard_ms > unanswered_ms(path)) {
        path->probes = 1;
        path->probe_at_ms = t;
        zt_peer_wake(v, peer, t);
    }
}

static bool is_busy(const struct zt_peer *peer, int64_t now_ms)
{
    return peer->is_upstream || now_ms - peer->last_active_ms < ZT_PEER_ALIVE_MS;
}

void zt_vl1_socket_gone(struct zt_vl1 *v, const struct zt_now *now, int sock)
{
    zt_nat_socket_gone(v, sock);
    ZT_LIST_EACH(it, &v->peers.lru)
    {
        struct zt_peer *peer = ZT_CONTAINER(it, struct zt_peer, lru);
        bool lost = false;
        for (unsigned i = 0; i < peer->npaths; i++) {
            struct zt_path *path = &peer->paths[i];
            if (path->link.sock != sock)
                continue;
            path->link.sock = -1;
            path->silent = true;
            path->probes = 0;
            lost = true;
            if (is_busy(peer, now->mono_ms))
                zt_nat_probe(v, now, peer, &path->link, true);
        }
        for (unsigned i = 0; i < ZT_PEER_PROBED; i++)
            if (peer->probed[i].link.sock == sock)
                peer->probed[i].link.sock = -1;
        if (lost) {
            report_reach(v, peer, now->mono_ms);
            rerouted(v, now, peer);
        }
    }
}

void zt_peers_reach_out(struct zt_vl1 *v, const struct zt_now *now)
{
    unsigned left = v->roots.started ? REACH_OUT_MAX : 0;
    for (struct zt_list *it = v->peers.lru.prev; it != &v->peers.lru; it = it->prev) {
        struct zt_peer *peer = ZT_CONTAINER(it, struct zt_peer, lru);
        struct zt_path *best = zt_peer_best(peer, now->mono_ms, false);
        if (left == 0)
            break;
        if (!is_busy(peer, now->mono_ms))
            continue;
        left--;
        if (best != NULL)
            zt_tx_hello(v, now, peer, &(struct zt_link){.sock = -1, .ep = best->link.ep}, false);
        for (unsigned i = 0; i < peer->npaths; i++)
            if (peer->paths[i].link.sock < 0)
                zt_nat_probe(v, now, peer, &peer->paths[i].link, true);
        if (best == NULL && peer->is_upstream) {
            peer->hello_at_ms = now->mono_ms;
            zt_peer_wake(v, peer, now->mono_ms);
        }
    }
}

static void drop_expired_paths(struct zt_peer *peer, int64_t now_ms)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < peer->npaths; i++)
        if (!zt_path_expired(&peer->paths[i], now_ms))
            peer->paths[kept++] = peer->paths[i];
    if (kept == peer->npaths)
        return;
    peer->npaths = kept;
    paths_changed(peer);
}

/* Is this path kept up? Then heartbeats are due on it. */
static bool is_kept(const struct zt_peer *peer, const struct zt_path *path, int64_t now_ms)
{
    return !path->silent && is_busy(peer, now_ms);
}

/* When the heartbeat is due: nothing out (a NAT forgets us) or nothing in (it may be gone). */
static int64_t heartbeat_at(const struct zt_vl1 *v, const struct zt_path *path)
{
    int64_t least = path->last_out_ms < path->last_in_ms ? path->last_out_ms : path->last_in_ms;
    int64_t at =
        least + (v->settings.low_bandwidth ? ZT_PATH_HEARTBEAT_LOW_MS : ZT_PATH_HEARTBEAT_MS);
    return (at + ROUND_MS - 1) / ROUND_MS * ROUND_MS;
}

/* No answer to several probes. When the peer has another port on that address by now, this one is
 * history; else it stays for the case that it is only the network that is broken. */
static void give_up(struct zt_peer *peer, struct zt_path *path, int64_t now_ms)
{
    path->probes = 0;
    path->silent = true;
    for (unsigned i = 0; i < peer->npaths; i++)
        if (is_sibling(&peer->paths[i], &path->link) && zt_path_usable(&peer->paths[i], now_ms))
            path->last_in_ms = ZT_LONG_AGO;
}

static int64_t probe_pause(const struct zt_path *path)
{
    return patience(path, ZT_PATH_PROBE_LEAST_MS, ZT_PATH_PROBE_MS, ZT_PATH_PROBE_MOST_MS);
}

/* One path doesn't answer: ask the others before the traffic depends on them. */
static void suspect_others(struct zt_peer *peer, const struct zt_path *but, int64_t now_ms)
{
    for (unsigned i = 0; i < peer->npaths; i++) {
        struct zt_path *path = &peer->paths[i];
        if (path != but && path->probes == 0 && zt_path_usable(path, now_ms) &&
            now_ms - path->last_in_ms > probe_pause(path)) {
            path->probes = 1;
            path->probe_at_ms = now_ms;
        }
    }
}

/* Returns whether the path is doubted from now on. */
static bool service_path(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                         struct zt_path *path, bool full)
{
    int64_t t = now->mono_ms;
    bool was_doubted = path->doubted;
    if (path->probes > 0 && t >= path->probe_at_ms) {
        if (path->probes > ZT_PATH_PROBES) {
            give_up(peer, path, t);
            return false;
        }
        /* From the second probe on a HELLO: the other side may have lost our identity. */
        zt_tx_contact(v, now, peer, &path->link, path->probes > 1 || path->doubted || full);
        path->doubted |= path->probes > ZT_PATH_DOUBT;
        if (path->probes == 2)
            suspect_others(peer, path, t);
        path->last_out_ms = t;
        path->probes++;
        path->probe_at_ms = t + probe_pause(path);
    } else if (path->probes == 0 && is_kept(peer, path, t) &&
               (full || t >= heartbeat_at(v, path))) {
        zt_tx_contact(v, now, peer, &path->link, full);
        path->last_out_ms = t;
        path->probes = 1;
        path->probe_at_ms = t + probe_pause(path);
    }
    return path->doubted && !was_doubted;
}

static void measure(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    peer->measure_at_ms = ZT_NEVER;
    for (unsigned i = 0; i < peer->npaths; i++)
        if (peer->paths[i].rough && !peer->paths[i].silent)
            zt_tx_contact(v, now, peer, &peer->paths[i].link, false);
}

/* When a peer that stays unheard is forgotten. */
static int64_t forget_at(const struct zt_peer *peer)
{
    int64_t last = peer->last_receive_ms > peer->added_ms ? peer->last_receive_ms : peer->added_ms;
    return last + ZT_PEER_ALIVE_MS;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void set_timer(struct zt_vl1 *v, struct zt_peer *peer, int64_t now_ms)
{
    int64_t at = earlier(peer->is_upstream ? ZT_NEVER : forget_at(peer), peer->measure_at_ms);
    if (peer->told != ZT_REACH_NONE)
        at = earlier(at, peer->last_receive_ms + ZT_PEER_ALIVE_MS);
    for (unsigned i = 0; i < peer->npaths; i++) {
        const struct zt_path *path = &peer->paths[i];
        at = earlier(at, path->last_in_ms + ZT_PATH_EXPIRE_MS);
        if (path->probes > 0)
            at = earlier(at, path->probe_at_ms);
        else if (is_kept(peer, path, now_ms))
            at = earlier(at, earlier(heartbeat_at(v, path),
                                     peer->last_full_hello_ms + ZT_PEER_FULL_HELLO_MS));
    }
    if (peer->is_upstream && zt_peer_best(peer, now_ms, false) == NULL)
        at = earlier(at, peer->hello_at_ms);
    if (at <= now_ms)
        at = now_ms + 1; /* a guard against a mistake above becoming a busy loop */
    if (at == ZT_NEVER)
        zt_heap_remove(&v->heap, &peer->timer);
    else
        (void)zt_heap_set(&v->heap, &peer->timer, at);
}

void zt_peer_service(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer)
{
    int64_t t = now->mono_ms;
    if (!peer->is_upstream && t >= forget_at(peer)) {
        zt_peer_save(v, peer);
        peer->npaths = 0;
        peer->last_receive_ms = ZT_LONG_AGO;
        report_reach(v, peer, t);
        peer_free(v, peer);
        return;
    }
    drop_expired_paths(peer, t);

    bool kept = false;
    for (unsigned i = 0; i < peer->npaths; i++)
        kept |= is_kept(peer, &peer->paths[i], t);
    bool full = kept && t - peer->last_full_hello_ms >= ZT_PEER_FULL_HELLO_MS;
    if (full)
        peer->last_full_hello_ms = t;
    bool doubt = false;
    for (unsigned i = 0; i < peer->npaths; i++)
        doubt |= service_path(v, now, peer, &peer->paths[i], full);
    if (t >= peer->measure_at_ms)
        measure(v, now, peer);
    if (t - peer->saved_ms >= SAVE_AGAIN_MS)
        mark_unsaved(v, now, peer); /* files that are not touched for 30 days are deleted */

    report_reach(v, peer, t);
    if (doubt)
        zt_event(v, ZT_EVENT_REROUTED, peer->id.addr);
    if (peer->is_upstream)
        zt_roots_service(v, now, peer);
    set_timer(v, peer, t);
}

void zt_peer_save(struct zt_vl1 *v, struct zt_peer *peer)
{
    zt_list_remove(&peer->unsaved);
    if (peer->npaths == 0 || v->host->save == NULL)
        return;
    uint8_t file[1 + ZT_IDENTITY_WIRE + 10 + ZT_PEER_PATHS * 19];
    struct zt_wr w = zt_wr(file, sizeof file);
    zt_wr_u8(&w, PEER_FILE_FORMAT);
    zt_wr_identity(&w, &peer->id, false);
    zt_wr_u16(&w, peer->proto);
    zt_wr_u16(&w, peer->major);
    zt_wr_u16(&w, peer->minor);
    zt_wr_u16(&w, peer->rev);
    zt_wr_u16(&w, (uint16_t)peer->npaths);
    for (unsigned i = 0; i < peer->npaths; i++)
        zt_wr_ep(&w, &peer->paths[i].link.ep);
    assert(!w.bad);
    v->host->save(v->host->user, ZT_OBJECT_PEER, peer->id.addr, file, w.n);
}

void zt_vl1_save_peers(struct zt_vl1 *v)
{
    ZT_LIST_EACH(it, &v->peers.lru)
    zt_peer_save(v, ZT_CONTAINER(it, struct zt_peer, lru));
}

int zt_vl1_restore_peer(struct zt_vl1 *v, const struct zt_now *now, const uint8_t *p, size_t n)
{
    struct zt_rd r = zt_rd(p, n);
    struct zt_identity id;
    if (zt_rd_u8(&r) != PEER_FILE_FORMAT)
        return ZT_E_FORMAT;
    zt_rd_identity(&r, &id);
    uint16_t version[4];
    for (unsigned i = 0; i < 4; i++)
        version[i] = zt_rd_u16(&r);
    unsigned neps = zt_rd_u16(&r);
    struct zt_ep eps[ZT_PEER_PATHS];
    unsigned kept = 0;
    for (unsigned i = 0; i < neps && !r.bad; i++) {
        struct zt_ep ep;
        zt_rd_ep(&r, &ep);
        if (!r.bad && ep.family != 0 && kept < ZT_PEER_PATHS)
            eps[kept++] = ep;
    }
    if (r.bad || zt_addr_reserved(id.addr) || id.addr == v->id.addr)
        return ZT_E_FORMAT;

    struct zt_peer *peer = zt_peer_get(v, id.addr);
    if (peer == NULL) {
        int rc = zt_peer_add(v, now, &id, NULL, &peer);
        if (rc != 0)
            return rc;
        peer->proto = version[0];
        peer->major = version[1];
        peer->minor = version[2];
        peer->rev = version[3];
    } else if (!zt_identity_equal(&peer->id, &id)) {
        return ZT_E_EXIST;
    }
    /* The endpoints are only hints: each becomes a path when an OK comes back from it. */
    for (unsigned i = 0; i < kept; i++)
        if (zt_path_allowed(v, peer, &eps[i]))
            zt_nat_probe(v, now, peer, &(struct zt_link){.sock = -1, .ep = eps[i]}, true);
    return 0;
}
