/* Matches: their names, how many values each takes, and what those may be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "rules_int.h"

const struct zr_name zr_characteristics[] = {
    {"inbound", 63}, {"multicast", 62}, {"broadcast", 61}, {"ipauth", 60}, {"macauth", 59},
    {"tcp_fin", 0},  {"tcp_syn", 1},    {"tcp_rst", 2},    {"tcp_psh", 3}, {"tcp_ack", 4},
    {"tcp_urg", 5},  {"tcp_ece", 6},    {"tcp_cwr", 7},    {"tcp_ns", 8},  {"tcp_rs2", 9},
    {"tcp_rs1", 10}, {"tcp_rs0", 11},   {NULL, 0},
};

const struct zr_name zr_ethertypes[] = {
    {"ipv4", 0x0800},  {"arp", 0x0806},  {"wol", 0x0842},   {"rarp", 0x8035},  {"ipv6", 0x86dd},
    {"atalk", 0x809b}, {"aarp", 0x80f3}, {"ipx_a", 0x8137}, {"ipx_b", 0x8138}, {NULL, 0},
};

const struct zr_name zr_protocols[] = {
    {"icmp4", 1},  {"icmp", 1},    {"icmpv4", 1}, {"igmp", 2},   {"ipip", 4},      {"tcp", 6},
    {"egp", 8},    {"igp", 9},     {"udp", 17},   {"rdp", 27},   {"esp", 50},      {"ah", 51},
    {"icmp6", 58}, {"icmpv6", 58}, {"l2tp", 115}, {"sctp", 132}, {"udplite", 136}, {NULL, 0},
};

static const struct zr_name no_names[] = {{NULL, 0}};

const struct zr_name zr_actions[] = {
    {"drop", ZT_RULE_ACTION_DROP},
    {"accept", ZT_RULE_ACTION_ACCEPT},
    {"tee", ZT_RULE_ACTION_TEE},
    {"watch", ZT_RULE_ACTION_WATCH},
    {"redirect", ZT_RULE_ACTION_REDIRECT},
    {"break", ZT_RULE_ACTION_BREAK},
    {NULL, 0},
};

const struct zr_name zr_matches[] = {
    {"ztsrc", ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS},
    {"ztdest", ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS},
    {"vlan", ZT_RULE_MATCH_VLAN_ID},
    {"vlanpcp", ZT_RULE_MATCH_VLAN_PCP},
    {"vlandei", ZT_RULE_MATCH_VLAN_DEI},
    {"ethertype", ZT_RULE_MATCH_ETHERTYPE},
    {"macsrc", ZT_RULE_MATCH_MAC_SOURCE},
    {"macdest", ZT_RULE_MATCH_MAC_DEST},
    {"ipsrc", ZT_RULE_MATCH_IPV4_SOURCE},
    {"ipdest", ZT_RULE_MATCH_IPV4_DEST},
    {"iptos", ZT_RULE_MATCH_IP_TOS},
    {"ipprotocol", ZT_RULE_MATCH_IP_PROTOCOL},
    {"icmp", ZT_RULE_MATCH_ICMP},
    {"sport", ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE},
    {"dport", ZT_RULE_MATCH_IP_DEST_PORT_RANGE},
    {"chr", ZT_RULE_MATCH_CHARACTERISTICS},
    {"framesize", ZT_RULE_MATCH_FRAME_SIZE_RANGE},
    {"random", ZT_RULE_MATCH_RANDOM},
    {"tand", ZT_RULE_MATCH_TAGS_BITWISE_AND},
    {"tor", ZT_RULE_MATCH_TAGS_BITWISE_OR},
    {"txor", ZT_RULE_MATCH_TAGS_BITWISE_XOR},
    {"tdiff", ZT_RULE_MATCH_TAGS_DIFFERENCE},
    {"teq", ZT_RULE_MATCH_TAGS_EQUAL},
    {"tseq", ZT_RULE_MATCH_TAG_SENDER},
    {"treq", ZT_RULE_MATCH_TAG_RECEIVER},
    {NULL, 0},
};

static const struct zr_name *find(const struct zr_name *list, const char *p, size_t n)
{
    for (; list->name != NULL; list++) {
        if (zr_is(p, n, list->name))
            return list;
    }
    return NULL;
}

unsigned zr_match_args(const struct zr_word *w)
{
    const struct zr_name *m = find(zr_matches, w->p, w->n);

    switch (m != NULL ? (int)m->value : -1) {
    case -1:
        return 0;
    case ZT_RULE_MATCH_IP_TOS:
    case ZT_RULE_MATCH_ICMP:
        return 2;
    default:
        return m->value >= ZT_RULE_MATCH_TAGS_DIFFERENCE ? 2 : 1; /* the tag matches */
    }
}

/* ---- values ---- */

static bool number_or_name(struct zr_compiler *c, const struct zr_arg *a,
                           const struct zr_name *names, uint64_t max, const char *what,
                           uint16_t *out)
{
    const struct zr_name *known = find(names, a->text, a->n);
    uint64_t v = known != NULL ? known->value : 0;

    if (known == NULL && !zr_number(a->text, a->n, max, &v))
        return zr_expected(c, a, what);
    *out = (uint16_t)v;
    return true;
}

static bool small_number(struct zr_compiler *c, const struct zr_arg *a, uint64_t max,
                         const char *what, uint8_t *out)
{
    uint64_t v;
    if (!zr_number(a->text, a->n, max, &v))
        return zr_expected(c, a, what);
    *out = (uint8_t)v;
    return true;
}

/* "A" or "A-B" with A <= B <= max. */
static bool range(struct zr_compiler *c, const struct zr_arg *a, uint64_t max, const char *what,
                  uint16_t *low, uint16_t *high)
{
    const char *dash = memchr(a->text, '-', a->n);
    size_t first = dash != NULL ? (size_t)(dash - a->text) : a->n;
    uint64_t from, to;

    if (!zr_number(a->text, first, max, &from))
        return zr_expected(c, a, what);
    to = from;
    if (dash != NULL && (!zr_number(dash + 1, a->n - first - 1, max, &to) || to < from))
        return zr_expected(c, a, what);
    *low = (uint16_t)from;
    *high = (uint16_t)to;
    return true;
}

/* So many hex digits, with separators between them where sep is not empty. */
static bool hex(const struct zr_arg *a, unsigned digits, const char *sep, uint64_t *out)
{
    char text[17];
    unsigned n = 0;

    for (size_t i = 0; i < a->n; i++) {
        if (a->text[i] != 0 && strchr(sep, a->text[i]) != NULL)
            continue;
        if (n == digits)
            return false;
        text[n++] = a->text[i];
    }
    text[n] = 0;
    return n == digits && zt_hex_parse_u64(text, digits, out) == 0;
}

bool zr_address(struct zr_compiler *c, const struct zr_arg *a, uint64_t *out)
{
    return hex(a, 10, "", out) || zr_expected(c, a, "the 10 hex digits of a node's address");
}

static bool prefix(struct zr_compiler *c, const struct zr_arg *a, struct zt_rule *out)
{
    static const char what[] = "an address and its length, such as 10.1.0.0/16 or fd00::/8";
    char text[ZT_EP_STR];
    struct zt_ep ep;

    if (a->n >= sizeof text)
        return zr_expected(c, a, what);
    memcpy(text, a->text, a->n);
    text[a->n] = 0;
    const char *slash = strchr(text, '/');
    if (slash == NULL || slash[1] == 0 || zt_ep_parse(text, &ep) != 0 ||
        ep.port > (ep.family == 4 ? 32 : 128))
        return zr_expected(c, a, what);
    memcpy(out->u.net.ip, ep.ip, sizeof ep.ip);
    out->u.net.bits = (uint8_t)ep.port;
    if (ep.family == 4)
        return true;
    out->t =
        out->t == ZT_RULE_MATCH_IPV4_SOURCE ? ZT_RULE_MATCH_IPV6_SOURCE : ZT_RULE_MATCH_IPV6_DEST;
    struct zt_ep network = zt_ep_network(&ep);
    if (!zt_ep_equal(&network, &ep))
        zr_warn(c, &a->at, "%s has bits set after the first %u, so it never matches", text,
                (unsigned)ep.port);
    return true;
}

static bool characteristics(struct zr_compiler *c, const struct zr_arg *a, uint64_t *out)
{
    *out = 0;
    for (size_t at = 0, n; at < a->n; at += n + 1) {
        const char *p = a->text + at, *comma = memchr(p, ',', a->n - at);
        n = comma != NULL ? (size_t)(comma - p) : a->n - at;
        if (n == 0)
            continue;
        const struct zr_name *known = find(zr_characteristics, p, n);
        uint64_t bit = known != NULL ? known->value : 0;
        if (known == NULL && !zr_number(p, n, 63, &bit))
            return zr_expected(c, a,
                               "characteristics such as inbound or tcp_syn,tcp_ack, or the numbers "
                               "of their bits (0 to 63)");
        *out |= 1ULL << bit;
    }
    return true;
}

static bool chance(struct zr_compiler *c, const struct zr_arg *a, uint32_t *out)
{
    char text[64], *end;

    if (a->n >= sizeof text || a->n == 0 || strchr("0123456789.", a->text[0]) == NULL)
        return zr_expected(c, a, "a probability from 0 to 1");
    memcpy(text, a->text, a->n);
    text[a->n] = 0;
    double v = strtod(text, &end);
    if (*end != 0 || !(v >= 0 && v <= 1))
        return zr_expected(c, a, "a probability from 0 to 1");
    *out = (uint32_t)floor(4294967295.0 * v);
    return true;
}

static bool icmp(struct zr_compiler *c, const struct zr_arg *args, struct zt_rule *out)
{
    if (!small_number(c, &args[0], 255, "an ICMP type (0 to 255)", &out->u.icmp.type))
        return false;
    if (zr_is(args[1].text, args[1].n, "-1"))
        return true;
    out->u.icmp.flags = 1;
    return small_number(c, &args[1], 255, "an ICMP code (0 to 255, or -1 for any)",
                        &out->u.icmp.code);
}

static bool tos(struct zr_compiler *c, const struct zr_arg *args, struct zt_rule *out)
{
    uint16_t low, high;
    if (!small_number(c, &args[0], 255, "a mask (0 to 255)", &out->u.tos.mask) ||
        !range(c, &args[1], 255, "a value (0 to 255) or a range such as 16-32", &low, &high))
        return false;
    out->u.tos.low = (uint8_t)low;
    out->u.tos.high = (uint8_t)high;
    return true;
}

static const struct zr_value *named(const struct zr_value *v, size_t count, const struct zr_arg *a)
{
    for (size_t i = 0; i < count; i++) {
        if (v[i].name.n == a->n && strncasecmp(v[i].name.p, a->text, a->n) == 0)
            return &v[i];
    }
    return NULL;
}

/* A tag by name or number, and a value of it. */
static bool tag(struct zr_compiler *c, const struct zr_arg *args, struct zt_rule *out)
{
    const struct zr_tag *t = NULL;
    uint64_t id = 0, value;
    bool numeric = zr_number(args[0].text, args[0].n, UINT32_MAX, &id);

    for (size_t i = 0; i < c->ntags && t == NULL; i++) {
        const struct zr_tag *o = &c->tags[i];
        if (numeric
                ? o->id == id
                : o->name.n == args[0].n && strncasecmp(o->name.p, args[0].text, args[0].n) == 0)
            t = o;
    }
    if (t == NULL && !numeric)
        return zr_expected(c, &args[0], "the name of a tag, or its number");
    out->u.tag.id = t != NULL ? t->id : (uint32_t)id;
    const struct zr_value *v = t != NULL ? named(t->flags, t->nflags, &args[1]) : NULL;
    if (v == NULL && t != NULL)
        v = named(t->enums, t->nenums, &args[1]);
    if (v == NULL && !zr_number(args[1].text, args[1].n, UINT32_MAX, &value))
        return zr_expected(c, &args[1],
                           t != NULL ? "an enum or flag of this tag, or a number" : "a number");
    out->u.tag.value = v != NULL ? v->value : (uint32_t)value;
    return true;
}

static bool values(struct zr_compiler *c, const struct zr_arg *args, struct zt_rule *out)
{
    switch (out->t) {
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        return zr_address(c, args, &out->u.addr);
    case ZT_RULE_MATCH_VLAN_ID:
        return number_or_name(c, args, no_names, 0xffff, "a number (0 to 65535)", &out->u.number);
    case ZT_RULE_MATCH_VLAN_PCP:
    case ZT_RULE_MATCH_VLAN_DEI:
        return number_or_name(c, args, no_names, 0xff, "a number (0 to 255)", &out->u.number);
    case ZT_RULE_MATCH_ETHERTYPE:
        return number_or_name(c, args, zr_ethertypes, 0xffff,
                              "an Ethernet type: ipv4, ipv6, arp, ... or a number (0 to 0xffff)",
                              &out->u.number);
    case ZT_RULE_MATCH_IP_PROTOCOL:
        return number_or_name(c, args, zr_protocols, 0xff,
                              "an IP protocol: tcp, udp, icmp4, ... or a number (0 to 255)",
                              &out->u.number);
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        return hex(args, 12, ":-.", &out->u.mac) ||
               zr_expected(c, args, "a MAC address such as 02:11:22:33:44:55");
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        return prefix(c, args, out);
    case ZT_RULE_MATCH_IP_TOS:
        return tos(c, args, out);
    case ZT_RULE_MATCH_ICMP:
        return icmp(c, args, out);
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
        return range(c, args, 0xffff, "a port (0 to 65535) or a range such as 80-443",
                     &out->u.range.low, &out->u.range.high);
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        return range(c, args, 0xffff, "a size (0 to 65535 bytes) or a range such as 0-1400",
                     &out->u.range.low, &out->u.range.high);
    case ZT_RULE_MATCH_CHARACTERISTICS:
        return characteristics(c, args, &out->u.mask);
    case ZT_RULE_MATCH_RANDOM:
        return chance(c, args, &out->u.chance);
    default:
        return tag(c, args, out);
    }
}

bool zr_match(struct zr_compiler *c, const struct zr_word *w, const struct zr_arg *args,
              struct zt_rule *out)
{
    const struct zr_name *m = find(zr_matches, w->p, w->n);
    unsigned n = zr_match_args(w);

    *out = (struct zt_rule){.t = (uint8_t)m->value};
    for (unsigned i = 0; i < n; i++) {
        if (args[i].text == NULL) /* a parameter without a value yet */
            return true;
    }
    return values(c, args, out);
}
