/* The hot path is zt_frame_send to a member and zt_frame_in from one: a table look-up, the rules,
 * and a header written around a payload that stays where it is. FRAME's body ends with the
 * ethertype that the Ethernet header ends with, so 18 bytes of addresses become network id and
 * packet header, and on the way in the other way round. EXT_FRAME keeps the whole Ethernet header.
 *
 * Multicast frames go to several nodes and are copied for each (mcast.c). */

#include "vl2/frame.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"
#include "vl2/config.h"
#include "vl2/groups.h"
#include "vl2/hold.h"

#define ETH 14
#define BRIDGE_FAN_OUT 32
#define MCAST_PAYLOAD_MAX 10000

static int refuse(struct zt_network *net, enum zt_drop reason)
{
    return zt_vl2_refuse(net->vl2, reason, ZT_E_PERM);
}

/* ---- rules ---- */

void zt_wr_ext_frame(struct zt_wr *w, uint64_t nwid, uint8_t flags, uint64_t mac_dest,
                     uint64_t mac_source, uint16_t ethertype, const uint8_t *p, size_t n)
{
    zt_wr_u64(w, nwid);
    zt_wr_u8(w, flags);
    zt_wr_u48(w, mac_dest);
    zt_wr_u48(w, mac_source);
    zt_wr_u16(w, ethertype);
    zt_wr_bytes(w, p, n);
}

static void send_copies(struct zt_network *net, const struct zt_now *now,
                        const struct zt_filter_frame *f, const struct zt_filter_outcome *o)
{
    for (unsigned i = 0; i < o->ncopies; i++) {
        struct zt_member *m = net->is_adhoc ? NULL : zt_member_get(net, o->copies[i].to);
        /* The network's owner chose the target: it need not have shown anything to us. */
        if (zt_member_barred(net, m)) {
            zt_drop_count(net->vl2->drops, ZT_DROP_RECIPIENT);
            continue;
        }
        if (m != NULL)
            zt_member_push(net, now, m, false);
        struct zt_wr w = zt_vl2_begin(net->vl2);
        zt_wr_ext_frame(&w, net->nwid, o->copies[i].flags, f->mac_dest, f->mac_source, f->ethertype,
                        f->p, o->copies[i].n);
        zt_vl2_send(net->vl2, now, o->copies[i].to, ZT_VERB_EXT_FRAME, &w, ZT_TX_COMPRESS);
    }
}

bool zt_frame_allowed(struct zt_network *net, const struct zt_now *now, uint64_t dest,
                      uint64_t mac_source, uint64_t mac_dest, uint16_t ethertype, const uint8_t *p,
                      size_t n, bool no_tee)
{
    struct zt_member *m = net->is_adhoc || dest == 0 ? NULL : zt_member_find(net, dest);
    struct zt_filter_frame f = {
        .source = net->policy.self,
        .dest = dest,
        .mac_source = mac_source,
        .mac_dest = mac_dest,
        .ethertype = ethertype,
        .p = p,
        .n = n,
        .random = zt_vl2_random(net->vl2),
    };
    struct zt_filter_outcome o;

    zt_filter_out(&net->policy, &f, zt_member_holdings(net, m), no_tee, &o);
    if (o.ncopies > 0)
        send_copies(net, now, &f, &o);
    if (ZT_GATE(RULES_OUT, o.result != ZT_FILTER_DROP))
        return true;
    zt_drop_count(net->vl2->drops, ZT_DROP_RULES_OUT);
    return false;
}

static enum zt_filter_result filter_in(struct zt_network *net, const struct zt_now *now,
                                       struct zt_member *m, const struct zt_filter_frame *f)
{
    struct zt_filter_outcome o;

    zt_filter_in(&net->policy, f, zt_member_holdings(net, m), &o);
    if (o.ncopies > 0)
        send_copies(net, now, f, &o);
    if (!ZT_GATE(RULES_IN, o.result != ZT_FILTER_DROP))
        zt_drop_count(net->vl2->drops, ZT_DROP_RULES_IN);
    else if (o.result == ZT_FILTER_DROP)
        return ZT_FILTER_ACCEPT;
    return o.result;
}

/* ---- bridging ---- */

static struct zt_bridge_route *route_set(struct zt_network *net, uint64_t mac)
{
    size_t sets = ZT_BRIDGE_ROUTES / ZT_BRIDGE_WAYS;
    size_t set = (size_t)zt_vl2_hash(net->vl2, mac, net->nwid) & (sets - 1);
    return &net->routes[set * ZT_BRIDGE_WAYS];
}

/* This MAC is behind this bridge. A full set loses one of its routes, which costs a fan-out later.
 */
static void learn_route(struct zt_network *net, uint64_t mac, uint64_t addr)
{
    if (net->routes == NULL)
        net->routes = (struct zt_bridge_route *)calloc(ZT_BRIDGE_ROUTES, sizeof net->routes[0]);
    if (net->routes == NULL)
        return;
    struct zt_bridge_route *set = route_set(net, mac), *slot = NULL;
    for (unsigned i = 0; i < ZT_BRIDGE_WAYS; i++) {
        if (set[i].mac == mac) {
            slot = &set[i];
            break;
        }
        if (set[i].addr == 0 && slot == NULL)
            slot = &set[i];
    }
    if (slot == NULL)
        slot = &set[zt_vl2_random(net->vl2) % ZT_BRIDGE_WAYS];
    *slot = (struct zt_bridge_route){mac, addr};
}

static uint64_t find_route(struct zt_network *net, uint64_t mac)
{
    struct zt_bridge_route *set = net->routes != NULL ? route_set(net, mac) : NULL;
    for (unsigned i = 0; set != NULL && i < ZT_BRIDGE_WAYS; i++) {
        if (set[i].mac == mac && set[i].addr != 0)
            return set[i].addr;
    }
    return 0;
}

/* All active bridges but us, at most cap; a random choice when there are more. */
static unsigned choose_bridges(struct zt_network *net, uint64_t *out, unsigned cap)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < net->cfg->nspecialists; i++) {
        uint64_t s = net->cfg->specialists[i], addr = s & ZT_ADDR_MASK;
        if ((s & ZT_ROLE_BRIDGE) == 0 || addr == net->policy.self)
            continue;
        unsigned at = seen < cap ? seen : zt_vl2_random(net->vl2) % (seen + 1);
        if (at < cap)
            out[at] = addr;
        seen++;
    }
    return seen < cap ? seen : cap;
}

/* vl2.md 6.4: to a MAC that is no member's. */
static int send_behind_bridge(struct zt_network *net, const struct zt_now *now, const uint8_t *eth,
                              size_t n)
{
    uint64_t dest = zt_be48(eth), source = zt_be48(eth + 6);
    uint16_t type = zt_be16(eth + 12);
    uint64_t targets[BRIDGE_FAN_OUT];
    unsigned count = 1, sent = 0;

    if (!zt_frame_allowed(net, now, 0, source, dest, type, eth + ETH, n - ETH, false))
        return ZT_E_PERM;
    targets[0] = find_route(net, dest);
    if (targets[0] == 0 || targets[0] == net->policy.self ||
        !zt_config_has_role(net, targets[0], ZT_ROLE_BRIDGE))
        count = choose_bridges(net, targets, BRIDGE_FAN_OUT);
    for (unsigned i = 0; i < count; i++) {
        struct zt_member *m = net->is_adhoc ? NULL : zt_member_get(net, targets[i]);
        if (!zt_hold_ready(net, now, m) ||
            !zt_frame_allowed(net, now, targets[i], source, dest, type, eth + ETH, n - ETH, true))
            continue;
        struct zt_wr w = zt_vl2_begin(net->vl2);
        zt_wr_ext_frame(&w, net->nwid, 0, dest, source, type, eth + ETH, n - ETH);
        if (zt_vl2_send(net->vl2, now, targets[i], ZT_VERB_EXT_FRAME, &w, 0) == 0)
            sent++;
    }
    return count == 0 ? refuse(net, ZT_DROP_DESTINATION) : sent > 0 ? 0 : ZT_E_PERM;
}

/* ---- out ---- */

/* vl2.md 6.2. Everything happens in place: the addresses are read before they are overwritten. */
static int send_to_member(struct zt_network *net, const struct zt_now *now, uint8_t *eth, size_t n,
                          bool is_bridged)
{
    uint64_t mac_dest = zt_be48(eth), mac_source = zt_be48(eth + 6);
    uint64_t dest = zt_mac_to_addr(mac_dest, net->nwid);
    uint16_t type = zt_be16(eth + 12);

    if (zt_addr_reserved(dest) || dest == net->policy.self)
        return refuse(net, ZT_DROP_DESTINATION);
    struct zt_member *m = net->is_adhoc ? NULL : zt_member_get(net, dest);
    if (!zt_hold_ready(net, now, m)) {
        zt_hold_frame(net, now, m, eth, n);
        return 0;
    }
    if (!zt_frame_allowed(net, now, dest, mac_source, mac_dest, type, eth + ETH, n - ETH, false))
        return ZT_E_PERM;
    if (m != NULL)
        zt_member_push(net, now, m, false);

    /* FRAME: nwid, ethertype. EXT_FRAME: nwid, flags, the Ethernet header as it is. */
    uint8_t *payload = is_bridged ? eth - 9 : eth + 4;
    zt_put64(payload, net->nwid);
    if (is_bridged)
        payload[8] = 0;
    struct zt_wr w = {.p = payload, .n = (size_t)(eth + n - payload)};
    return zt_vl2_send(net->vl2, now, dest, is_bridged ? ZT_VERB_EXT_FRAME : ZT_VERB_FRAME, &w, 0);
}

/* An ARP request for an IPv4 address on Ethernet. */
static bool is_arp_request(uint16_t type, const uint8_t *p, size_t n)
{
    return type == 0x0806 && n >= 28 && zt_be16(p + 2) == 0x0800 && p[4] == 6 && p[5] == 4 &&
           p[7] == 1;
}

static bool answer_solicitation(struct zt_network *net, const struct zt_now *now,
                                uint64_t mac_source, const uint8_t *p, size_t n)
{
    uint8_t advertisement[ZT_NDP_ADVERTISEMENT], eth[ETH];
    uint64_t addr = zt_ndp_answer(net->cfg, p, n, advertisement);

    if (addr == 0)
        return false;
    zt_put48(eth, mac_source);
    zt_put48(eth + 6, zt_mac_of(addr, net->nwid));
    zt_put16(eth + 12, 0x86dd);
    zt_vl2_later(net->vl2, now, net->nwid, eth, advertisement, sizeof advertisement);
    return true;
}

/* vl2.md 7.3, up to the sending itself. */
static int send_multicast(struct zt_network *net, const struct zt_now *now, const uint8_t *eth,
                          size_t n, bool is_bridged)
{
    struct zt_group_id id = {net->nwid, zt_be48(eth), 0};
    uint64_t source = zt_be48(eth + 6);
    uint16_t type = zt_be16(eth + 12);
    const uint8_t *p = eth + ETH;

    n -= ETH;
    if (id.mac == ZT_MAC_BROADCAST) {
        if (is_arp_request(type, p, n))
            id.adi = zt_be32(p + 24);
        else if ((net->cfg->flags & ZT_NET_BROADCAST) == 0)
            return refuse(net, ZT_DROP_MULTICAST_OFF);
    } else if (type == 0x86dd && answer_solicitation(net, now, source, p, n)) {
        return 0;
    }
    if (net->cfg->multicast_limit == 0)
        return refuse(net, ZT_DROP_MULTICAST_OFF);
    if (is_bridged)
        zt_groups_bridged(net, now, id.mac, id.adi);
    if (!zt_frame_allowed(net, now, 0, source, id.mac, type, p, n, false))
        return ZT_E_PERM;
    struct zt_mcast_frame f = {
        .source = is_bridged ? source : 0,
        .mac_source = source,
        .ethertype = type,
        .p = p,
        .n = n < MCAST_PAYLOAD_MAX ? n : MCAST_PAYLOAD_MAX,
    };
    return zt_mcast_send(net, now, id, &f);
}

int zt_frame_send(struct zt_network *net, const struct zt_now *now, uint8_t *eth, size_t n)
{
    uint64_t dest = zt_be48(eth), source = zt_be48(eth + 6);
    bool is_bridged = source != net->mac;

    if (net->cfg == NULL)
        return zt_vl2_refuse(net->vl2, ZT_DROP_NO_CONFIG, ZT_E_STATE);
    if (!ZT_GATE(BRIDGE_OUT, !is_bridged || net->is_bridge))
        return refuse(net, ZT_DROP_BRIDGE);
    if (zt_mac_is_multicast(dest))
        return send_multicast(net, now, eth, n, is_bridged);
    if (dest == net->mac) {
        zt_vl2_later(net->vl2, now, net->nwid, eth, eth + ETH, n - ETH);
        return 0;
    }
    if (dest >> 40 == zt_mac_first(net->nwid))
        return send_to_member(net, now, eth, n, is_bridged);
    return send_behind_bridge(net, now, eth, n);
}

/* ---- in ---- */

static enum zt_verdict malformed(struct zt_vl2 *v)
{
    zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    return ZT_VERDICT_IGNORED;
}

static enum zt_verdict not_joined(struct zt_vl2 *v)
{
    zt_drop_count(v->drops, ZT_DROP_NOT_JOINED);
    return ZT_VERDICT_IGNORED;
}

static bool drop(struct zt_network *net, enum zt_drop reason)
{
    zt_drop_count(net->vl2->drops, reason);
    return false;
}

/* eth: 14 bytes before the payload, its type already there; may overlap what the MACs came from. */
static void deliver(struct zt_network *net, uint8_t *eth, uint64_t mac_dest, uint64_t mac_source,
                    size_t n)
{
    const struct zt_host *host = net->vl2->host;
    zt_put48(eth, mac_dest);
    zt_put48(eth + 6, mac_source);
    host->deliver(host->user, net->nwid, eth, ETH + n);
}

enum zt_verdict zt_frame_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    if (rx->n < 10)
        return malformed(v);
    struct zt_network *net = zt_network_find(v, zt_be64(rx->payload));
    if (net == NULL)
        return not_joined(v);
    struct zt_member *m = zt_network_gate(net, now, rx->from);
    if (!ZT_GATE(FRAME, m != NULL))
        return zt_network_refuse(net, now, rx);
    if (rx->n == 10)
        return ZT_VERDICT_TRUSTED;

    uint64_t source = zt_mac_of(rx->from, net->nwid);
    struct zt_filter_frame f = {
        .source = rx->from,
        .dest = net->policy.self,
        .mac_source = source,
        .mac_dest = net->mac,
        .ethertype = zt_be16(rx->payload + 8),
        .p = rx->payload + 10,
        .n = rx->n - 10,
        .random = zt_vl2_random(v),
    };
    if (filter_in(net, now, m, &f) != ZT_FILTER_DROP)
        deliver(net, rx->payload + 10 - ETH, net->mac, source, f.n);
    return ZT_VERDICT_TRUSTED;
}

/* Checks of an EXT_FRAME that the rules accepted normally: may this sender use these addresses?
 * Returns the reason against it, or ZT_DROP_COUNT. */
static enum zt_drop judge_addresses(struct zt_network *net, uint64_t from,
                                    const struct zt_filter_frame *f)
{
    if (f->mac_source != zt_mac_of(from, net->nwid)) {
        if (!ZT_GATE(BRIDGE_IN, zt_config_has_role(net, from, ZT_ROLE_BRIDGE)))
            return ZT_DROP_BRIDGE;
        learn_route(net, f->mac_source, from);
        return ZT_DROP_COUNT;
    }
    if (f->mac_dest == net->mac)
        return ZT_DROP_COUNT;
    if (zt_mac_is_multicast(f->mac_dest))
        return net->cfg->multicast_limit == 0 ? ZT_DROP_MULTICAST_OFF : ZT_DROP_COUNT;
    return ZT_GATE(BRIDGED_TO, net->is_bridge) ? ZT_DROP_COUNT : ZT_DROP_BRIDGE;
}

/* vl2.md 2.2, step 4. eth: the whole Ethernet header, as it came. Returns whether to go on to the
 * acknowledgement. */
static bool ext_frame_body(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                           uint64_t from, uint8_t *eth, size_t n)
{
    struct zt_filter_frame f = {
        .source = from,
        .dest = net->policy.self,
        .mac_source = zt_be48(eth + 6),
        .mac_dest = zt_be48(eth),
        .ethertype = zt_be16(eth + 12),
        .p = eth + ETH,
        .n = n,
        .random = zt_vl2_random(net->vl2),
    };
    if (f.mac_source == 0 || f.mac_source == net->mac) {
        zt_drop_count(net->vl2->drops, ZT_DROP_FRAME_MAC);
        return false;
    }
    enum zt_filter_result r = filter_in(net, now, m, &f);
    if (r == ZT_FILTER_DROP)
        return true;
    enum zt_drop against = r == ZT_FILTER_SUPER ? ZT_DROP_COUNT : judge_addresses(net, from, &f);
    if (against != ZT_DROP_COUNT) {
        zt_drop_count(net->vl2->drops, against);
        return false;
    }
    deliver(net, eth, f.mac_dest, f.mac_source, n);
    return true;
}

enum zt_verdict zt_ext_frame_in(struct zt_vl2 *v, const struct zt_now *now, const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    struct zt_network *net = zt_network_find(v, zt_rd_u64(&r));
    uint8_t flags = zt_rd_u8(&r);
    struct zt_com com;

    if (flags & 0x01)
        zt_rd_com(&r, &com);
    if (zt_rd_left(&r) < ETH)
        return malformed(v);
    if (net == NULL)
        return not_joined(v);
    if (flags & 0x01)
        zt_member_com(net, now, &com);
    struct zt_member *m = zt_network_gate(net, now, rx->from);
    if (!ZT_GATE(EXT_FRAME, m != NULL))
        return zt_network_refuse(net, now, rx);

    bool may_ack = true;
    if (zt_rd_left(&r) > ETH)
        may_ack = ext_frame_body(net, now, m, rx->from, rx->payload + r.pos, zt_rd_left(&r) - ETH);
    if (may_ack && (flags & 0x10)) {
        uint8_t body[8];
        zt_put64(body, net->nwid);
        zt_vl1_reply_ok(v->vl1, now, rx, body, sizeof body);
    }
    return ZT_VERDICT_TRUSTED;
}

/* A MULTICAST_FRAME, taken apart. eth: 14 bytes before the payload. */
struct mcast_in {
    uint8_t flags;
    uint32_t limit;
    uint64_t source;
    struct zt_group_id id;
    uint16_t ethertype;
    uint8_t *eth;
    size_t n;
};

/* Step 5 of vl2.md 2.8, but that a sender's right to its source is looked at before the frame is
 * replicated: from a replicator, which is a bridge too, others take any source. Returns whether to go
 * on to the gather answer. */
static bool mcast_body(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                       uint64_t from, const struct mcast_in *in)
{
    if (!zt_mac_is_multicast(in->id.mac) || in->source == 0 || in->source == net->mac ||
        zt_mac_is_multicast(in->source))
        return drop(net, ZT_DROP_FRAME_MAC);
    if (in->source != zt_mac_of(from, net->nwid)) {
        if (!ZT_GATE(BRIDGE_IN, zt_config_has_role(net, from, ZT_ROLE_BRIDGE)))
            return drop(net, ZT_DROP_BRIDGE);
        learn_route(net, in->source, from);
    }
    if ((in->flags & 0x08) && net->is_replicator) {
        struct zt_mcast_frame again = {
            .source = in->source,
            .mac_source = in->source,
            .origin = from,
            .ethertype = in->ethertype,
            .p = in->eth + ETH,
            .n = in->n,
        };
        zt_mcast_send(net, now, in->id, &again);
    }
    struct zt_filter_frame f = {
        .source = from,
        .dest = net->policy.self,
        .mac_source = in->source,
        .mac_dest = in->id.mac,
        .ethertype = in->ethertype,
        .p = in->eth + ETH,
        .n = in->n,
        .random = zt_vl2_random(net->vl2),
    };
    if (filter_in(net, now, m, &f) != ZT_FILTER_DROP)
        deliver(net, in->eth, in->id.mac, in->source, in->n);
    return true;
}

static void answer_implicit_gather(struct zt_network *net, const struct zt_now *now,
                                   const struct zt_rx *rx, const struct mcast_in *in)
{
    uint8_t body[1400];
    struct zt_wr w = zt_wr(body, sizeof body);

    zt_wr_u64(&w, net->nwid);
    zt_wr_u48(&w, in->id.mac);
    zt_wr_u32(&w, in->id.adi);
    zt_wr_u8(&w, 0x02);
    bool self = zt_groups_has(net, in->id.mac, in->id.adi);
    if (zt_mcast_results(&net->vl2->mcast, now, in->id, rx->from, self,
                         zt_gather_limit(rx, in->limit), &w) > 0)
        zt_vl1_reply_ok(net->vl2->vl1, now, rx, w.p, w.n);
}

enum zt_verdict zt_mcast_frame_in(struct zt_vl2 *v, const struct zt_now *now,
                                  const struct zt_rx *rx)
{
    struct zt_rd r = zt_rd(rx->payload, rx->n);
    struct mcast_in in = {.id.nwid = zt_rd_u64(&r)};
    struct zt_com com;

    in.flags = zt_rd_u8(&r);
    if (in.flags & 0x01)
        zt_rd_com(&r, &com);
    if (in.flags & 0x02)
        in.limit = zt_rd_u32(&r);
    in.source = in.flags & 0x04 ? zt_rd_u48(&r) : zt_mac_of(rx->from, in.id.nwid);
    in.id.mac = zt_rd_u48(&r);
    in.id.adi = zt_rd_u32(&r);
    in.ethertype = zt_rd_u16(&r);
    if (r.bad)
        return malformed(v);
    in.n = zt_rd_left(&r);
    in.eth = rx->payload + r.pos - ETH;

    struct zt_network *net = zt_network_find(v, in.id.nwid);
    if (net == NULL)
        return not_joined(v);
    if (in.flags & 0x01)
        zt_member_com(net, now, &com);
    struct zt_member *m = zt_network_gate(net, now, rx->from);
    if (!ZT_GATE(MULTICAST_FRAME, m != NULL))
        return zt_network_refuse(net, now, rx);
    if (net->cfg->multicast_limit == 0) {
        zt_drop_count(v->drops, ZT_DROP_MULTICAST_OFF);
        return ZT_VERDICT_OK;
    }
    bool go_on = true;
    if (in.n > 0 && in.n <= MCAST_PAYLOAD_MAX)
        go_on = mcast_body(net, now, m, rx->from, &in);
    if (go_on && in.limit > 0)
        answer_implicit_gather(net, now, rx, &in);
    return ZT_VERDICT_TRUSTED;
}

/* ---- NDP emulation ---- */

static uint16_t icmp6_checksum(const uint8_t *src_dst, const uint8_t *icmp, size_t n)
{
    uint32_t sum = (uint32_t)n + 58;

    for (size_t i = 0; i < 32; i += 2)
        sum += zt_be16(src_dst + i);
    for (size_t i = 0; i < n; i += 2)
        sum += zt_be16(icmp + i);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* The node that this target address is made from, for one of our own addresses; 0: none. */
static uint64_t target_node(uint64_t nwid, const struct zt_ep *own, const uint8_t target[16])
{
    uint32_t fold = (uint32_t)(nwid ^ nwid >> 32);

    if (own->family != 6)
        return 0;
    if (own->port == 88 && own->ip[0] == 0xfd && own->ip[9] == 0x99 && own->ip[10] == 0x93 &&
        memcmp(own->ip, target, 11) == 0)
        return zt_be40(target + 11);
    if (own->port == 40 && own->ip[0] == 0xfc && zt_be32(own->ip + 1) == fold &&
        memcmp(own->ip, target, 5) == 0)
        return zt_be40(target + 5);
    return 0;
}

uint64_t zt_ndp_answer(const struct zt_netconf *cfg, const uint8_t *p, size_t n,
                       uint8_t out[ZT_NDP_ADVERTISEMENT])
{
    static const uint8_t ip[8] = {0x60, 0, 0, 0, 0, 32, 58, 255};
    static const uint8_t advertisement[8] = {0x88, 0, 0, 0, 0x60, 0, 0, 0};
    const struct zt_ep *own = NULL;
    uint64_t addr = 0;

    if (!(cfg->flags & ZT_NET_NDP_EMULATION) || n < 64 || p[6] != 58 || p[40] != 0x87)
        return 0;
    for (unsigned i = 0; i < cfg->naddrs && addr == 0; i++) {
        own = &cfg->addrs[i];
        addr = target_node(cfg->nwid, own, p + 48);
    }
    if (addr == 0 || addr == cfg->issued_to)
        return 0;
    memcpy(out, ip, 8);
    memcpy(out + 8, p + 48, 16);
    memcpy(out + 24, own->ip, 16);
    memcpy(out + 40, advertisement, 8);
    memcpy(out + 48, p + 48, 16);
    out[64] = 2; /* option: target link-layer address, of 8 bytes */
    out[65] = 1;
    zt_put48(out + 66, zt_mac_of(addr, cfg->nwid));
    zt_put16(out + 42, icmp6_checksum(out + 8, out + 40, 32));
    return addr;
}
