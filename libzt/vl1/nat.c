/* Direct paths.
 *
 * Two nodes first talk through a root. The root sees both endpoints and sends each a RENDEZVOUS
 * naming the other's; once they share a network they also tell each other all their endpoints by
 * PUSH_DIRECT_PATHS. Either message makes us *probe*: send an ECHO or HELLO to the endpoint. An OK
 * that comes back makes it a path (peer.c); nothing else does.
 *
 * A probe is four datagrams within a second rather than the reference's one: the first often only
 * opens our own NAT while the other's is still closed, and one lost datagram would leave a pair
 * relayed until the next introduction half a minute later. It ends when the peer has that path. The
 * table has 64 rows; when it is full a probe is a single datagram.
 *
 * Who shares no network with us may push endpoints, too, but all such peers together get no more
 * probes out of us than 64 at once and 10 a second: they could name others' addresses.
 *
 * Self-awareness: each root, and each member of our networks, tells what our endpoint looks like
 * from there. When a root sees us at another address than before, our NAT or link changed: paths of
 * that scope and family are not used until they speak again. What anybody else says is not heard:
 * it is told to others, who would send there.
 *
 * Introducing (root only): at the first packet relayed for a pair, and again after 1, 4 and each 30
 * s while there are still packets to relay. The reference has only the 30 s, so that one lost
 * RENDEZVOUS leaves a pair behind NATs relayed for so long. Pairs are kept in a table of 16384, two
 * places for each; a pair that finds both taken takes the older one, but not within a second of the
 * introduction there: however many pairs are relayed at the same time, introductions cost so much a
 * second, and not so much a packet. Unlike in the reference the limit holds for introductions to
 * another root too. The table is there only while a row of it still says something. */
#include "vl1/nat.h"

#include <stdlib.h>

#include "base/err.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

#define SURFACE_MS 600000
#define PUSH_DIRECT_MS 120000
#define PUSH_LOW_SCALE 16 /* where bandwidth is low */
#define PUSH_RELAYED_MS 15000
#define PUSH_WINDOW_MS 30000
#define PUSH_GATE 8
#define PUSH_PER_SCOPE 8
#define PUSH_PACKET 1200
#define UNITE_FORGET_MS 240000
#define OPENER_TTL 2
#define PUSH_FORGET 0x01
#define STRANGERS_BURST 64
#define STRANGERS_REFILL_MS 100
#define INTRODUCED_BURST 256 /* more than anybody meets at once; the rest is introduced again */
#define INTRODUCED_REFILL_MS 10

static const int64_t unite_after_ms[] = {1000, 2000, 4000, 8000, 30000};
#define UNITE_STEPS (sizeof unite_after_ms / sizeof unite_after_ms[0])
static const int64_t probe_after_ms[ZT_PROBE_TRIES] = {0, 100, 250, 650};

static void fire(void *user, struct zt_timer *t);
static void forget_united(void *user, struct zt_timer *t);

void zt_nat_init(struct zt_vl1 *v, uint64_t seed)
{
    v->nat.seed = seed;
    v->nat.united_timer.fire = forget_united;
    for (unsigned i = 0; i < ZT_PROBES; i++)
        v->nat.probes[i].timer.fire = fire;
}

void zt_nat_fini(struct zt_vl1 *v)
{
    free(v->nat.united);
}

void zt_vl1_set_local(struct zt_vl1 *v, const struct zt_now *now, const struct zt_ep *eps, size_t n)
{
    unsigned kept = (unsigned)(n < ZT_LOCAL_ENDPOINTS ? n : ZT_LOCAL_ENDPOINTS);
    /* The host scans its interfaces now and then: mostly the list is the same. */
    if (kept == v->nat.nlocal && (kept == 0 || memcmp(v->nat.local, eps, kept * sizeof *eps) == 0))
        return;
    v->nat.nlocal = kept;
    if (kept > 0)
        memcpy(v->nat.local, eps, kept * sizeof *eps);
    /* What we told the others is out of date: tell them with the next packet. */
    ZT_LIST_EACH(it, &v->peers.lru)
    ZT_CONTAINER(it, struct zt_peer, lru)->last_push_sent_ms = ZT_LONG_AGO;
    zt_peers_reach_out(v, now);
}

/* -- probes -- */

static void step(struct zt_vl1 *v, const struct zt_now *now, struct zt_probe *probe)
{
    struct zt_peer *peer = zt_peer_get(v, probe->peer);
    bool done = peer == NULL;
    for (unsigned i = 0; peer != NULL && i < peer->npaths; i++)
        done |= zt_ep_equal(&peer->paths[i].link.ep, &probe->link.ep) &&
                zt_path_alive(&peer->paths[i], now->mono_ms);
    if (!done) {
        zt_tx_contact(v, now, peer, &probe->link, probe->full);
        probe->left--;
    }
    if (done || probe->left == 0 ||
        zt_heap_set(&v->heap, &probe->timer,
                    now->mono_ms + probe_after_ms[ZT_PROBE_TRIES - probe->left]) != 0)
        probe->peer = 0;
}

static void fire(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    step(tick->v, tick->now, ZT_CONTAINER(t, struct zt_probe, timer));
}

void zt_nat_probe(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                  const struct zt_link *link, bool full)
{
    struct zt_probe *row = NULL;
    for (unsigned i = 0; i < ZT_PROBES; i++) {
        struct zt_probe *probe = &v->nat.probes[i];
        if (probe->peer == peer->id.addr && zt_link_equal(&probe->link, link))
            return; /* under way */
        if (probe->peer == 0 && row == NULL)
            row = probe;
    }
    if (row == NULL) {
        zt_drop_count(v->drops, ZT_DROP_TABLE_FULL);
        zt_tx_contact(v, now, peer, link, full);
        return;
    }
    row->peer = peer->id.addr;
    row->link = *link;
    row->left = ZT_PROBE_TRIES;
    row->full = full;
    step(v, now, row);
}

void zt_nat_socket_gone(struct zt_vl1 *v, int sock)
{
    for (unsigned i = 0; i < ZT_PROBES; i++)
        if (v->nat.probes[i].link.sock == sock)
            v->nat.probes[i].link.sock = -1;
    unsigned kept = 0;
    for (unsigned i = 0; i < v->nat.nsurfaces; i++)
        if (v->nat.surfaces[i].link.sock != sock)
            v->nat.surfaces[kept++] = v->nat.surfaces[i];
    v->nat.nsurfaces = kept;
}

/* -- self-awareness -- */

/* Our outside changed: do not use the paths it concerns until they speak again. */
static void reset_paths(struct zt_vl1 *v, const struct zt_now *now, enum zt_scope scope,
                        uint8_t family)
{
    ZT_LIST_EACH(it, &v->peers.lru)
    {
        struct zt_peer *peer = ZT_CONTAINER(it, struct zt_peer, lru);
        for (unsigned i = 0; i < peer->npaths; i++) {
            struct zt_path *path = &peer->paths[i];
            if (path->scope != scope || path->link.ep.family != family || path->silent)
                continue;
            zt_tx_contact(v, now, peer, &path->link, false);
            path->silent = true;
            path->probes = 0;
            zt_peer_wake(v, peer, now->mono_ms + ZT_PATH_PROBE_MS);
        }
    }
}

static struct zt_surface *surface_row(struct zt_nat *nat, uint64_t reporter,
                                      const struct zt_link *link, enum zt_scope scope)
{
    for (unsigned i = 0; i < nat->nsurfaces; i++) {
        struct zt_surface *s = &nat->surfaces[i];
        if (s->reporter == reporter && zt_link_equal(&s->link, link) &&
            zt_ep_scope(&s->seen) == scope)
            return s;
    }
    struct zt_surface *row = &nat->surfaces[0];
    if (nat->nsurfaces < ZT_SURFACES) {
        row = &nat->surfaces[nat->nsurfaces++];
    } else { /* the oldest, preferring reports that bear no trust */
        for (unsigned i = 1; i < nat->nsurfaces; i++) {
            struct zt_surface *s = &nat->surfaces[i];
            if (s->trusted != row->trusted ? row->trusted : s->at_ms < row->at_ms)
                row = s;
        }
    }
    *row = (struct zt_surface){.reporter = reporter, .link = *link, .at_ms = ZT_LONG_AGO};
    return row;
}

static void forget_other_reports(struct zt_nat *nat, const struct zt_surface *but)
{
    enum zt_scope scope = zt_ep_scope(&but->seen);
    const struct zt_surface keep = *but;
    unsigned n = 0;
    for (unsigned i = 0; i < nat->nsurfaces; i++) {
        const struct zt_surface *s = &nat->surfaces[i];
        if (zt_ep_scope(&s->seen) != scope || zt_ep_equal(&s->link.ep, &keep.link.ep))
            nat->surfaces[n++] = *s;
    }
    nat->nsurfaces = n;
}

void zt_nat_seen(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *reporter,
                 const struct zt_link *link, const struct zt_ep *seen)
{
    enum zt_scope scope = zt_ep_scope(seen);
    if (!reporter->is_upstream && !zt_peer_is_trusted(reporter, now->mono_ms))
        return;
    if (seen->family == 0 || scope != zt_ep_scope(&link->ep) || scope == ZT_SCOPE_NONE ||
        scope == ZT_SCOPE_LOOPBACK || scope == ZT_SCOPE_MULTICAST)
        return;
    struct zt_surface *row = surface_row(&v->nat, reporter->id.addr, link, scope);
    bool moved = reporter->is_upstream && row->trusted && now->mono_ms - row->at_ms < SURFACE_MS &&
                 !zt_ep_same_ip(&row->seen, seen);
    row->seen = *seen;
    row->at_ms = now->mono_ms;
    row->trusted = reporter->is_upstream;
    if (moved) {
        forget_other_reports(&v->nat, row);
        reset_paths(v, now, scope, seen->family);
    }
}

/* -- PUSH_DIRECT_PATHS -- */

static void add_once(struct zt_ep *out, unsigned *n, unsigned cap, const struct zt_ep *ep)
{
    for (unsigned i = 0; i < *n; i++)
        if (zt_ep_equal(&out[i], ep))
            return;
    if (*n < cap)
        out[(*n)++] = *ep;
}

static unsigned own_endpoints(const struct zt_vl1 *v, int64_t now_ms, struct zt_ep *out,
                              unsigned cap)
{
    unsigned n = 0;
    for (unsigned i = 0; i < v->nat.nlocal; i++)
        add_once(out, &n, cap, &v->nat.local[i]);
    for (unsigned i = 0; i < v->nat.nsurfaces; i++)
        if (now_ms - v->nat.surfaces[i].at_ms < SURFACE_MS)
            add_once(out, &n, cap, &v->nat.surfaces[i].seen);
    return n;
}

size_t zt_vl1_surface(const struct zt_vl1 *v, const struct zt_now *now, struct zt_ep *out,
                      size_t cap)
{
    unsigned n = 0;
    for (unsigned i = 0; i < v->nat.nsurfaces; i++)
        if (now->mono_ms - v->nat.surfaces[i].at_ms < SURFACE_MS)
            add_once(out, &n, (unsigned)cap, &v->nat.surfaces[i].seen);
    return n;
}

static void push_some(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                      const struct zt_link *link, const struct zt_ep *eps, unsigned n)
{
    uint8_t p[PUSH_PACKET + 64];
    struct zt_wr w = zt_wr(p, sizeof p);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u16(&w, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        size_t len = eps[i].family == 4 ? 4 : 16;
        zt_wr_u8(&w, 0);
        zt_wr_u16(&w, 0);
        zt_wr_u8(&w, eps[i].family);
        zt_wr_u8(&w, (uint8_t)(len + 2));
        zt_wr_bytes(&w, eps[i].ip, len);
        zt_wr_u16(&w, eps[i].port);
    }
    assert(!w.bad);
    (void)zt_tx_packet(v, now, peer, link, ZT_VERB_PUSH_DIRECT_PATHS, p, w.n, ZT_TX_COMPRESS, NULL);
}

void zt_nat_push_when_due(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                          const struct zt_link *link, unsigned hops)
{
    int64_t pause = hops == 0 ? PUSH_DIRECT_MS : PUSH_RELAYED_MS;
    if (hops == 0 && v->settings.low_bandwidth)
        pause *= PUSH_LOW_SCALE;
    if (now->mono_ms - peer->last_push_sent_ms < pause)
        return;
    peer->last_push_sent_ms = now->mono_ms;
    struct zt_ep eps[ZT_LOCAL_ENDPOINTS + ZT_SURFACES];
    unsigned n = own_endpoints(v, now->mono_ms, eps, ZT_LOCAL_ENDPOINTS + ZT_SURFACES);
    const unsigned per_packet = (PUSH_PACKET - ZT_PKT_PAYLOAD - 2) / 24;
    for (unsigned i = 0; i < n; i += per_packet)
        push_some(v, now, peer, link, eps + i, n - i < per_packet ? n - i : per_packet);
}

static bool has_live_path_to(const struct zt_peer *peer, const struct zt_ep *ep, int64_t now_ms)
{
    for (unsigned i = 0; i < peer->npaths; i++)
        if (zt_ep_equal(&peer->paths[i].link.ep, ep) && zt_path_usable(&peer->paths[i], now_ms))
            return true;
    return false;
}

static bool passes_gate(struct zt_peer *peer, int64_t now_ms)
{
    if (now_ms - peer->last_push_in_ms <= PUSH_WINDOW_MS)
        peer->pushes_in++;
    else
        peer->pushes_in = 0;
    peer->last_push_in_ms = now_ms;
    return peer->pushes_in < PUSH_GATE;
}

/* One record; false at the end or on bad data. *ep has family 0 when the record is to be skipped.
 */
static bool read_record(struct zt_rd *r, struct zt_ep *ep)
{
    *ep = (struct zt_ep){0};
    uint8_t flags = zt_rd_u8(r);
    zt_rd_skip(r, zt_rd_u16(r));
    uint8_t type = zt_rd_u8(r), len = zt_rd_u8(r);
    const uint8_t *addr = zt_rd_view(r, len);
    if (addr == NULL)
        return false;
    /* The cluster redirect flag (0x02) is treated as ordinary: obeying it would let any peer divert
     * our traffic (vl1.md 6.7). */
    if ((flags & PUSH_FORGET) == 0 && type == 4 && len == 6)
        *ep = zt_ep_make(4, addr, zt_be16(addr + 4));
    else if ((flags & PUSH_FORGET) == 0 && type == 6 && len == 18)
        *ep = zt_ep_make(6, addr, zt_be16(addr + 16));
    return true;
}

enum zt_verdict zt_nat_pushed(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    struct zt_peer *peer = rx->peer;
    if (!passes_gate(peer, now->mono_ms)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return ZT_VERDICT_OK;
    }
    unsigned tried[2][ZT_SCOPE_PRIVATE + 1] = {0};
    bool direct = zt_peer_best(peer, now->mono_ms, false) != NULL;
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    unsigned records = zt_rd_u16(&r);
    struct zt_ep ep;
    while (records-- > 0 && read_record(&r, &ep)) {
        if (ep.family == 0 || has_live_path_to(peer, &ep, now->mono_ms))
            continue;
        if (!zt_path_allowed(v, peer, &ep)) {
            zt_drop_count(v->drops, ZT_DROP_PATH);
            continue;
        }
        if (++tried[ep.family == 6][zt_ep_scope(&ep)] > PUSH_PER_SCOPE)
            continue;
        if (!zt_peer_is_trusted(peer, now->mono_ms) &&
            !zt_bucket_take(&v->nat.strangers, now->mono_ms, STRANGERS_BURST, STRANGERS_REFILL_MS)) {
            zt_drop_count(v->drops, ZT_DROP_RATE);
            continue;
        }
        struct zt_link link = {.sock = -1, .ep = ep};
        if (direct) /* one try will do: there is something that works */
            zt_tx_contact(v, now, peer, &link, false);
        else
            zt_nat_probe(v, now, peer, &link, false);
    }
    if (r.bad)
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    return ZT_VERDICT_OK;
}

/* -- RENDEZVOUS -- */

enum zt_verdict zt_nat_rendezvous(struct zt_vl1 *v, const struct zt_now *now,
                                  const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    zt_rd_u8(&r);
    uint64_t with = zt_rd_u40(&r);
    uint16_t port = zt_rd_u16(&r);
    uint8_t len = zt_rd_u8(&r);
    const uint8_t *ip = zt_rd_view(&r, len);
    if (!rx->peer->is_upstream) {
        zt_drop_count(v->drops, ZT_DROP_NOT_UPSTREAM);
        return ZT_VERDICT_OK;
    }
    if (r.bad || (len != 4 && len != 16)) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return ZT_VERDICT_OK;
    }
    struct zt_peer *peer = zt_peer_get(v, with);
    struct zt_link link = {.sock = rx->link.sock, .ep = zt_ep_make(len == 4 ? 4 : 6, ip, port)};
    /* The introduction often overtakes the answer to our WHOIS for the very packet that caused it.
     */
    if (peer == NULL && zt_whois_wanted(v, with))
        return ZT_VERDICT_HOLD;
    if (peer == NULL || !zt_path_allowed(v, peer, &link.ep)) {
        zt_drop_count(v->drops, ZT_DROP_PATH);
        return ZT_VERDICT_OK;
    }
    if (!zt_bucket_take(&v->nat.introduced, now->mono_ms, INTRODUCED_BURST, INTRODUCED_REFILL_MS)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return ZT_VERDICT_OK;
    }
    /* Opens our NAT for the other side without reaching it; it would drop these bytes anyway. */
    uint8_t opener[4];
    v->host->random(v->host->user, opener, sizeof opener);
    zt_tx_datagram(v, &link, opener, sizeof opener, NULL, 0, OPENER_TTL);
    zt_nat_probe(v, now, peer, &link, false);
    return ZT_VERDICT_OK;
}

/* -- introducing -- */

/* The row of this pair, made its own when it had none; NULL: both of its places are taken by pairs
 * that were introduced just now. */
static struct zt_united *united_row(struct zt_nat *nat, int64_t now_ms, uint64_t low, uint64_t high)
{
    uint64_t h = (low ^ nat->seed) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29 ^ high) * 0xbf58476d1ce4e5b9u;
    struct zt_united *row = &nat->united[(h >> 32) % (ZT_UNITE_SLOTS / 2) * 2];
    for (unsigned i = 0; i < 2; i++)
        if (row[i].low == low && row[i].high == high)
            return &row[i];
    struct zt_united *older = row[1].at_ms < row[0].at_ms ? &row[1] : &row[0];
    if (now_ms - older->at_ms < unite_after_ms[0])
        return NULL;
    nat->nunited += older->low == 0;
    *older = (struct zt_united){.low = low, .high = high, .at_ms = ZT_LONG_AGO};
    return older;
}

static bool make_united(struct zt_vl1 *v, int64_t now_ms)
{
    struct zt_nat *nat = &v->nat;
    nat->united = calloc(ZT_UNITE_SLOTS, sizeof *nat->united);
    if (nat->united == NULL)
        return false;
    for (unsigned i = 0; i < ZT_UNITE_SLOTS; i++)
        nat->united[i].at_ms = ZT_LONG_AGO;
    nat->united_ms = now_ms;
    (void)zt_heap_set(&v->heap, &nat->united_timer, now_ms + UNITE_FORGET_MS);
    return true;
}

static void forget_united(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_nat *nat = &tick->v->nat;
    if (tick->now->mono_ms - nat->united_ms < UNITE_FORGET_MS) {
        (void)zt_heap_set(&tick->v->heap, t, nat->united_ms + UNITE_FORGET_MS);
        return;
    }
    free(nat->united);
    nat->united = NULL;
    nat->nunited = 0;
}

static bool should_unite(struct zt_vl1 *v, int64_t now_ms, uint64_t a, uint64_t b)
{
    if (v->nat.united == NULL && !make_united(v, now_ms))
        return false;
    struct zt_united *row = united_row(&v->nat, now_ms, a < b ? a : b, a < b ? b : a);
    if (row == NULL)
        return false;
    int64_t age = now_ms - row->at_ms;
    if (age >= UNITE_FORGET_MS)
        row->step = 0;
    else if (age < unite_after_ms[row->step])
        return false;
    else if (row->step + 1 < UNITE_STEPS)
        row->step++;
    row->at_ms = v->nat.united_ms = now_ms;
    return true;
}

/* Best path of each (scope, family), expired ones included. */
static void best_by_scope(struct zt_peer *peer, int64_t now_ms,
                          struct zt_path *best[ZT_SCOPE_PRIVATE + 1][2])
{
    for (unsigned i = 0; i < peer->npaths; i++) {
        struct zt_path *path = &peer->paths[i];
        struct zt_path **slot = &best[path->scope][path->link.ep.family == 6];
        if (*slot == NULL || zt_path_quality(path, now_ms) < zt_path_quality(*slot, now_ms))
            *slot = path;
    }
}

static void send_rendezvous(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *to,
                            struct zt_path *over, uint64_t with, const struct zt_ep *at)
{
    uint8_t p[ZT_PKT_PAYLOAD + 9 + 16];
    struct zt_wr w = zt_wr(p, sizeof p);
    w.n = ZT_PKT_PAYLOAD;
    size_t len = at->family == 4 ? 4 : 16;
    zt_wr_u8(&w, 0);
    zt_wr_u40(&w, with);
    zt_wr_u16(&w, at->port);
    zt_wr_u8(&w, (uint8_t)len);
    zt_wr_bytes(&w, at->ip, len);
    assert(!w.bad);
    if (zt_tx_packet(v, now, to, &over->link, ZT_VERB_RENDEZVOUS, p, w.n, 0, NULL) == 0)
        over->last_out_ms = now->mono_ms;
}

static void introduce(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *a,
                      struct zt_peer *b)
{
    struct zt_path *of_a[ZT_SCOPE_PRIVATE + 1][2] = {{0}}, *of_b[ZT_SCOPE_PRIVATE + 1][2] = {{0}};
    best_by_scope(a, now->mono_ms, of_a);
    best_by_scope(b, now->mono_ms, of_b);
    for (int scope = ZT_SCOPE_PRIVATE; scope >= 0; scope--)
        for (int six = 1; six >= 0; six--) {
            struct zt_path *pa = of_a[scope][six], *pb = of_b[scope][six];
            if (pa == NULL || pb == NULL)
                continue;
            v->introductions++;
            send_rendezvous(v, now, a, pa, b->id.addr, &pb->link.ep);
            send_rendezvous(v, now, b, pb, a->id.addr, &pa->link.ep);
            return;
        }
}

void zt_nat_unite(struct zt_vl1 *v, const struct zt_now *now, uint64_t src, uint64_t dest,
                  struct zt_peer *to)
{
    struct zt_peer *from = zt_peer_get(v, src);
    if (from != NULL && from != to && should_unite(v, now->mono_ms, src, dest))
        introduce(v, now, to, from);
}
