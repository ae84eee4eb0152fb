/* Sending.
 *
 * A packet is built where the caller put its payload: the header goes in front, compression and
 * encryption happen in place, and each piece is handed to the host as (head, body) so that nothing
 * is copied. Pieces are cut evenly (zt_frag_plan) rather than full ones and a rest, so that the
 * datagrams of a bulk flow are of one size and the host can send dozens with one call; receivers
 * only need all pieces but the last to agree.
 *
 * Relaying is nothing but another link: the packet is sealed for its final destination always. It
 * is the way when there is no direct path, and while the only ones are in doubt (path.h).
 *
 * Expected replies: the upper 32 bits of the wire id of each packet that may be answered by an OK,
 * in 256 buckets of 32, the oldest overwritten (vl1.md 4.2). Entries are not used up by an answer:
 * some verbs are answered more than once. With the id goes to whom it was sent and which verb it
 * was: everybody whom we send a HELLO could else answer it as if it had been asked for the members
 * of a group. With a HELLO or ECHO goes where it was sent, so that its answer proves that endpoint
 * and no other, and when, so that the answer gives the round trip by our own monotonic clock. */
#include "vl1/tx.h"

#include "base/err.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/state.h"
#include "vl1/whois.h"

#define HELLO_MAX (ZT_PKT_PAYLOAD + 13 + ZT_IDENTITY_WIRE + 19 + 16 + ZT_MOONS_LIST_MAX)
#define PROTO_ECHO 5
#define PROTO_AES 12

bool zt_tx_datagram(struct zt_vl1 *v, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    if (v->roots.underlay == ZT_UNDERLAY_LOOPBACK_ONLY &&
        zt_ep_scope(&to->ep) != ZT_SCOPE_LOOPBACK) {
        zt_drop_count(v->drops, ZT_DROP_PATH);
        return false;
    }
    v->packets_out++;
    v->bytes_out += nhead + nbody;
    v->host->send(v->host->user, to, head, nhead, body, nbody, ttl);
    return true;
}

/* Keyed: nobody outside can find an endpoint that passes for another. Never 0. */
static uint32_t endpoint_tag(const struct zt_vl1 *v, const struct zt_ep *ep)
{
    uint64_t h = (zt_ep_hash(ep) ^ v->seed) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) | 1;
}

/* Never 0: so an empty slot matches nothing. */
static uint32_t asked_tag(const struct zt_vl1 *v, uint64_t addr, uint8_t verb)
{
    /* What every node calls its answer to a pushed configuration (vl1.md 4.2). */
    if (verb == ZT_VERB_NETWORK_CONFIG)
        verb = ZT_VERB_ECHO;
    uint64_t h = ((addr << 8 | verb) ^ v->seed) * 0x9e3779b97f4a7c15u;
    return (uint32_t)((h ^ h >> 29) * 0xd6e8feb86659fd93u >> 32) | 1;
}

/* to: the endpoint of a HELLO or ECHO, NULL for anything else. */
static void expect(struct zt_vl1 *v, const struct zt_now *now, const uint8_t *p, uint8_t verb,
                   const struct zt_ep *to)
{
    uint32_t hi = (uint32_t)(zt_pkt_id(p) >> 32);
    unsigned b = hi % ZT_EXPECT_BUCKETS;
    v->expected[b][v->expected_at[b]++ % ZT_EXPECT_SLOTS] =
        (struct zt_expected){.id = hi,
                             .who = asked_tag(v, zt_pkt_dest(p), verb),
                             .to = to != NULL ? endpoint_tag(v, to) : 0,
                             .sent_ms = (uint32_t)now->mono_ms};
}

const struct zt_expected *zt_tx_expected(const struct zt_vl1 *v, uint64_t id, uint64_t from,
                                         uint8_t in_re)
{
    uint32_t hi = (uint32_t)(id >> 32), who = asked_tag(v, from, in_re);
    const struct zt_expected *slots = v->expected[hi % ZT_EXPECT_BUCKETS];
    for (unsigned i = 0; i < ZT_EXPECT_SLOTS; i++)
        if (slots[i].id == hi && slots[i].who == who)
            return &slots[i];
    return NULL;
}

bool zt_tx_asked(const struct zt_vl1 *v, const struct zt_expected *e, const struct zt_ep *ep)
{
    return e->to != 0 && e->to == endpoint_tag(v, ep);
}

int64_t zt_tx_age_ms(const struct zt_expected *e, int64_t now_ms)
{
    return (uint32_t)((uint32_t)now_ms - e->sent_ms);
}

static uint64_t new_id(struct zt_vl1 *v)
{
    uint64_t id;
    v->host->random(v->host->user, &id, sizeof id);
    return id;
}

static void send_pieces(struct zt_vl1 *v, const struct zt_link *link, const uint8_t *p, size_t n,
                        unsigned total, size_t piece)
{
    if (total == 1) {
        zt_tx_datagram(v, link, p, n, NULL, 0, 0);
        return;
    }
    if (!zt_tx_datagram(v, link, p, piece, NULL, 0, 0))
        return;
    size_t at = piece;
    for (unsigned no = 1; no < total; no++) {
        uint8_t head[ZT_FRAG_DATA];
        size_t left = n - at;
        size_t len = left < piece - ZT_FRAG_DATA ? left : piece - ZT_FRAG_DATA;
        zt_frag_header(p, total, no, head);
        zt_tx_datagram(v, link, head, sizeof head, p + at, len, 0);
        at += len;
    }
}

static enum zt_suite suite_for(const struct zt_vl1 *v, const struct zt_peer *peer)
{
    switch (v->settings.suites) {
    case ZT_SUITES_SALSA:
        return ZT_SUITE_SALSA;
    case ZT_SUITES_AES:
        return ZT_SUITE_AES;
    default:
        return peer->proto >= PROTO_AES ? ZT_SUITE_AES : ZT_SUITE_SALSA;
    }
}

/* Plaintext, where it is configured, only to the peer itself: what a relay gets is sealed. */
static bool is_trusted(const struct zt_set_physical *net, struct zt_peer *peer,
                       const struct zt_link *link)
{
    return net != NULL && net->trusted_path != 0 && zt_peer_path(peer, link) != NULL;
}

int zt_tx_packet(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                 const struct zt_link *link, uint8_t verb, uint8_t *p, size_t n, unsigned flags,
                 uint64_t *id)
{
    zt_pkt_init(p, new_id(v), peer->id.addr, v->id.addr, verb);
    if (flags & ZT_TX_COMPRESS)
        n = zt_pkt_compress(p, n, v->tx_scratch);
    size_t piece;
    const struct zt_set_physical *net = zt_settings_physical(&v->settings, &link->ep);
    size_t mtu = net != NULL && net->mtu != 0 ? net->mtu : ZT_MTU_DEFAULT;
    unsigned total = zt_frag_plan(n, mtu, &piece);
    if (total == 0)
        return ZT_E_SPACE;
    if (total > 1)
        p[ZT_PKT_FLAGS] |= ZT_FLAG_FRAGMENTED; /* authenticated: before sealing */
    if (is_trusted(net, peer, link)) {
        zt_pkt_trust(p, net->trusted_path);
    } else {
        int rc = zt_seal(&peer->keys, suite_for(v, peer), p, n);
        if (rc != 0)
            return rc;
    }
    if (flags & ZT_TX_EXPECT)
        expect(v, now, p, verb, verb == ZT_VERB_ECHO ? &link->ep : NULL); /* the final id: sealing
                                                                             with AES changes it */
    if (id != NULL)
        *id = zt_pkt_id(p);
    send_pieces(v, link, p, n, total, piece);
    return 0;
}

int zt_tx_route(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer, uint8_t verb,
                uint8_t *p, size_t n, unsigned flags, uint64_t *id)
{
    struct zt_peer *via = peer;
    struct zt_path *path = zt_peer_best(peer, now->mono_ms, false);
    if (path == NULL) {
        zt_peer_try(v, now, peer);
        zt_peer_retry(v, now, peer);
    }
    if (path == NULL || path->doubted) {
        struct zt_peer *up = zt_roots_best(v, now->mono_ms);
        struct zt_path *relay = up != NULL ? zt_peer_best(up, now->mono_ms, false) : NULL;
        if (relay != NULL) {
            via = up;
            path = relay;
        }
    }
    if (path == NULL)
        path = zt_peer_best(peer, now->mono_ms, true);
    if (path == NULL)
        return ZT_E_NOPATH;
    int rc = zt_tx_packet(v, now, peer, &path->link, verb, p, n, flags, id);
    if (rc == 0)
        zt_peer_sent(v, now, via, path);
    return rc;
}

int zt_vl1_send(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
                uint8_t *payload, size_t n, unsigned flags, uint64_t *id)
{
    if (id != NULL)
        *id = 0;
    if (dest == v->id.addr || zt_addr_reserved(dest) || dest > ZT_ADDR_MASK)
        return ZT_E_INVAL;
    if (n > ZT_PKT_MAX_SENT - ZT_PKT_PAYLOAD)
        return ZT_E_SPACE;
    struct zt_peer *peer = zt_peer_get(v, dest);
    if (peer != NULL) {
        int rc = zt_tx_route(v, now, peer, verb, payload - ZT_PKT_PAYLOAD, n + ZT_PKT_PAYLOAD,
                             flags, id);
        if (rc != ZT_E_NOPATH)
            return rc;
    }
    return zt_wait_tx(v, now, dest, verb, payload, n, flags);
}

void zt_tx_hello(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                 const struct zt_link *link, bool relayed)
{
    uint8_t p[HELLO_MAX];
    if (zt_settings_forbid(&v->settings, relayed ? 0 : peer->id.addr, &link->ep)) {
        zt_drop_count(v->drops, ZT_DROP_PATH);
        return;
    }
    zt_pkt_init(p, new_id(v), peer->id.addr, v->id.addr, ZT_VERB_HELLO);
    struct zt_wr w = zt_wr(p, sizeof p);
    w.n = ZT_PKT_PAYLOAD;
    zt_wr_u8(&w, zt_own_proto(v));
    zt_wr_u8(&w, ZT_VERSION_MAJOR);
    zt_wr_u8(&w, ZT_VERSION_MINOR);
    zt_wr_u16(&w, ZT_VERSION_REV);
    zt_wr_u64(&w, (uint64_t)now->wall_ms);
    zt_wr_identity(&w, &v->id, false);
    zt_wr_ep(&w, relayed ? &(struct zt_ep){0} : &link->ep);
    zt_wr_u64(&w, v->roots.planet.id);
    zt_wr_u64(&w, v->roots.planet.timestamp_ms);
    size_t masked_from = w.n;
    zt_moons_write_list(v, &w);
    assert(!w.bad);
    zt_hello_mask(&peer->keys, p, w.n, masked_from);
    if (zt_seal(&peer->keys, ZT_SUITE_POLY, p, w.n) != 0)
        return;
    expect(v, now, p, ZT_VERB_HELLO, relayed ? NULL : &link->ep);
    zt_tx_datagram(v, link, p, w.n, NULL, 0, 0);
}

void zt_tx_contact(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer,
                   const struct zt_link *link, bool full)
{
    bool is_1_1_0 = peer->major == 1 && peer->minor == 1 && peer->rev == 0;
    if (full || peer->proto < PROTO_ECHO || is_1_1_0) {
        zt_tx_hello(v, now, peer, link, false);
    } else {
        uint8_t p[ZT_PKT_PAYLOAD];
        (void)zt_tx_packet(v, now, peer, link, ZT_VERB_ECHO, p, sizeof p, ZT_TX_EXPECT, NULL);
    }
}
