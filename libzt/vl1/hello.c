/* HELLO.
 *
 * From a known peer it is authenticated and answered at once. From a stranger three steps follow,
 * the cheap ones first: the rate limit of its source prefix, the MAC under the key agreed with the
 * claimed identity, then the proof of work. The last takes tens of milliseconds, so it is done
 * elsewhere: the HELLO waits here (64 rows, the newest HELLO of an identity replaces an older one)
 * and host.check_identity is asked; zt_vl1_identity_checked brings the answer. Because nothing
 * blocks, the rate limit is a token bucket of 16 checks and one more per 100 ms, for each /24 or
 * /48, instead of the reference's single check per two seconds, which makes nodes of one site wait
 * for each other.
 *
 * A source can be invented, and with it the prefix, so there are limits for all strangers together,
 * by what a step costs: 1000 agreements a second (some 0.1 ms each, here), and 20 proofs of work a
 * second after a burst of 128 (30 ms each, elsewhere). Honest strangers repeat their HELLO.
 *
 * An address that is known under another identity is never taken over: the claimant, whose MAC must
 * be right, is told of the collision.
 *
 * An answer may be many times larger than the question, when it carries a planet, and an old HELLO
 * may be replayed from an invented source: so answers to one peer are limited too, and worlds that
 * go where nobody has proved to be, for all peers together. Who misses one gets it with its next
 * HELLO, when there is a path.
 *
 * OK(HELLO) is sealed under the version known before; only then is the new one stored, if the HELLO
 * is no older than the last: a recorded one would bring back the cipher of then. */
#include "vl1/hello.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl1/nat.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

#define CHECK_BURST 16
#define CHECK_REFILL_MS 100
#define AGREE_BURST 1000
#define AGREE_REFILL_MS 1
#define PROOF_BURST 128
#define PROOF_REFILL_MS 50
#define ANSWER_BURST 32 /* one HELLO may leave from several sockets over several paths */
#define ANSWER_REFILL_MS 100
#define WORLDS_BURST 64
#define WORLDS_REFILL_MS 50
#define PROTO_FULL_PORT 5

struct hello {
    uint16_t proto, major, minor, rev;
    uint64_t timestamp;
    struct zt_identity id;
    size_t rest; /* offset after the identity */
};

void zt_hellos_init(struct zt_vl1 *v, uint64_t seed)
{
    zt_list_init(&v->hellos.waiting);
    v->hellos.seed = seed;
}

static void stop_waiting(struct zt_vl1 *v, struct zt_waiting_hello *w)
{
    zt_keys_fini(&w->keys);
    zt_list_remove(&w->list);
    v->hellos.nwaiting--;
    free(w);
}

void zt_hellos_fini(struct zt_vl1 *v)
{
    while (!zt_list_empty(&v->hellos.waiting))
        stop_waiting(v, ZT_CONTAINER(v->hellos.waiting.next, struct zt_waiting_hello, list));
}

static bool parse(const uint8_t *p, size_t n, struct hello *h)
{
    struct zt_rd r = zt_rd(p, n);
    zt_rd_skip(&r, ZT_PKT_PAYLOAD);
    h->proto = zt_rd_u8(&r);
    h->major = zt_rd_u8(&r);
    h->minor = zt_rd_u8(&r);
    h->rev = zt_rd_u16(&r);
    h->timestamp = zt_rd_u64(&r);
    zt_rd_identity(&r, &h->id);
    h->rest = r.pos;
    return !r.bad;
}

struct rest {
    struct zt_ep seen;  /* where the sender sees us; family 0: not said */
    bool older_planet;  /* the sender has an older revision of our planet */
    uint32_t our_moons; /* zt_moons_read_list */
};

/* The fields after the identity are all optional; they are read in order while bytes remain. The
 * list of moons is unmasked in place. False: malformed. */
static bool read_rest(const struct zt_vl1 *v, const struct zt_peer *peer, uint8_t *p, size_t n,
                      size_t at, struct rest *out)
{
    struct zt_rd r = zt_rd(p, n);
    *out = (struct rest){0};
    zt_rd_skip(&r, at);
    if (zt_rd_left(&r) == 0)
        return true;
    zt_rd_ep(&r, &out->seen);
    if (r.bad || zt_rd_left(&r) < 16)
        return !r.bad;
    uint64_t planet = zt_rd_u64(&r), timestamp = zt_rd_u64(&r);
    out->older_planet =
        planet != 0 && planet == v->roots.planet.id && timestamp < v->roots.planet.timestamp_ms;
    if (zt_rd_left(&r) == 0)
        return true;
    zt_hello_mask(&peer->keys, p, n, r.pos);
    out->our_moons = zt_moons_read_list(v, &r);
    return true;
}

/* Append a world, if the packet has room for it; the next HELLO asks again for what is left out. */
static void add_world(struct zt_wr *w, const struct zt_world *world)
{
    size_t before = w->n;
    zt_wr_world(w, world);
    if (w->bad) {
        w->n = before;
        w->bad = false;
    }
}

static void send_ok(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                    const struct zt_link *link, uint64_t id, const struct hello *h,
                    const struct rest *rest)
{
    static_assert(ZT_PKT_MAX_SENT <= sizeof v->reply, "room for all that can be sent");
    static_assert(ZT_PKT_MAX_SENT >= ZT_PKT_PAYLOAD + 64 + ZT_WORLD_WIRE_MAX, "holds a world");
    struct zt_wr w = zt_wr(v->reply, ZT_PKT_MAX_SENT);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u8(&w, ZT_VERB_HELLO);
    zt_wr_u64(&w, id);
    zt_wr_u64(&w, h->timestamp);
    zt_wr_u8(&w, zt_own_proto(v));
    zt_wr_u8(&w, ZT_VERSION_MAJOR);
    zt_wr_u8(&w, ZT_VERSION_MINOR);
    zt_wr_u16(&w, ZT_VERSION_REV);
    struct zt_ep from = link->ep;
    if (h->proto < PROTO_FULL_PORT)
        from.port = 0;
    zt_wr_ep(&w, &from);
    size_t length_at = w.n;
    zt_wr_u16(&w, 0);
    if (rest->older_planet)
        add_world(&w, &v->roots.planet);
    for (unsigned i = 0; i < v->moons.n; i++)
        if (rest->our_moons >> i & 1)
            add_world(&w, v->moons.m[i].world);
    assert(!w.bad);
    zt_put16(w.p + length_at, (uint16_t)(w.n - length_at - 2));
    if (zt_tx_packet(v, now, peer, link, ZT_VERB_OK, w.p, w.n, 0, NULL) == 0) {
        struct zt_path *path = zt_peer_path(peer, link);
        if (path != NULL)
            path->last_out_ms = now->mono_ms;
    }
}

static void store_version(struct zt_peer *peer, const struct hello *h)
{
    peer->proto = h->proto;
    peer->major = h->major;
    peer->minor = h->minor;
    peer->rev = h->rev;
}

/* An authentic HELLO of a known peer: learn from it and answer. */
static void answer(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                   const struct zt_link *link, unsigned hops, uint8_t *p, size_t n,
                   const struct hello *h)
{
    if (!zt_bucket_take(&peer->hello, now->mono_ms, ANSWER_BURST, ANSWER_REFILL_MS)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return;
    }
    struct rest rest;
    if (!read_rest(v, peer, p, n, h->rest, &rest)) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return;
    }
    if ((rest.older_planet || rest.our_moons != 0) && !zt_peer_is_proven(peer, link, hops) &&
        !zt_bucket_take(&v->hellos.worlds, now->mono_ms, WORLDS_BURST, WORLDS_REFILL_MS)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        rest.older_planet = false;
        rest.our_moons = 0;
    }
    if (hops == 0)
        zt_nat_seen(v, now, peer, link, &rest.seen);
    send_ok(v, now, peer, link, zt_pkt_id(p), h, &rest);
    /* A repeated HELLO is as old as it was. Not a condition for anything but this: clocks step. (The
     * version comes with each OK(HELLO), too.) */
    if (h->timestamp >= peer->hello_timestamp)
        store_version(peer, h);
    if (h->timestamp > peer->hello_timestamp) {
        peer->hello_timestamp = h->timestamp;
        zt_peer_sign(v, now, peer, link, hops);
    }
    zt_peer_received(v, now, peer, link, hops, ZT_VERB_HELLO, false, NULL);
}

/* Agree and check the MAC. On true the keys are live and p is authentic. */
static bool authentic(struct zt_vl1 *v, const struct zt_identity *id, struct zt_keys *keys,
                      uint8_t *p, size_t n)
{
    uint8_t shared[ZT_SHARED_KEY];
    bool good = zt_identity_agree(&v->id, id, shared) == 0 && zt_keys_init(keys, shared) == 0;
    zt_wipe(shared, sizeof shared);
    if (good && zt_open(keys, p, n) == 0)
        return true;
    if (good)
        zt_keys_fini(keys);
    zt_drop_count(v->drops, ZT_DROP_MAC);
    return false;
}

static bool may_check(struct zt_vl1 *v, const struct zt_now *now, const struct zt_ep *from)
{
    struct zt_ep prefix = *from;
    prefix.port = 0;
    if (from->family == 4)
        prefix.ip[3] = 0;
    else
        memset(prefix.ip + 6, 0, 10);
    uint64_t h = (zt_ep_hash(&prefix) ^ v->hellos.seed) * 0x9e3779b97f4a7c15u;
    struct zt_bucket *b = &v->hellos.by_prefix[(h >> 32) % ZT_PREFIX_BUCKETS];
    if (zt_bucket_take(b, now->mono_ms, CHECK_BURST, CHECK_REFILL_MS) &&
        zt_bucket_take(&v->hellos.agreements, now->mono_ms, AGREE_BURST, AGREE_REFILL_MS))
        return true;
    zt_drop_count(v->drops, ZT_DROP_IDENTITY_RATE);
    return false;
}

static void tell_collision(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                           struct zt_keys *keys, const struct zt_identity *claimant, uint64_t id)
{
    /* By hand: the claimant is no peer, and its address belongs to one. */
    uint8_t p[ZT_PKT_PAYLOAD + 10];
    uint64_t reply_id;
    v->host->random(v->host->user, &reply_id, sizeof reply_id);
    zt_pkt_init(p, reply_id, claimant->addr, v->id.addr, ZT_VERB_ERROR);
    p[ZT_PKT_PAYLOAD] = ZT_VERB_HELLO;
    zt_put64(p + ZT_PKT_PAYLOAD + 1, id);
    p[ZT_PKT_PAYLOAD + 9] = ZT_ERROR_IDENTITY_COLLISION;
    if (zt_seal(keys, ZT_SUITE_SALSA, p, sizeof p) == 0)
        zt_tx_datagram(v, link, p, sizeof p, NULL, 0, 0);
}

static struct zt_waiting_hello *find_waiting(struct zt_vl1 *v, const struct zt_identity *id)
{
    ZT_LIST_EACH(it, &v->hellos.waiting)
    {
        struct zt_waiting_hello *w = ZT_CONTAINER(it, struct zt_waiting_hello, list);
        if (zt_identity_equal(&w->id, id))
            return w;
    }
    return NULL;
}

/* Not in the list yet; NULL: there are too many, or there is no memory. */
static struct zt_waiting_hello *new_row(struct zt_vl1 *v, int64_t now_ms)
{
    struct zt_hellos *hs = &v->hellos;
    /* An answer that never comes must not hold a row for ever. */
    if (hs->nwaiting >= ZT_HELLO_WAITING) {
        struct zt_waiting_hello *w = ZT_CONTAINER(hs->waiting.next, struct zt_waiting_hello, list);
        if (now_ms - w->since_ms < ZT_HELLO_WAIT_MS)
            return NULL;
        stop_waiting(v, w);
    }
    return calloc(1, sizeof(struct zt_waiting_hello));
}

static void park(struct zt_waiting_hello *w, const struct zt_link *link, const uint8_t *p, size_t n)
{
    w->link = *link;
    w->hops = zt_pkt_hops(p);
    w->n = n;
    memcpy(w->p, p, n);
}

static void stranger(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                     uint8_t *p, size_t n, const struct hello *h)
{
    if (n > ZT_HELLO_MAX) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return;
    }
    if (zt_addr_reserved(h->id.addr)) {
        zt_drop_count(v->drops, ZT_DROP_IDENTITY);
        return;
    }
    if (!may_check(v, now, &link->ep))
        return;
    struct zt_keys keys;
    if (!authentic(v, &h->id, &keys, p, n))
        return;
    struct zt_waiting_hello *w = find_waiting(v, &h->id);
    if (w != NULL) { /* asked already: answer the newest HELLO when the verdict comes */
        park(w, link, p, n);
        zt_keys_fini(&keys);
        return;
    }
    if (!zt_bucket_take(&v->hellos.proofs, now->mono_ms, PROOF_BURST, PROOF_REFILL_MS)) {
        zt_drop_count(v->drops, ZT_DROP_IDENTITY_RATE);
        zt_keys_fini(&keys);
        return;
    }
    w = new_row(v, now->mono_ms);
    if (w == NULL || !v->host->check_identity(v->host->user, &h->id)) {
        zt_drop_count(v->drops, ZT_DROP_TABLE_FULL);
        zt_keys_fini(&keys);
        free(w);
        return;
    }
    w->id = h->id;
    w->keys = keys;
    zt_wipe(&keys, sizeof keys);
    w->since_ms = now->mono_ms;
    park(w, link, p, n);
    zt_list_push_back(&v->hellos.waiting, &w->list);
    v->hellos.nwaiting++;
}

void zt_vl1_identity_checked(struct zt_vl1 *v, const struct zt_now *now,
                             const struct zt_identity *id, bool valid)
{
    struct zt_waiting_hello *w = find_waiting(v, id);
    if (w == NULL)
        return;
    struct hello h;
    struct zt_peer *peer = zt_peer_get(v, id->addr);
    if (!valid)
        zt_drop_count(v->drops, ZT_DROP_IDENTITY);
    else if (peer == NULL) {
        int rc = zt_peer_add(v, now, &w->id, &w->keys, &peer);
        if (rc != 0)
            zt_drop_count(v->drops, rc == ZT_E_NOMEM ? ZT_DROP_NO_MEMORY : ZT_DROP_TABLE_FULL);
    } else if (!zt_identity_equal(&peer->id, &w->id)) {
        zt_drop_count(v->drops, ZT_DROP_COLLISION); /* learned by WHOIS meanwhile */
        peer = NULL;
    }
    if (valid && peer != NULL && parse(w->p, w->n, &h)) {
        answer(v, now, peer, &w->link, w->hops, w->p, w->n, &h);
        zt_wait_kick(v, now, id->addr);
    }
    stop_waiting(v, w);
    zt_run_due(v, now);
}

void zt_hello_received(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                       uint8_t *p, size_t n)
{
    struct hello h;
    if (!parse(p, n, &h)) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return;
    }
    if (h.proto < ZT_PROTO_VERSION_MIN) {
        zt_drop_count(v->drops, ZT_DROP_HELLO_VERSION);
        return;
    }
    if (h.id.addr != zt_pkt_src(p)) {
        zt_drop_count(v->drops, ZT_DROP_HELLO_SOURCE);
        return;
    }
    struct zt_peer *peer = zt_peer_get(v, h.id.addr);
    if (peer == NULL) {
        stranger(v, now, link, p, n, &h);
    } else if (!zt_identity_equal(&peer->id, &h.id)) {
        struct zt_keys keys;
        if (!may_check(v, now, &link->ep) || !authentic(v, &h.id, &keys, p, n))
            return;
        zt_drop_count(v->drops, ZT_DROP_COLLISION);
        tell_collision(v, now, link, &keys, &h.id, zt_pkt_id(p));
        zt_keys_fini(&keys);
    } else if (zt_open(&peer->keys, p, n) != 0) {
        zt_drop_count(v->drops, ZT_DROP_MAC);
    } else if (zt_seen_before(v, zt_pkt_id(p) ^ zt_link_hash(link), peer->id.addr)) {
        zt_drop_count(v->drops, ZT_DROP_DUPLICATE);
    } else {
        answer(v, now, peer, link, zt_pkt_hops(p), p, n, &h);
    }
}

enum zt_verdict zt_hello_opened(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                                uint8_t *p, size_t n)
{
    struct hello h;
    if (!parse(p, n, &h)) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    } else if (h.proto < ZT_PROTO_VERSION_MIN) {
        zt_drop_count(v->drops, ZT_DROP_HELLO_VERSION);
    } else if (!zt_identity_equal(&rx->peer->id, &h.id)) {
        zt_drop_count(v->drops, ZT_DROP_HELLO_SOURCE);
    } else {
        answer(v, now, rx->peer, &rx->link, rx->hops, p, n, &h);
    }
    return ZT_VERDICT_IGNORED; /* answer() counted it */
}

/* The worlds in an OK(HELLO): taken one by one, but none when what follows one is damaged. */
static void take_worlds(struct zt_vl1 *v, const struct zt_now *now, const struct zt_peer *peer,
                        struct zt_rd *r)
{
    struct zt_world world;
    size_t len = zt_rd_u16(r);
    const uint8_t *worlds = zt_rd_view(r, len);
    if (r->bad) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return;
    }
    if (len > 0 && !zt_roots_believes(v, peer)) {
        zt_drop_count(v->drops, ZT_DROP_NOT_UPSTREAM);
        return;
    }
    struct zt_rd look = zt_rd(worlds, len);
    while (zt_rd_left(&look) > 0 && !look.bad)
        zt_rd_world(&look, &world);
    if (look.bad) {
        zt_drop_count(v->drops, ZT_DROP_WORLD);
        return;
    }
    for (struct zt_rd take = zt_rd(worlds, len); zt_rd_left(&take) > 0;) {
        zt_rd_world(&take, &world);
        zt_roots_offer(v, now, &world);
    }
}

enum zt_verdict zt_hello_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                            const struct zt_expected *asked, const uint8_t *body, size_t n)
{
    struct zt_peer *peer = rx->peer;
    struct zt_rd r = zt_rd(body, n);
    struct hello h = {.timestamp = zt_rd_u64(&r)};
    h.proto = zt_rd_u8(&r);
    h.major = zt_rd_u8(&r);
    h.minor = zt_rd_u8(&r);
    h.rev = zt_rd_u16(&r);
    struct zt_ep seen = {0};
    if (zt_rd_left(&r) > 0)
        zt_rd_ep(&r, &seen);
    if (r.bad) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return ZT_VERDICT_IGNORED;
    }
    if (h.proto < ZT_PROTO_VERSION_MIN) {
        zt_drop_count(v->drops, ZT_DROP_HELLO_VERSION);
        return ZT_VERDICT_IGNORED;
    }
    store_version(peer, &h);
    if (rx->hops == 0)
        zt_nat_seen(v, now, peer, &rx->link, &seen);
    if (zt_rd_left(&r) >= 2)
        take_worlds(v, now, peer, &r);
    zt_peer_received(v, now, peer, &rx->link, rx->hops, ZT_VERB_OK, false, asked);
    return ZT_VERDICT_IGNORED; /* counted just above */
}
