/* Receiving: cheap checks, relaying, reassembly, then authentication, and only then any effect on a
 * peer.
 *
 * Suites: AES and SALSA for everything; POLY (no secrecy) only for HELLO and for the two measuring
 * verbs that are sent so, which is stricter than the reference. Cipher 2 (trusted paths) counts as
 * authentic where the settings name the sender's network with this very id, and nowhere else. A
 * node held to one suite by its settings refuses the other.
 *
 * VL1 has no sequence numbers, so it cannot tell every replay. What it can do is remember the ids
 * of the last few thousand authentic packets: a copy made by the network, or by somebody in the
 * middle, is dropped (DUPLICATE) before it has any effect. A HELLO that leaves from several sockets
 * is one packet with several links, and each copy must be answered, so there the link is part of
 * the key.
 *
 * Relaying is a root's job; a leaf refuses (RELAY_REFUSED), unless relayPolicy lets it pass on what
 * members of its networks, or all, send it. */
#include "vl1/rx.h"

#include "base/err.h"
#include "vl1/defrag.h"
#include "vl1/hello.h"
#include "vl1/message.h"
#include "vl1/nat.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/state.h"
#include "vl1/tx.h"
#include "vl1/whois.h"

#define ECHO_BURST 8
#define ECHO_REFILL_MS 166
#define WHOIS_PAUSE_MS 100
#define BEACON_PAUSE_MS 2500
#define REPLY_MAX 1400
#define SEEN_PLACES 8u
#define OK_PREFIX 9

bool zt_seen_before(struct zt_vl1 *v, uint64_t id, uint64_t from)
{
    /* Keyed, and with the sender: a node may choose its ids, but not those of others. */
    uint64_t h = (id ^ v->seed) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29 ^ from) * 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    /* Eight places per id, newest first. With two, one in 400 was forgotten after 300 more packets.
     */
    uint64_t *set = &v->seen[(h >> 40) % (ZT_SEEN_SLOTS / SEEN_PLACES) * SEEN_PLACES];
    bool known = false;
    for (unsigned i = 0; i < SEEN_PLACES; i++)
        known |= set[i] == h;
    if (known)
        return true;
    memmove(set + 1, set, (SEEN_PLACES - 1) * sizeof *set);
    set[0] = h;
    return false;
}

/* -- relaying -- */

/* Links on which a member of our networks proved itself within the last ten minutes. One link that
 * collides takes another's place until the next packet. */
static struct zt_trusted_link *trusted_link(struct zt_vl1 *v, const struct zt_link *link)
{
    return &v->trusted_links[(zt_link_hash(link) ^ v->seed) % ZT_TRUSTED_LINKS];
}

void zt_rx_trust(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link)
{
    *trusted_link(v, link) =
        (struct zt_trusted_link){.hash = zt_link_hash(link), .at_ms = now->mono_ms};
}

static bool may_relay(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in)
{
    if (v->roots.is_root || v->settings.relay == ZT_RELAY_ALWAYS)
        return true;
    const struct zt_trusted_link *t = trusted_link(v, in);
    return v->settings.relay == ZT_RELAY_TRUSTED && t->hash == zt_link_hash(in) &&
           now->mono_ms - t->at_ms < ZT_PEER_TRUST_MS;
}

static void relay(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in, uint8_t *p,
                  size_t n)
{
    bool is_head = p[ZT_FRAG_INDICATOR_AT] != ZT_FRAG_INDICATOR;
    if (!may_relay(v, now, in)) {
        zt_drop_count(v->drops, ZT_DROP_RELAY_REFUSED);
        return;
    }
    if (is_head && n < ZT_PKT_MIN) {
        zt_drop_count(v->drops, ZT_DROP_SHORT);
        return;
    }
    uint64_t src = is_head ? zt_pkt_src(p) : 0, dest = zt_pkt_dest(p);
    uint8_t *hops = p + (is_head ? ZT_PKT_FLAGS : ZT_FRAG_HOPS);
    if ((*hops & ZT_FLAG_HOPS) >= ZT_RELAY_HOPS_MAX) {
        zt_drop_count(v->drops, ZT_DROP_RELAY_HOPS);
        return;
    }
    if (src == v->id.addr) {
        zt_drop_count(v->drops, ZT_DROP_OWN_SOURCE);
        return;
    }
    struct zt_peer *to = zt_peer_get(v, dest);
    struct zt_path *path = to != NULL ? zt_peer_best(to, now->mono_ms, false) : NULL;
    if (path == NULL) {
        if (to != NULL)
            zt_peer_probe_again(v, now, to);
        to = zt_roots_best(v, now->mono_ms);
        path = to != NULL && to->id.addr != src ? zt_peer_best(to, now->mono_ms, true) : NULL;
        if (path != NULL && zt_ep_equal(&path->link.ep, &in->ep))
            path = NULL; /* it does not know either, or it would not have sent it here */
    }
    if (path == NULL) {
        zt_drop_count(v->drops, ZT_DROP_RELAY_NO_ROUTE);
        return;
    }
    *hops = (uint8_t)((*hops & ~ZT_FLAG_HOPS) | ((*hops & ZT_FLAG_HOPS) + 1));
    v->packets_relayed++;
    path->last_out_ms = now->mono_ms;
    zt_tx_datagram(v, &path->link, p, n, NULL, 0, 0);
    if (is_head && v->roots.is_root) /* of anybody else the two would not believe it */
        zt_nat_unite(v, now, src, dest, to);
}

/* -- verbs -- */

static enum zt_verdict on_whois(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    if (!v->roots.is_root) {
        if (now->mono_ms - rx->peer->last_whois_ms < WHOIS_PAUSE_MS) {
            zt_drop_count(v->drops, ZT_DROP_RATE);
            return ZT_VERDICT_IGNORED;
        }
        rx->peer->last_whois_ms = now->mono_ms;
    }
    uint8_t body[REPLY_MAX];
    struct zt_wr w = zt_wr(body, zt_vl1_is_proven(rx) ? REPLY_MAX - ZT_PKT_PAYLOAD - OK_PREFIX
                                                      : ZT_IDENTITY_WIRE);
    for (size_t at = 0; at + 5 <= rx->n && w.cap - w.n >= ZT_IDENTITY_WIRE; at += 5) {
        uint64_t addr = zt_be40(rx->payload + at);
        const struct zt_identity *id = zt_vl1_identity_of(v, addr);
        if (id != NULL) {
            zt_wr_identity(&w, id, false);
            v->identities_told++;
        } else if (!rx->peer->is_upstream) { /* it asks the others itself: two roots would keep each
                                                other asking forever for an address nobody has */
            zt_whois(v, now, addr);
        }
    }
    if (w.n > 0)
        (void)zt_vl1_reply_ok(v, now, rx, body, w.n);
    return ZT_VERDICT_OK;
}

static enum zt_verdict on_whois_ok(struct zt_vl1 *v, const struct zt_now *now,
                                   const struct zt_rx *rx, const uint8_t *body, size_t n)
{
    if (!rx->peer->is_upstream) {
        zt_drop_count(v->drops, ZT_DROP_NOT_UPSTREAM);
        return ZT_VERDICT_OK;
    }
    struct zt_rd r = zt_rd(body, n);
    while (zt_rd_left(&r) > 0) {
        struct zt_identity id;
        zt_rd_identity(&r, &id);
        if (r.bad) {
            zt_drop_count(v->drops, ZT_DROP_MALFORMED);
            break;
        }
        /* Only what we asked for, so that an answer can't fill the table; the root is trusted to
         * have checked the proof of work. A known identity stays. */
        struct zt_peer *peer;
        if (!zt_whois_wanted(v, id.addr) || zt_peer_get(v, id.addr) != NULL)
            continue;
        if (zt_addr_reserved(id.addr) || zt_peer_add(v, now, &id, NULL, &peer) != 0) {
            zt_drop_count(v->drops, ZT_DROP_IDENTITY);
            continue;
        }
        zt_wait_kick(v, now, id.addr);
        zt_wait_kick(v, now, rx->from); /* a RENDEZVOUS of the root may wait for it, nat.c */
    }
    return ZT_VERDICT_OK;
}

static enum zt_verdict on_echo(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    /* Per peer with a burst, not per path: a node probes several of our endpoints at once. */
    if (!zt_bucket_take(&rx->peer->echo, now->mono_ms, ECHO_BURST, ECHO_REFILL_MS)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return ZT_VERDICT_IGNORED;
    }
    if (zt_vl1_reply_ok(v, now, rx, rx->payload, rx->n) != 0)
        zt_drop_count(v->drops, ZT_DROP_MALFORMED); /* larger than any honest ECHO */
    return ZT_VERDICT_OK;
}

static bool is_vl2(uint8_t verb)
{
    return verb == ZT_VERB_FRAME || verb == ZT_VERB_EXT_FRAME ||
           (verb >= ZT_VERB_MULTICAST_LIKE && verb <= ZT_VERB_MULTICAST_FRAME);
}

static enum zt_verdict upper_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                                uint8_t in_re, uint64_t id, size_t n)
{
    if (v->upper.ok == NULL)
        return ZT_VERDICT_OK;
    return v->upper.ok(v->upper.user, now, rx, in_re, id, rx->payload + OK_PREFIX, n);
}

static enum zt_verdict on_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    if (rx->n < OK_PREFIX) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return ZT_VERDICT_IGNORED;
    }
    uint8_t in_re = rx->payload[0];
    uint64_t id = zt_be64(rx->payload + 1);
    size_t n = rx->n - OK_PREFIX;
    const struct zt_expected *asked = zt_tx_expected(v, id, rx->from, in_re);
    if (asked == NULL) {
        zt_drop_count(v->drops, ZT_DROP_UNEXPECTED_OK);
        return ZT_VERDICT_IGNORED;
    }
    switch (in_re) {
    case ZT_VERB_HELLO:
        return zt_hello_ok(v, now, rx, asked, rx->payload + OK_PREFIX, n);
    case ZT_VERB_WHOIS:
        return on_whois_ok(v, now, rx, rx->payload + OK_PREFIX, n);
    case ZT_VERB_ECHO:
        /* Ours are empty; with 16 bytes it is a mislabelled OK(NETWORK_CONFIG), vl1.md 4.2. */
        return n == 16 ? upper_ok(v, now, rx, in_re, id, n) : ZT_VERDICT_OK;
    default:
        return is_vl2(in_re) ? upper_ok(v, now, rx, in_re, id, n) : ZT_VERDICT_OK;
    }
}

static enum zt_verdict on_error(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    if (rx->n < OK_PREFIX + 1) {
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
        return ZT_VERDICT_IGNORED;
    }
    uint8_t code = rx->payload[OK_PREFIX];
    if (code == ZT_ERROR_IDENTITY_COLLISION) {
        /* It costs us our identity, so unlike other errors it must answer a HELLO of ours: one that
         * was recorded years ago and is sent again does not. */
        if (!rx->peer->is_upstream)
            zt_drop_count(v->drops, ZT_DROP_NOT_UPSTREAM);
        else if (rx->payload[0] != ZT_VERB_HELLO ||
                 zt_tx_expected(v, zt_be64(rx->payload + 1), rx->from, ZT_VERB_HELLO) == NULL)
            zt_drop_count(v->drops, ZT_DROP_UNEXPECTED_ERROR);
        else
            zt_event(v, ZT_EVENT_COLLISION, v->id.addr);
        return ZT_VERDICT_IGNORED; /* a root that refuses us does not make us online */
    }
    if (v->upper.error == NULL)
        return ZT_VERDICT_OK;
    return v->upper.error(v->upper.user, now, rx, rx->payload[0], zt_be64(rx->payload + 1), code,
                          rx->payload + OK_PREFIX + 1, rx->n - OK_PREFIX - 1);
}

static enum zt_verdict dispatch(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                                uint8_t *p, size_t n)
{
    switch (rx->verb) {
    case ZT_VERB_NOP:
        return ZT_VERDICT_OK;
    case ZT_VERB_HELLO:
        return zt_hello_opened(v, now, rx, p, n);
    case ZT_VERB_ERROR:
        return on_error(v, now, rx);
    case ZT_VERB_OK:
        return on_ok(v, now, rx);
    case ZT_VERB_WHOIS:
        return on_whois(v, now, rx);
    case ZT_VERB_RENDEZVOUS:
        return zt_nat_rendezvous(v, now, rx);
    case ZT_VERB_ECHO:
        return on_echo(v, now, rx);
    case ZT_VERB_PUSH_DIRECT_PATHS:
        return zt_nat_pushed(v, now, rx);
    case ZT_VERB_USER_MESSAGE:
        return zt_message_user(v, rx);
    case ZT_VERB_REMOTE_TRACE:
        return zt_message_trace(v, rx);
    case ZT_VERB_ACK:
    case ZT_VERB_QOS_MEASUREMENT:
    case ZT_VERB_PATH_NEGOTIATION_REQUEST:
        return zt_message_bond(v, rx);
    default:
        if (is_vl2(rx->verb) && v->upper.packet != NULL)
            return v->upper.packet(v->upper.user, now, rx);
        zt_drop_count(v->drops, ZT_DROP_UNKNOWN_VERB);
        return ZT_VERDICT_OK;
    }
}

static void conclude(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                     enum zt_verdict verdict)
{
    if (verdict == ZT_VERDICT_IGNORED)
        return;
    const struct zt_expected *asked = NULL;
    if (rx->verb == ZT_VERB_OK && rx->n >= OK_PREFIX)
        asked = zt_tx_expected(v, zt_be64(rx->payload + 1), rx->from, rx->payload[0]);
    zt_peer_received(v, now, rx->peer, &rx->link, rx->hops, rx->verb, verdict == ZT_VERDICT_TRUSTED,
                     asked);
}

/* Does the sender choose the way of such a packet? Answers, and endpoints told with them, take the
 * way of what they answer. A HELLO has had its look already, with its age (hello.c). */
static bool is_unasked(uint8_t verb)
{
    return verb != ZT_VERB_HELLO && verb != ZT_VERB_OK && verb != ZT_VERB_ERROR &&
           verb != ZT_VERB_PUSH_DIRECT_PATHS;
}

void zt_rx_upper(struct zt_vl1 *v, const struct zt_now *now, struct zt_rx *rx, int64_t since_ms)
{
    /* First, because what comes next may answer on a path that this packet makes doubtful. */
    if (is_unasked(rx->verb))
        zt_peer_sign(v, now, rx->peer, &rx->link, rx->hops);
    enum zt_verdict verdict =
        dispatch(v, now, rx, rx->payload - ZT_PKT_PAYLOAD, rx->n + ZT_PKT_PAYLOAD);
    if (verdict == ZT_VERDICT_HOLD)
        zt_wait_hold(v, now, rx, since_ms);
    else
        conclude(v, now, rx, verdict);
}

static bool suite_fits(const struct zt_vl1 *v, const uint8_t *p)
{
    switch (zt_pkt_suite(p)) {
    case ZT_SUITE_SALSA:
        return v->settings.suites != ZT_SUITES_AES;
    case ZT_SUITE_AES:
        return v->settings.suites != ZT_SUITES_SALSA;
    case ZT_SUITE_TRUSTED:
        return true; /* is_trusted has the say */
    case ZT_SUITE_POLY: {
        uint8_t verb = p[ZT_PKT_VERB] & ZT_VERB_MASK;
        return verb == ZT_VERB_QOS_MEASUREMENT || verb == ZT_VERB_PATH_NEGOTIATION_REQUEST;
    }
    default:
        return false;
    }
}

static bool is_trusted(const struct zt_vl1 *v, const struct zt_ep *from, const uint8_t *p)
{
    const struct zt_set_physical *net = zt_settings_physical(&v->settings, from);
    return net != NULL && net->trusted_path != 0 && net->trusted_path == zt_be64(p + ZT_PKT_MAC);
}

void zt_rx_packet(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                  uint8_t *p, size_t n)
{
    if (zt_pkt_suite(p) == ZT_SUITE_POLY && (p[ZT_PKT_VERB] & ZT_VERB_MASK) == ZT_VERB_HELLO) {
        zt_hello_received(v, now, link, p, n);
        return;
    }
    if (!suite_fits(v, p)) {
        zt_drop_count(v->drops, ZT_DROP_CIPHER);
        return;
    }
    bool is_plain = zt_pkt_suite(p) == ZT_SUITE_TRUSTED;
    if (is_plain && !is_trusted(v, &link->ep, p)) {
        zt_drop_count(v->drops, ZT_DROP_TRUSTED_PATH);
        return;
    }
    struct zt_peer *peer = zt_peer_get(v, zt_pkt_src(p));
    if (peer == NULL) {
        zt_drop_count(v->drops, ZT_DROP_UNKNOWN_SENDER);
        zt_wait_rx(v, now, link, p, n);
        return;
    }
    if (!is_plain && zt_open(&peer->keys, p, n) != 0) {
        zt_drop_count(v->drops, ZT_DROP_MAC);
        return;
    }
    bool is_hello = (p[ZT_PKT_VERB] & ZT_VERB_MASK) == ZT_VERB_HELLO;
    if (zt_seen_before(v, zt_pkt_id(p) ^ (is_hello ? zt_link_hash(link) : 0), peer->id.addr)) {
        zt_drop_count(v->drops, ZT_DROP_DUPLICATE);
        return;
    }
    if (p[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) {
        int len = zt_pkt_decompress(p, n, v->rx_scratch);
        if (len < 0) {
            zt_drop_count(v->drops, ZT_DROP_DECOMPRESS);
            return;
        }
        p = v->rx_scratch;
        n = (size_t)len;
    }
    struct zt_rx rx = {.peer = peer,
                       .from = peer->id.addr,
                       .link = *link,
                       .id = zt_pkt_id(p),
                       .verb = p[ZT_PKT_VERB] & ZT_VERB_MASK,
                       .hops = (uint8_t)zt_pkt_hops(p),
                       .payload = p + ZT_PKT_PAYLOAD,
                       .n = n - ZT_PKT_PAYLOAD};
    zt_rx_upper(v, now, &rx, now->mono_ms);
}

/* -- datagrams -- */

/* The LAN beacon of old versions: eight bytes of anything and a node address (vl1.md 6.10). Whom we
 * know gets a NOP there, which proves to it that we are near; one per 2.5 s for all of them, since
 * anybody can send such a thing with any source. */
static void beacon(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in,
                   const uint8_t *p)
{
    uint8_t nop[ZT_PKT_PAYLOAD];
    struct zt_peer *peer = zt_peer_get(v, zt_be40(p + ZT_BEACON_SIZE - 5));
    if (peer == NULL || !zt_path_allowed(v, peer, &in->ep) ||
        now->mono_ms - v->last_beacon_ms < BEACON_PAUSE_MS) {
        zt_drop_count(v->drops, ZT_DROP_BEACON);
    } else {
        v->last_beacon_ms = now->mono_ms;
        (void)zt_tx_packet(v, now, peer, in, ZT_VERB_NOP, nop, sizeof nop, 0, NULL);
    }
}

static void for_us(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in, uint8_t *p,
                   size_t n)
{
    bool is_head = p[ZT_FRAG_INDICATOR_AT] != ZT_FRAG_INDICATOR;
    struct zt_link link = *in;
    if (is_head) {
        if (n < ZT_PKT_MIN) {
            zt_drop_count(v->drops, ZT_DROP_SHORT);
            return;
        }
        uint64_t src = zt_pkt_src(p);
        if (src == v->id.addr || zt_addr_reserved(src)) {
            zt_drop_count(v->drops,
                          src == v->id.addr ? ZT_DROP_OWN_SOURCE : ZT_DROP_RESERVED_SOURCE);
            return;
        }
    }
    if (!is_head || p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) {
        bool whole = zt_defrag_add(&v->defrag, now->mono_ms, in, p, n, &p, &n, &link);
        if (v->defrag_timer.pos == 0)
            (void)zt_heap_set(&v->heap, &v->defrag_timer, now->mono_ms + ZT_DEFRAG_MS);
        if (!whole)
            return;
    } else if (n > ZT_PKT_MAX) {
        zt_drop_count(v->drops, ZT_DROP_FRAGMENT_SIZE);
        return;
    }
    zt_rx_packet(v, now, &link, p, n);
}

void zt_vl1_datagram(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *in,
                     uint8_t *p, size_t n)
{
    v->packets_in++;
    v->bytes_in += n;
    if (n == ZT_BEACON_SIZE) {
        beacon(v, now, in, p);
        return;
    }
    if (n <= ZT_FRAG_DATA) {
        zt_drop_count(v->drops, ZT_DROP_SHORT);
        return;
    }
    if (v->roots.underlay == ZT_UNDERLAY_LOOPBACK_ONLY &&
        zt_ep_scope(&in->ep) != ZT_SCOPE_LOOPBACK) {
        zt_drop_count(v->drops, ZT_DROP_PATH);
        return;
    }
    if (zt_pkt_dest(p) == v->id.addr)
        for_us(v, now, in, p, n);
    else
        relay(v, now, in, p, n);
    zt_run_due(v, now);
}

/* -- answers -- */

bool zt_vl1_is_proven(const struct zt_rx *rx)
{
    return zt_peer_is_proven(rx->peer, &rx->link, rx->hops);
}

static int reply(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to, uint8_t verb,
                 struct zt_wr *w)
{
    if (w->bad)
        return ZT_E_SPACE;
    int rc = zt_tx_packet(v, now, to->peer, &to->link, verb, w->p, w->n, 0, NULL);
    struct zt_path *path = zt_peer_path(to->peer, &to->link);
    if (rc == 0 && path != NULL)
        path->last_out_ms = now->mono_ms;
    return rc;
}

static struct zt_wr begin_reply(struct zt_vl1 *v, const struct zt_rx *to, size_t room)
{
    struct zt_wr w = zt_wr(v->reply, ZT_PKT_PAYLOAD + OK_PREFIX + room);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u8(&w, to->verb);
    zt_wr_u64(&w, to->id);
    return w;
}

int zt_vl1_reply_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                    const uint8_t *body, size_t n)
{
    struct zt_wr w = begin_reply(v, to, REPLY_MAX);
    zt_wr_bytes(&w, body, n);
    return reply(v, now, to, ZT_VERB_OK, &w);
}

int zt_vl1_reply_error(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                       uint8_t code, const uint8_t *body, size_t n)
{
    struct zt_wr w = begin_reply(v, to, REPLY_MAX + 1);
    zt_wr_u8(&w, code);
    zt_wr_bytes(&w, body, n);
    return reply(v, now, to, ZT_VERB_ERROR, &w);
}
