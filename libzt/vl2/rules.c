/* The evaluator walks one table left to right, as both ends of a link and every other
 * implementation must, or they would disagree about frames. Three things are less obvious than they
 * look:
 *
 *  - a match answers true, false, or one of these as "hard", which a NOT bit does not invert: a
 * test that cannot apply (no IPv4 header, tag unknown) is false even when negated;
 *  - OR on the first match of a set makes the set true, since a set starts out true;
 *  - tags of the remote that we have not seen are taken leniently on the way out: the match is true
 *    and the next DROP is passed over once. The receiver judges strictly.
 *
 * Nothing here reads past the frame: every offset is checked against its length first. */

#include "vl2/rules.h"

#include <assert.h>

#define CHAR_INBOUND (1ULL << 63)
#define CHAR_MULTICAST (1ULL << 62)
#define CHAR_BROADCAST (1ULL << 61)
#define CHAR_IP_AUTHENTIC (1ULL << 60)
#define CHAR_MAC_AUTHENTIC (1ULL << 59)

#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ICMPV6 58
#define PROTO_SCTP 132
#define PROTO_UDPLITE 136

enum table_result {
    T_NO_MATCH,
    T_DROP,
    T_ACCEPT,
    T_SUPER,
    T_REDIRECT,
};

/* State of one table's evaluation. */
struct eval {
    const struct zt_policy *net;
    const struct zt_filter_frame *f;
    const struct zt_holdings *remote;
    bool inbound;
    uint64_t dest; /* as changed by REDIRECT */
    bool super, skip_drop;
    uint8_t bucket;
    struct {
        uint64_t to; /* 0: none */
        size_t n;
        bool watch;
    } copy;
};

/* Answer of a match: the value, and whether NOT leaves it alone. */
struct answer {
    bool value, hard;
};

static struct answer soft(bool v)
{
    return (struct answer){.value = v};
}

static struct answer hard(bool v)
{
    return (struct answer){.value = v, .hard = true};
}

/* ---- looking at the frame ---- */

static bool is_ipv4(const struct zt_filter_frame *f)
{
    return f->ethertype == 0x0800 && f->n >= 20;
}

static bool is_ipv6(const struct zt_filter_frame *f)
{
    return f->ethertype == 0x86dd && f->n >= 40;
}

/* Upper protocol and where it starts, after the extension headers. */
static bool ipv6_upper(const struct zt_filter_frame *f, uint8_t *proto, size_t *pos)
{
    size_t at = 40;
    uint8_t next = f->p[6];

    while (next == 0 || next == 43 || next == 60 || next == 135) {
        if (at + 8 > f->n)
            return false;
        next = f->p[at];
        at += 8 * (size_t)f->p[at + 1] + 8;
        if (at > f->n)
            return false;
    }
    *proto = next;
    *pos = at;
    return true;
}

static size_t ipv4_header(const struct zt_filter_frame *f)
{
    return 4 * (size_t)(f->p[0] & 0x0f);
}

static bool has_ports(uint8_t proto)
{
    return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP ||
           proto == PROTO_UDPLITE;
}

static struct answer match_port(const struct zt_filter_frame *f, const struct zt_rule *e,
                                size_t offset)
{
    uint8_t proto;
    size_t pos;

    if (is_ipv4(f)) {
        proto = f->p[9];
        pos = ipv4_header(f);
    } else if (!is_ipv6(f) || !ipv6_upper(f, &proto, &pos)) {
        return hard(false);
    }
    if (!has_ports(proto) || f->n <= pos + 4)
        return soft(false);
    uint16_t port = zt_be16(f->p + pos + offset);
    /* The reference marks "no port" with 0 where it reads IPv6, so port 0 never matches there. */
    if (f->ethertype == 0x86dd && port == 0)
        return soft(false);
    return soft(port >= e->u.range.low && port <= e->u.range.high);
}

static struct answer match_icmp(const struct zt_filter_frame *f, const struct zt_rule *e)
{
    uint8_t proto;
    size_t pos;

    if (is_ipv4(f)) {
        pos = ipv4_header(f);
        if (f->p[9] != 1)
            return hard(false);
    } else if (!is_ipv6(f) || !ipv6_upper(f, &proto, &pos) || proto != PROTO_ICMPV6) {
        return hard(false);
    }
    if (f->n < pos + 2 || f->p[pos] != e->u.icmp.type)
        return hard(false);
    return (e->u.icmp.flags & 1) ? soft(f->p[pos + 1] == e->u.icmp.code) : hard(true);
}

static bool ipv4_equal(const uint8_t *p, const struct zt_rule *e)
{
    unsigned bits = e->u.net.bits;
    if (bits == 0)
        return true;
    uint32_t mask = UINT32_MAX << (32 - bits);
    return ((zt_be32(p) ^ zt_be32(e->u.net.ip)) & mask) == 0;
}

/* The rule's address is compared as given: with host bits set it never matches. */
static bool ipv6_equal(const uint8_t *p, const struct zt_rule *e)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned left = e->u.net.bits > 8 * i ? e->u.net.bits - 8 * i : 0;
        unsigned mask = left >= 8 ? 0xffu : 0xff00u >> left & 0xffu;
        if ((p[i] & mask) != e->u.net.ip[i])
            return false;
    }
    return true;
}

static struct answer match_tos(const struct zt_filter_frame *f, const struct zt_rule *e)
{
    uint8_t tos;
    if (is_ipv4(f))
        tos = f->p[1];
    else if (is_ipv6(f))
        tos = (uint8_t)(f->p[0] << 4 | f->p[1] >> 4);
    else
        return hard(false);
    tos &= e->u.tos.mask;
    return soft(tos >= e->u.tos.low && tos <= e->u.tos.high);
}

static struct answer match_protocol(const struct zt_filter_frame *f, const struct zt_rule *e)
{
    uint8_t proto;
    size_t pos;
    if (is_ipv4(f))
        proto = f->p[9];
    else if (!is_ipv6(f) || !ipv6_upper(f, &proto, &pos))
        return hard(false);
    return soft(proto == e->u.number);
}

/* Big-endian numbers lie at the end of an 8-byte field and keep their low bits, little-endian ones
 * start at the index and keep their high bits; past the end of the frame the value is 0. */
static struct answer match_integer(const struct zt_filter_frame *f, const struct zt_rule *e)
{
    unsigned bits = (e->u.integer.format & 63u) + 1, bytes = (bits + 7) / 8;
    bool little = (e->u.integer.format & 0x80) != 0;
    size_t at = e->u.integer.index + (little ? 0u : 8u - bytes);
    uint64_t v = 0;

    if (at + bytes <= f->n) {
        for (unsigned i = 0; i < bytes; i++)
            v = v << 8 | f->p[at + (little ? bytes - 1 - i : i)];
        if (little)
            v >>= 8 * bytes - bits;
        else if (bits < 64)
            v &= (1ULL << bits) - 1;
    }
    uint64_t start = e->u.integer.start;
    return soft(v >= start && v <= start + e->u.integer.span);
}

/* ---- characteristics ---- */

static bool owns(const struct zt_holdings *h, uint8_t type, const uint8_t *value)
{
    for (unsigned i = 0; h != NULL && i < h->ncoos; i++) {
        if (zt_coo_owns(&h->coos[i], type, value))
            return true;
    }
    return false;
}

/* An address derived from the network and a node's address proves itself, up to the node part. */
static bool is_derived(const struct zt_policy *net, const uint8_t ip[16])
{
    for (unsigned i = 0; i < net->naddrs; i++) {
        const struct zt_ep *a = &net->addrs[i];
        if (a->family != 6)
            continue;
        if (a->port == 40 && a->ip[0] == 0xfc && memcmp(a->ip, ip, 5) == 0)
            return true;
        if (a->port == 88 && a->ip[0] == 0xfd && a->ip[9] == 0x99 && a->ip[10] == 0x93 &&
            memcmp(a->ip, ip, 11) == 0)
            return true;
    }
    return false;
}

static bool sender_ip_authentic(const struct eval *v)
{
    const struct zt_filter_frame *f = v->f;
    const struct zt_holdings *holder = v->inbound ? v->remote : &v->net->own;
    const uint8_t *ip6;

    if (is_ipv4(f))
        return owns(holder, ZT_THING_IPV4, f->p + 12);
    if (f->ethertype == 0x0806 && f->n >= 28)
        return owns(holder, ZT_THING_IPV4, f->p + 14);
    if (!is_ipv6(f))
        return false;
    ip6 = f->p + 8;
    if (f->p[6] == PROTO_ICMPV6 && f->n >= 64) {
        if (f->p[40] == 0x87)
            return true; /* a solicitation claims nothing */
        if (f->p[40] == 0x88)
            ip6 = f->p + 48;
    }
    if (v->inbound && (v->net->flags & ZT_NET_NDP_EMULATION) && is_derived(v->net, ip6))
        return true;
    return owns(holder, ZT_THING_IPV6, ip6);
}

static uint64_t tcp_bits(const struct zt_filter_frame *f)
{
    uint8_t proto;
    size_t pos;

    if (is_ipv4(f)) {
        proto = f->p[9];
        pos = ipv4_header(f);
    } else if (!is_ipv6(f) || !ipv6_upper(f, &proto, &pos)) {
        return 0;
    }
    if (proto != PROTO_TCP || f->n < pos + 14 || (f->ethertype == 0x86dd && f->n == pos + 14))
        return 0;
    return (uint64_t)f->p[pos + 13] | (uint64_t)(f->p[pos + 12] & 0x0f) << 8;
}

static struct answer match_characteristics(const struct eval *v, const struct zt_rule *e)
{
    const struct zt_filter_frame *f = v->f;
    uint64_t bits = v->inbound ? CHAR_INBOUND : 0, mask = e->u.mask;

    if (zt_mac_is_multicast(f->mac_dest))
        bits |= CHAR_MULTICAST;
    if (f->mac_dest == ZT_MAC_BROADCAST)
        bits |= CHAR_BROADCAST;
    if ((mask & CHAR_IP_AUTHENTIC) && sender_ip_authentic(v))
        bits |= CHAR_IP_AUTHENTIC;
    if (mask & CHAR_MAC_AUTHENTIC) {
        uint8_t mac[6];
        zt_put48(mac, f->mac_source);
        if (owns(v->inbound ? v->remote : &v->net->own, ZT_THING_MAC, mac))
            bits |= CHAR_MAC_AUTHENTIC;
    }
    if (mask & 0xfff)
        bits |= tcp_bits(f);
    return soft((bits & mask) != 0);
}

/* ---- tags ---- */

static const struct zt_held_tag *find_tag(const struct zt_holdings *h, uint32_t id)
{
    unsigned low = 0, high = h != NULL ? h->ntags : 0;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (h->tags[mid].id == id)
            return &h->tags[mid];
        if (h->tags[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool compare_tags(uint8_t type, uint32_t l, uint32_t r, uint32_t value)
{
    switch (type) {
    case ZT_RULE_MATCH_TAGS_DIFFERENCE:
        return (l > r ? l - r : r - l) <= value;
    case ZT_RULE_MATCH_TAGS_BITWISE_AND:
        return (l & r) == value;
    case ZT_RULE_MATCH_TAGS_BITWISE_OR:
        return (l | r) == value;
    case ZT_RULE_MATCH_TAGS_BITWISE_XOR:
        return (l ^ r) == value;
    default:
        return l == value && r == value;
    }
}

static struct answer match_both_tags(struct eval *v, const struct zt_rule *e)
{
    const struct zt_held_tag *l = find_tag(&v->net->own, e->u.tag.id);
    if (l == NULL)
        return hard(false);
    const struct zt_held_tag *r = find_tag(v->remote, e->u.tag.id);
    if (r != NULL)
        return soft(compare_tags(zt_rule_type(e), l->value, r->value, e->u.tag.value));
    if (v->inbound && !v->super)
        return hard(false);
    v->skip_drop = true;
    return hard(true);
}

static struct answer match_one_tag(struct eval *v, const struct zt_rule *e)
{
    bool of_sender = zt_rule_type(e) == ZT_RULE_MATCH_TAG_SENDER;
    bool of_remote = of_sender == v->inbound;

    if (v->super) {
        v->skip_drop = true;
        return hard(true);
    }
    const struct zt_held_tag *t = find_tag(of_remote ? v->remote : &v->net->own, e->u.tag.id);
    if (t != NULL)
        return soft(t->value == e->u.tag.value);
    if (of_remote && !of_sender) {
        v->skip_drop = true;
        return hard(true);
    }
    return hard(false);
}

/* ---- one table ---- */

static struct answer match(struct eval *v, const struct zt_rule *e)
{
    const struct zt_filter_frame *f = v->f;

    switch (zt_rule_type(e)) {
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
        return soft(e->u.addr == f->source);
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        return soft(e->u.addr == v->dest);
    case ZT_RULE_MATCH_VLAN_ID:
        return soft(e->u.number == f->vlan);
    case ZT_RULE_MATCH_VLAN_PCP:
    case ZT_RULE_MATCH_VLAN_DEI:
        return soft(e->u.number == 0);
    case ZT_RULE_MATCH_MAC_SOURCE:
        return soft(e->u.mac == f->mac_source);
    case ZT_RULE_MATCH_MAC_DEST:
        return soft(e->u.mac == f->mac_dest);
    case ZT_RULE_MATCH_IPV4_SOURCE:
        return is_ipv4(f) ? soft(ipv4_equal(f->p + 12, e)) : hard(false);
    case ZT_RULE_MATCH_IPV4_DEST:
        return is_ipv4(f) ? soft(ipv4_equal(f->p + 16, e)) : hard(false);
    case ZT_RULE_MATCH_IPV6_SOURCE:
        return is_ipv6(f) ? soft(ipv6_equal(f->p + 8, e)) : hard(false);
    case ZT_RULE_MATCH_IPV6_DEST:
        return is_ipv6(f) ? soft(ipv6_equal(f->p + 24, e)) : hard(false);
    case ZT_RULE_MATCH_IP_TOS:
        return match_tos(f, e);
    case ZT_RULE_MATCH_IP_PROTOCOL:
        return match_protocol(f, e);
    case ZT_RULE_MATCH_ETHERTYPE:
        return soft(e->u.number == f->ethertype);
    case ZT_RULE_MATCH_ICMP:
        return match_icmp(f, e);
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
        return match_port(f, e, 0);
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
        return match_port(f, e, 2);
    case ZT_RULE_MATCH_CHARACTERISTICS:
        return match_characteristics(v, e);
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        return soft(f->n >= e->u.range.low && f->n <= e->u.range.high);
    case ZT_RULE_MATCH_RANDOM:
        return soft(f->random <= e->u.chance);
    case ZT_RULE_MATCH_TAGS_DIFFERENCE:
    case ZT_RULE_MATCH_TAGS_BITWISE_AND:
    case ZT_RULE_MATCH_TAGS_BITWISE_OR:
    case ZT_RULE_MATCH_TAGS_BITWISE_XOR:
    case ZT_RULE_MATCH_TAGS_EQUAL:
        return match_both_tags(v, e);
    case ZT_RULE_MATCH_TAG_SENDER:
    case ZT_RULE_MATCH_TAG_RECEIVER:
        return match_one_tag(v, e);
    case ZT_RULE_MATCH_INTEGER_RANGE:
        return match_integer(f, e);
    default:
        return soft((v->net->flags & ZT_NET_UNKNOWN_MATCHES) != 0);
    }
}

static bool is_forward(uint8_t type)
{
    return type == ZT_RULE_ACTION_TEE || type == ZT_RULE_ACTION_WATCH ||
           type == ZT_RULE_ACTION_REDIRECT;
}

/* TEE, WATCH, REDIRECT whose set matched. Returns whether the table ends with *out. */
static bool forward(struct eval *v, const struct zt_rule *e, enum table_result *out)
{
    uint64_t to = e->u.fwd.addr;

    if (to == v->f->source)
        return false;
    if (to == v->net->self) {
        *out = T_SUPER;
        return v->inbound;
    }
    if (to == v->dest)
        return false;
    if (zt_rule_type(e) == ZT_RULE_ACTION_REDIRECT) {
        v->dest = to;
        *out = T_REDIRECT;
        return true;
    }
    v->copy.to = to;
    v->copy.n = e->u.fwd.length != 0 && e->u.fwd.length < v->f->n ? e->u.fwd.length : v->f->n;
    v->copy.watch = zt_rule_type(e) == ZT_RULE_ACTION_WATCH;
    return false;
}

/* An action whose set matched. Returns whether the table ends with *out. */
static bool act(struct eval *v, const struct zt_rule *e, enum table_result *out)
{
    switch (zt_rule_type(e)) {
    case ZT_RULE_ACTION_DROP:
        if (v->skip_drop) {
            v->skip_drop = false;
            return false;
        }
        *out = T_DROP;
        return true;
    case ZT_RULE_ACTION_ACCEPT:
        *out = v->super ? T_SUPER : T_ACCEPT;
        return true;
    case ZT_RULE_ACTION_PRIORITY:
        v->bucket = 0; /* the wire does not carry it */
        *out = T_ACCEPT;
        return true;
    case ZT_RULE_ACTION_BREAK:
        *out = T_NO_MATCH;
        return true;
    default:
        return is_forward(zt_rule_type(e)) && forward(v, e, out);
    }
}

static enum table_result evaluate(struct eval *v, const struct zt_rule *rules, unsigned n)
{
    bool set = true;

    for (const struct zt_rule *e = rules; n > 0; e++, n--) {
        if (zt_rule_is_action(e)) {
            enum table_result r;
            if (set) {
                if (act(v, e, &r))
                    return r;
                continue; /* the set stays true for the next action */
            }
            if (v->inbound && is_forward(zt_rule_type(e)) && e->u.fwd.addr == v->net->self)
                v->super = true;
            set = true;
            continue;
        }
        bool is_or = (e->t & ZT_RULE_OR) != 0;
        if (!set && !is_or)
            continue;
        struct answer a = match(v, e);
        bool value = a.value != (!a.hard && (e->t & ZT_RULE_NOT) != 0);
        set = is_or ? set || value : set && value;
    }
    return T_NO_MATCH;
}

/* ---- base rules, capabilities, outcome ---- */

static void add_copy(struct zt_filter_outcome *out, uint64_t to, uint8_t flags, size_t n)
{
    assert(out->ncopies < ZT_FILTER_COPIES);
    out->copies[out->ncopies].to = to;
    out->copies[out->ncopies].flags = flags;
    out->copies[out->ncopies].n = n;
    out->ncopies++;
}

static void add_tee(struct zt_filter_outcome *out, const struct eval *v)
{
    uint8_t flags;
    if (v->inbound)
        flags = v->copy.watch ? 0x1c : 0x08;
    else
        flags = v->copy.watch ? 0x16 : 0x02;
    if (v->copy.to != 0)
        add_copy(out, v->copy.to, flags, v->copy.n);
}

static struct eval begin(const struct zt_policy *net, const struct zt_filter_frame *f,
                         const struct zt_holdings *remote, bool inbound)
{
    return (struct eval){
        .net = net, .f = f, .remote = remote, .inbound = inbound, .dest = f->dest, .bucket = 255};
}

static void filter(const struct zt_policy *net, const struct zt_filter_frame *f,
                   const struct zt_holdings *remote, bool inbound, bool no_tee,
                   struct zt_filter_outcome *out)
{
    const struct zt_holdings *holder = inbound ? remote : &net->own;
    struct eval base = begin(net, f, remote, inbound), cap = base;
    enum table_result r = evaluate(&base, net->rules, net->nrules);
    const struct eval *accepted = &base;

    out->result = ZT_FILTER_DROP;
    out->ncopies = 0;
    if (r == T_NO_MATCH && holder != NULL) {
        for (unsigned i = 0; i < holder->ncaps; i++) {
            cap = begin(net, f, remote, inbound);
            r = evaluate(&cap, holder->caps[i].rules, holder->caps[i].n);
            if (r == T_ACCEPT || r == T_SUPER || r == T_REDIRECT)
                break;
            r = T_NO_MATCH;
        }
        accepted = &cap;
    }
    out->bucket = accepted->bucket;
    if (r == T_DROP || r == T_NO_MATCH)
        return;

    if (!no_tee) {
        if (accepted == &cap)
            add_tee(out, &cap);
        add_tee(out, &base);
    }
    if (r != T_REDIRECT)
        out->result = r == T_SUPER ? ZT_FILTER_SUPER : ZT_FILTER_ACCEPT;
    else if (accepted->dest != 0)
        add_copy(out, accepted->dest, inbound ? 0x0a : 0x04, f->n);
}

void zt_filter_out(const struct zt_policy *net, const struct zt_filter_frame *frame,
                   const struct zt_holdings *remote, bool no_tee, struct zt_filter_outcome *out)
{
    filter(net, frame, remote, false, no_tee, out);
    if (out->result == ZT_FILTER_SUPER)
        out->result = ZT_FILTER_ACCEPT;
}

void zt_filter_in(const struct zt_policy *net, const struct zt_filter_frame *frame,
                  const struct zt_holdings *remote, struct zt_filter_outcome *out)
{
    filter(net, frame, remote, true, false, out);
}
